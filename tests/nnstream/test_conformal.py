"""Adaptive conformal prediction: coverage over any window under any drift, late labels, the same bits for any cut."""

import doctest
import json
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnstream import conformal as module
from nnstream.conformal import SLACK, Conformal, Late
from nnstream.errors import SpecError
from nnstream.kernels.conformal import miss_level
from nnstream.model import Model, ModelSpec
from nnstream.outcome import Outcome, Segment

WINDOW = 5000


def outcome_of(outputs, classes=()):
    outputs = np.asarray(outputs)
    segment = Segment(list(range(len(outputs))), outputs.reshape(len(outputs), -1), tuple(classes))
    return Outcome([segment], np.zeros(len(outputs)), np.zeros(len(outputs), np.int64), {})


def _holds(region, label):
    return region[0] <= label <= region[1] if isinstance(region, tuple) else label in region


def held(regions, labels):
    """Whether each region that was given holds its label, read off what is published."""
    pairs = zip(regions, labels, strict=True)
    return np.array([_holds(region, label) for region, label in pairs if region is not None])


def coverages(hits, window=WINDOW):
    """Return the lowest and the highest coverage over any `window` events in a row."""
    sums = np.concatenate([[0], np.cumsum(hits)])
    window = min(window, len(hits))
    rolling = (sums[window:] - sums[:-window]) / window
    return rolling.min(), rolling.max()


# -- streams: what was predicted, and what came


def noise(kind, n, rng):
    phase = np.arange(n) * 4 // n
    return {
        "steady": rng.normal(size=n),
        "abrupt": rng.normal(size=n) * np.array([0.1, 30.0, 1.0, 3000.0])[phase],
        "jumping mean": rng.normal(size=n) + np.array([0.0, 50.0, -7.0, 0.0])[phase],
        "heavy tails": rng.standard_t(1.5, size=n),
        "bursts": rng.normal(size=n) * np.where(np.arange(n) % 300 < 30, 20.0, 1.0),
        "growing": rng.normal(size=n) * np.exp(np.arange(n) / 700),
        "shrinking": rng.normal(size=n) * np.exp(-np.arange(n) / 700),
        "random walk": np.cumsum(rng.normal(size=n)),
    }[kind]


@pytest.mark.parametrize("confidence", [0.9, 0.5, 0.98])
@pytest.mark.parametrize(
    "kind", ["steady", "abrupt", "jumping mean", "heavy tails", "bursts", "growing", "shrinking", "random walk"]
)
def test_intervals_hold_what_was_asked_over_any_window(kind, confidence):
    rng = np.random.default_rng(1)
    predicted = rng.normal(size=20_000)
    labels = (predicted + noise(kind, 20_000, rng)).tolist()
    conformal = Conformal(confidence, regression=True)
    regions = conformal.observe(outcome_of(predicted), labels)
    lowest, highest = coverages(held(regions, labels))
    assert confidence - 0.02 <= lowest <= highest <= confidence + 0.02
    assert np.isfinite(np.array([region for region in regions if region is not None])).all()


