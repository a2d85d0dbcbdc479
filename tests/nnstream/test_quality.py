"""Scores over windows: those of scikit-learn on the same events, for any cut and after any snapshot."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from nnstream.quality import BUCKETS, Quality

WINDOW, SECONDS = 400, 100.0


def classified(count, classes, seed=0):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(classes), count)
    true = np.array([rng.choice(classes, p=0.5 * row + 0.5 / classes) for row in shares])
    said = shares.argmax(axis=1)
    chances = np.stack([shares[np.arange(count), true], shares.max(axis=1)], axis=1)
    return true, said, chances, (rng.random(count) * 1000).cumsum().astype(int), shares


def fed(task, labels, predictions, chances, times, cuts=()):
    quality = Quality(task, WINDOW, SECONDS)
    for start, stop in zip([0, *cuts], [*cuts, len(labels)], strict=True):
        part = slice(start, stop)
        quality.update(labels[part], predictions[part], chances[part], times[part])
        quality_again = Quality(task, WINDOW, SECONDS)
        quality_again.restore(json.loads(json.dumps(quality.describe())), quality.state())
        quality = quality_again
    return quality


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_of_classes_are_those_of_scikit_learn(classes):
    true, said, chances, times, shares = classified(1000, classes)
    quality = fed("classification", true.tolist(), said.tolist(), chances, times.tolist())
    kept = {"events": slice(-WINDOW, None), "time": times // 5000 > times[-1] // 5000 - BUCKETS}
    for window, rows in kept.items():
        found = quality.scores(window)
        assert found["accuracy"] == pytest.approx((true == said)[rows].mean())
        assert found["f1"] == pytest.approx(metrics.f1_score(true[rows], said[rows], average="macro"))
        assert found["log_loss"] == pytest.approx(metrics.log_loss(true[rows], shares[rows]), abs=1e-3)
        if classes == 2:
            auc = metrics.roc_auc_score(true[rows], shares[rows, 1])
            assert found["roc_auc"] == pytest.approx(auc, abs=0.01)
        assert ("roc_auc" in found) == (classes == 2)


def test_the_calibration_error_is_the_gap_between_sureness_and_truth():
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1, 20_000)
    honest, boastful = rng.random(20_000) < sure, rng.random(20_000) < sure - 0.2
    for right, gap in ((honest, 0.0), (boastful, 0.2)):
        labels = [int(each) for each in right]
        chances = np.stack([np.where(right, sure, 1 - sure), sure], axis=1)
        quality = Quality("classification", 20_000, SECONDS)
        quality.update(labels, [1] * 20_000, chances, [0] * 20_000)
        assert quality.scores("events")["calibration_error"] == pytest.approx(gap, abs=0.02)


def test_scores_of_numbers_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    true = rng.normal(50, 3, 1000)
    said = true + rng.normal(0, 1, 1000)
    quality = fed("regression", true.tolist(), said.tolist(), np.full((1000, 2), np.nan), [0] * 1000)
    found, rows = quality.scores("events"), slice(-WINDOW, None)
    assert found["mae"] == pytest.approx(np.abs(true - said)[rows].mean())
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(true[rows], said[rows]))
    assert found["r2"] == pytest.approx(metrics.r2_score(true[rows], said[rows]))


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 1000), max_size=12).map(sorted))
def test_any_cut_gives_the_same_bits(cuts):
    true, said, chances, times, _ = classified(1000, 3)
    labels = ["abc"[i] for i in true]
    predictions = [None if i % 7 == 0 else "abc"[each] for i, each in enumerate(said)]
    times = times[::-1] if len(cuts) % 2 else times  # even where time runs backwards
    whole = fed("classification", labels, predictions, chances, times.tolist())
    cut = fed("classification", labels, predictions, chances, times.tolist(), cuts)
    assert {name: array.tobytes() for name, array in cut.state().items()} == {
        name: array.tobytes() for name, array in whole.state().items()
    }


def test_nothing_yet_is_nothing():
    quality = Quality("classification", WINDOW, SECONDS)
    quality.update([1], [None], np.full((1, 2), np.nan), [0])
    assert quality.scores("events") == quality.scores("time") == {}


def test_many_classes_and_labels_that_look_alike_are_no_problem():
    labels = [1, True, "1", *range(2, 60)]
    quality = Quality("classification", WINDOW, SECONDS)
    quality.update(labels, labels, np.ones((len(labels), 2)), [-5] * len(labels))
    assert quality.scores("time")["accuracy"] == 1.0
    assert quality.scores("events")["f1"] == 1.0


def test_a_number_that_never_changes_has_no_r2():
    quality = Quality("regression", WINDOW, SECONDS)
    quality.update([7.1] * 50, [7.0] * 50, np.full((50, 2), np.nan), [0] * 50)
    assert quality.scores("events").keys() == {"mae", "rmse"}