@pytest.mark.parametrize("kind", ["right", "coin", "wrong for a while", "overconfident", "drifting confidence"])
def test_sets_hold_what_was_asked_over_any_window(kind):
    rng, n = np.random.default_rng(2), 20_000
    p = {
        "right": 1 - rng.uniform(0, 1e-3, n),
        "coin": 0.5 + rng.uniform(-0.01, 0.01, n),
        "wrong for a while": rng.beta(8, 1, n),
        "overconfident": np.where(rng.random(n) < 0.5, 0.999, 0.001) * rng.uniform(0.99, 1, n),
        "drifting confidence": np.clip(0.5 + np.arange(n) / n / 2 + rng.normal(0, 0.1, n), 0.01, 0.99),
    }[kind]
    truth = {"overconfident": np.full(n, 0.6), "wrong for a while": np.where(np.arange(n) // 5000 == 2, 1 - p, p)}
    labels = np.where(rng.random(n) < truth.get(kind, p), "yes", "no").tolist()
    conformal = Conformal(0.9, regression=False)
    regions = conformal.observe(outcome_of(np.stack([1 - p, p], axis=1), ["no", "yes"]), labels)
    lowest, highest = coverages(held(regions, labels))
    assert 0.88 <= lowest <= highest <= 0.92
    assert conformal.coverage == pytest.approx(held(regions, labels)[-WINDOW:].mean())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(200, 3000), changes=st.integers(0, 30))
def test_the_promise_holds_whatever_the_residuals_are(seed, length, changes):
    """Misses over any window differ from what was asked by at most 2 K + 2: the docstring's bound."""
    rng = np.random.default_rng(seed)
    scales = 10 ** rng.uniform(-3, 3, changes + 1)
    phase = np.sort(rng.integers(0, length, changes))
    scale = scales[np.searchsorted(phase, np.arange(length), side="right")]
    conformal = Conformal(0.9, regression=True)
    labels = (rng.normal(size=length) * scale).tolist()
    misses = ~held(conformal.observe(outcome_of(np.zeros(length)), labels), labels)
    excess = np.concatenate([[0.0], np.cumsum(misses - 0.1)])
    assert np.abs(excess).max() <= SLACK + 1


def test_intervals_are_as_wide_as_the_residuals_say():
    rng = np.random.default_rng(3)
    labels = (rng.normal(size=20_000) * np.repeat([1.0, 10.0], 10_000)).tolist()
    regions = Conformal(0.9, regression=True).observe(outcome_of(np.zeros(20_000)), labels)
    for part, ideal in ((regions[2000:10_000], 2 * 1.645), (regions[12_000:], 20 * 1.645)):
        assert np.mean([high - low for low, high in part]) == pytest.approx(ideal, rel=0.05)


def test_sets_are_as_small_as_the_probabilities_allow():
    """The least sets that hold 90 %: by the threshold on p that does it, known here."""
    rng, n = np.random.default_rng(4), 20_000
    shares = rng.dirichlet([0.3] * 5, n)
    labels = [int(rng.choice(5, p=row)) for row in shares]
    regions = Conformal(0.9, regression=False).observe(outcome_of(shares, range(5)), labels)
    own = shares[np.arange(n), labels]
    ideal = (shares >= np.quantile(own, 0.1)).sum(axis=1).mean()
    assert np.mean([len(region) for region in regions[1000:]]) == pytest.approx(ideal, rel=0.03)


def test_a_regression_that_is_exactly_right_gets_intervals_without_width():
    labels = [7.0] * 500
    regions = Conformal(0.9, regression=True).observe(outcome_of([7.0] * 500), labels)
    assert set(regions[10:]) <= {None, (7.0, 7.0)}


# -- beside the definition, label by label


def by_definition(residuals, alpha, *, regression, window=500):
    """The module's docstring, in plain Python with a sorted copy of the window."""
    scores, misses, scored, mean, seen, out = deque(maxlen=window), 0, 0, 0.0, 0, []
    for residual in residuals:
        reach = float("nan")
        if len(scores) * alpha >= 1:
            excess = misses - alpha * scored
            level = miss_level(alpha, excess, SLACK)
            rank = int(np.ceil((1 - level) * (len(scores) + 1)))
            beyond = max(2 * excess / SLACK - 1, 0)
            largest = sorted(scores)[min(rank, len(scores)) - 1]
            if regression:
                reach = largest * (1 + beyond) * mean if rank > 0 else 0.0
            else:
                reach = largest + (1 - largest) * min(beyond, 1) if rank > 0 else -1.0
            scored, misses = scored + 1, misses + (not residual <= reach)
        out.append(reach)
        if not np.isfinite(residual):
            continue
        if regression:
            before, seen = mean, seen + 1
            mean += (residual - mean) / min(seen, 50)
            divisor = mean if seen <= 50 else before
            if divisor <= 0:
                continue
            scores.append(residual / divisor)
        else:
            scores.append(residual)
    return out


@pytest.mark.parametrize("regression", [True, False])
def test_the_kernel_is_the_definition(regression):
    rng = np.random.default_rng(5)
    if regression:
        outputs, labels = np.zeros(3000), rng.normal(size=3000) * np.repeat([1.0, 20.0, 0.1], 1000)
        outputs[700:760] = np.nan  # says nothing about the reach
        conformal, outcome = Conformal(0.9, regression=True), outcome_of(outputs)
    else:
        shares = rng.random(3000)
        labels = np.where(np.arange(3000) // 60 == 12, "new", "a").tolist()
        outcome = outcome_of(np.stack([shares, 1 - shares], axis=1), ["a", "b"])
        conformal = Conformal(0.9, regression=False)
    residuals = conformal.residuals(outcome.segments[0], labels)
    assert np.isinf(residuals).sum() == 60
    found = []
    for k in range(3000):
        found.append(conformal.reach)
        conformal.observe(_part(outcome, k, k + 1), labels[k : k + 1])
    assert found == pytest.approx(by_definition(residuals, 0.1, regression=regression), nan_ok=True, rel=1e-12)


def test_the_level_goes_from_everything_to_nothing_and_is_what_was_asked_in_between():
    levels = [miss_level(0.1, excess, 40.0) for excess in (-41.0, -40.0, -20.0, 0.0, 20.0, 40.0, 41.0)]
    assert levels[0] == levels[1] == 1.0
    assert levels[3] == pytest.approx(0.1)
    assert levels[5] == levels[6] == 0.0
    assert levels == sorted(levels, reverse=True)


# -- late labels


def _interleaved(labels, outcome, delay):
    """Return rows as a service takes them: events without their labels, and each label `delay` events later."""
    rows, waiting = [], deque()
    for segment in outcome.segments:
        for k, i in enumerate(segment.rows):
            rows.append((Segment([0], segment.outputs[k : k + 1], segment.classes), None, i))
            waiting.append((rows[-1][0], i))
            if len(waiting) > delay:
                said, event = waiting.popleft()
                if labels[event] is not None:
                    rows.append((said, labels[event], event))
    return rows


def _observe_late(conformal, rows, cuts):
    """Take interleaved rows in blocks; return the region of each event, and what came of it by what was published."""
    regions, hits, published = {}, [], {}
    for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        block, late, here = rows[start:stop], {}, {}
        for k, (said, label, event) in enumerate(block):
            if label is None:
                here[event] = k
                continue
            (residual,) = conformal.residuals(said, [label])
            late[k] = Late(residual, event=here.get(event))
            if event not in here:
                region = published[event]
                held_it = None if region is None else _holds(region, label)
                late[k] = Late(residual, held_it)
        segments = [Segment([k], said.outputs, said.classes) for k, (said, _, _) in enumerate(block)]
        outcome = Outcome(segments, np.zeros(len(block)), np.zeros(len(block), np.int64), {})
        found = conformal.observe(outcome, [label for _, label, _ in block], late)
        assert all(found[k] is None for k in late)
        published |= {event: found[k] for event, k in here.items()}
    for _, label, event in rows:
        if label is None:
            regions[event] = published[event]
        elif published[event] is not None:
            hits.append(_holds(published[event], label))
    return regions, np.array(hits)


@pytest.mark.parametrize("regression", [True, False])
def test_a_label_at_once_is_a_late_label_without_delay(regression):
    labels, outcome = _predicted(regression)
    at_once, late = Conformal(0.9, regression=regression), Conformal(0.9, regression=regression)
    expected = at_once.observe(outcome, labels)
    rows = _interleaved(labels, outcome, 0)
    regions, _ = _observe_late(late, rows, range(3, len(rows), 5))
    assert regions == dict(enumerate(expected))
    assert _bits(late) == _bits(at_once)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 1400), max_size=12).map(sorted), delay=st.integers(0, 60))
@pytest.mark.parametrize("regression", [True, False])
def test_any_cut_between_events_and_late_labels_gives_the_same_bits(regression, cuts, delay):
    labels, outcome = _predicted(regression)
    rows = _interleaved(labels, outcome, delay)
    whole, part = Conformal(0.9, regression=regression), Conformal(0.9, regression=regression)
    assert _observe_late(part, rows, cuts)[0] == _observe_late(whole, rows, [])[0]
    assert _bits(part) == _bits(whole)


@pytest.mark.parametrize("delay", [1, 50, 300])
def test_what_was_published_is_scored_when_its_label_comes(delay):
    rng, n = np.random.default_rng(6), 20_000
    labels = (rng.normal(size=n) * np.repeat([1.0, 15.0], n // 2)).tolist()
    conformal = Conformal(0.9, regression=True)
    _, hits = _observe_late(conformal, _interleaved(labels, outcome_of(np.zeros(n)), delay), range(0, 2 * n, 700))
    lowest, highest = coverages(hits)
    bound = (2 * SLACK + 2 + delay) / WINDOW
    assert 0.9 - bound <= lowest <= highest <= 0.9 + bound
    assert conformal.scored == len(hits)
    assert conformal.coverage == pytest.approx(hits[-WINDOW:].mean())


def test_a_row_that_is_not_to_be_scored_changes_nothing():
    labels, outcome = _predicted(regression=True)
    conformal = Conformal(0.9, regression=True)
    before = _bits(conformal)
    assert conformal.observe(outcome, labels, dict.fromkeys(range(len(labels)))) == [None] * len(labels)
    assert _bits(conformal) == before


# -- with a model, in the stream


def _predicted(regression, count=800, learner="ensemble"):
    rng = np.random.default_rng(7)
    rows = [{"a": float(a), "b": float(b)} for a, b in rng.normal(size=(count, 2))]
    labels = []
    for i, row in enumerate(rows):
        score = row["a"] - row["b"] + rng.normal()
        label = float(score) if regression else ("low", "mid", "high")[int(np.digitize(score, [-1, 1]))]
        labels.append(None if i % 7 == 3 else label)
    spec = ModelSpec(task="regression" if regression else "classification", learner=learner)
    return labels, Model(spec).predict_then_learn(rows, labels)


def _bits(conformal):
    return {name: array.tobytes() for name, array in conformal.state().items()}, conformal.describe()


def _part(outcome, start, stop):
    segments = []
    for segment in outcome.segments:
        inside = [k for k, i in enumerate(segment.rows) if start <= i < stop]
        if inside:
            rows = [segment.rows[k] - start for k in inside]
            segments.append(Segment(rows, segment.outputs[inside], segment.classes))
    return Outcome(segments, outcome.losses[start:stop], outcome.versions[start:stop], {})


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 800), max_size=12).map(sorted))
@pytest.mark.parametrize("regression", [True, False])
def test_any_cut_with_a_restart_at_each_gives_the_same_bits(regression, cuts):
    labels, outcome = _predicted(regression)
    whole = Conformal(0.9, regression=regression)
    expected = whole.observe(outcome, labels)
    part, regions = Conformal(0.9, regression=regression), []
    for start, stop in zip([0, *cuts], [*cuts, len(labels)], strict=True):
        fresh = Conformal(0.9, regression=regression)
        state = {name: array.copy() for name, array in part.state().items()}
        fresh.restore(json.loads(json.dumps(part.describe())), state)
        part = fresh
        regions += part.observe(_part(outcome, start, stop), labels[start:stop])
    assert regions == expected
    assert _bits(part) == _bits(whole)
    for name in ("coverage", "size", "scored", "reach"):
        assert getattr(part, name) == getattr(whole, name)


def test_a_class_nobody_had_seen_is_a_miss_and_unlabelled_events_teach_nothing():
    conformal = Conformal(0.9, regression=False)
    sure = outcome_of([[0.95, 0.05]] * 30, ["a", "b"])
    conformal.observe(sure, ["a"] * 30)
    scored, reach = conformal.scored, conformal.reach
    conformal.observe(sure, [None] * 30)
    assert (conformal.scored, conformal.reach) == (scored, reach)
    residuals = conformal.residuals(sure.segments[0], ["a", "b", "c", None] + [None] * 26)
    assert residuals[:3].tolist() == pytest.approx([0.05, 0.95, np.inf])
    assert np.isnan(residuals[3:]).all()
    misses = conformal._counts[2]
    conformal.observe(sure, ["c"] * 30)
    assert (conformal.scored, conformal._counts[2]) == (scored + 30, misses + 30)
    assert conformal._counts[0] == 30


def test_classes_are_told_apart_as_the_model_does():
    conformal = Conformal(0.9, regression=False)
    segment = Segment([0] * 4, np.tile([0.1, 0.2, 0.7], (4, 1)), (1, "1", True))
    assert conformal.residuals(segment, [1.0, "1", True, 1]).tolist() == pytest.approx([0.9, 0.8, 0.3, 0.9])


def test_nothing_is_promised_before_there_are_scores():
    conformal = Conformal(0.9, regression=False)
    assert conformal.observe(outcome_of(np.zeros((3, 0))), ["a", "b", None]) == [None] * 3
    regions = conformal.observe(outcome_of([[0.6, 0.4]] * 12, ["a", "b"]), ["a"] * 12)
    assert [region is None for region in regions] == [True] * 10 + [False] * 2
    assert (conformal.scored, conformal.coverage) == (2, 1.0)
    assert np.isnan(Conformal(0.9, regression=False).coverage)


def test_another_confidence_keeps_the_scores_and_begins_to_count_anew():
    labels, outcome = _predicted(regression=True)
    ninety, half = Conformal(0.9, regression=True), Conformal(0.5, regression=True)
    ninety.observe(outcome, labels)
    half.restore(ninety.describe(), ninety.state())
    assert half.scored == 0
    assert 0 < half.reach < ninety.reach


@pytest.mark.parametrize(
    ("confidence", "window", "message"),
    [(0.0, 500, "between 0 and 1"), (1.0, 500, "between 0 and 1"), (0.999, 500, "window of at least 1000")],
)
def test_what_can_not_be_promised_is_refused(confidence, window, message):
    with pytest.raises(SpecError, match=message):
        Conformal(confidence, regression=True, window=window)


def test_state_of_another_window_is_refused_by_name():
    with pytest.raises(SpecError, match="ring is float64"):
        Conformal(0.9, regression=True).restore(
            {"confidence": 0.9}, Conformal(0.9, regression=True, window=9999).state()
        )


def test_the_slack_is_what_the_documented_bound_needs():
    assert (2 * module.SLACK + 2) / WINDOW < 0.02


def test_the_example_in_the_docstring_holds():
    result = doctest.testmod(module)
    assert (result.attempted, result.failed) == (8, 0)
