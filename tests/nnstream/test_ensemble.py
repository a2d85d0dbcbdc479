"""The default learner: any cut of a stream, growth, safety, and that it beats its own members' worst case."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnstream import snapshot
from nnstream.ensemble import CHECK_EVERY, Ensemble, Watch
from nnstream.kernels.mixture import mix_classes, mix_numbers, mix_two
from nnstream.kernels.sparse import START, STOP, walk
from nnstream.model import Model, ModelSpec

CLASSIFIER = ModelSpec(learner="ensemble")
REGRESSOR = ModelSpec(task="regression", learner="ensemble")


def growing_stream(n, seed=0):
    """Features and classes that come and go, missing values, categories, vectors, events without a label."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for i in range(n):
        row = {f"x{j}": float(rng.normal()) for j in range(1 + i * 4 // n)}
        if i > n // 4:
            row["kind"] = "abcdef"[rng.integers(1 + i * 5 // n)]
        if i > n // 2 and i % 3:
            row["pixels"] = rng.random(3).tolist()
        if rng.random() < 0.1:
            del row["x0"]
        label = "yes" if row.get("x0", 0.0) > 0 else "no"
        if i > 2 * n // 3 and row.get("x1", 0.0) > 1:
            label = "perhaps"
        rows.append(row)
        labels.append(None if rng.random() < 0.2 else label)
    return rows, labels


def run(spec, rows, labels, cuts):
    model = Model(spec)
    losses = []
    for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        losses.append(model.predict_then_learn(rows[start:stop], labels[start:stop]).losses)
    return model, np.concatenate(losses)


@pytest.mark.parametrize("spec", [CLASSIFIER, REGRESSOR], ids=["classification", "regression"])
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 1500), max_size=40).map(sorted))
def test_any_cut_of_a_growing_stream_gives_the_same_bits(spec, cuts):
    rows, labels = growing_stream(1500)
    if spec is REGRESSOR:
        labels = [None if label is None else 0.01 * i + len(label) for i, label in enumerate(labels)]
    whole, expected = run(spec, rows, labels, [])
    parts, losses = run(spec, rows, labels, cuts)
    assert losses.tobytes() == expected.tobytes()
    assert snapshot.dump(parts) == snapshot.dump(whole)


def test_a_snapshot_in_the_middle_goes_on_to_the_same_bits():
    rows, labels = growing_stream(1500)
    whole, _ = run(CLASSIFIER, rows, labels, [])
    half, _ = run(CLASSIFIER, rows[:700], labels[:700], [])
    restored, _, _ = snapshot.load(snapshot.dump(half), CLASSIFIER)
    restored.predict_then_learn(rows[700:], labels[700:])
    assert snapshot.dump(restored) == snapshot.dump(whole)


def test_predicting_changes_nothing():
    rows, labels = growing_stream(900)
    model, _ = run(CLASSIFIER, rows, labels, [])
    before = snapshot.dump(model)
    first = model.predict(rows[:50]).outputs
    assert snapshot.dump(model) == before
    assert (model.predict(rows[:50]).outputs == first).all()
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-5)


def test_it_learns_what_one_linear_model_can_not():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(6000, 2))
    labels = [bool(a * b > 0) for a, b in X]
    model, _ = run(CLASSIFIER, [{"a": a, "b": b} for a, b in X.tolist()], labels, [])
    fresh = rng.normal(size=(500, 2))
    right = model.predict([{"a": a, "b": b} for a, b in fresh.tolist()])
    guessed = [right.classes[k] for k in right.outputs.argmax(axis=1)]
    assert np.mean([g == (a * b > 0) for g, (a, b) in zip(guessed, fresh, strict=True)]) > 0.9


def test_labels_in_runs_are_followed_though_no_feature_tells():
    rng = np.random.default_rng(4)
    labels, rows = [], []
    state = 0
    for _ in range(5000):
        state = 1 - state if rng.random() < 0.05 else state
        labels.append(state)
        rows.append({"noise": float(rng.normal()), "other": float(rng.normal())})
    model = Model(CLASSIFIER)
    predictions = model.predict_then_learn(rows, labels).predictions()
    assert np.mean([p == y for p, y in zip(predictions[1000:], labels[1000:], strict=True)]) > 0.93


def test_a_broken_member_is_begun_anew_counted_and_never_heard():
    rng = np.random.default_rng(5)
    rows = [{"x": float(v)} for v in rng.normal(size=2 * CHECK_EVERY)]
    labels = [row["x"] > 0 for row in rows]
    model = Model(CLASSIFIER)
    model.predict_then_learn(rows[:CHECK_EVERY], labels[:CHECK_EVERY])
    ensemble = model.learner
    before = ensemble.rebirths.copy()
    start, stop = ensemble._table[3, [START, STOP]]
    ensemble._params[start:stop] = np.nan
    outcome = model.predict_then_learn(rows[CHECK_EVERY:], labels[CHECK_EVERY:])
    assert np.isfinite(outcome.losses).all()
    assert outcome.losses[50:].mean() < 0.2
    assert (ensemble.rebirths - before).tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert np.isfinite(ensemble._params).all()


@pytest.mark.parametrize("value", [1e300, -1e300, float("inf"), 1e-300])
def test_extreme_values_leave_everything_finite(value):
    rng = np.random.default_rng(6)
    rows = [{"x": float(v), "y": 1.0} for v in rng.normal(size=600)]
    rows[300]["x"] = value
    classified = Model(CLASSIFIER).predict_then_learn(rows, [row["x"] > 0 for row in rows])
    numbers = [float(v) for v in rng.normal(size=600)]
    numbers[200] = 1e12
    model = Model(REGRESSOR)
    model.predict_then_learn(rows, numbers)
    assert np.isfinite(classified.losses[1:]).all()
    assert np.isfinite(model.predict(rows[:10]).outputs).all()


def test_the_watch_notices_a_jump_and_then_is_content():
    watch = Watch()
    found = []
    for level in [0.2] * 8 + [0.9] * 8:
        watch.add(np.full(CHECK_EVERY, level), regression=False)
        found.append(watch.check())
    assert found == [False] * 8 + [True] + [False] * 7


def test_after_a_drift_plastic_members_begin_anew():
    rng = np.random.default_rng(7)
    rows = [{"a": float(a), "b": float(b)} for a, b in rng.normal(size=(10_000, 2))]
    drift = 13 * CHECK_EVERY
    labels = [(row["a"] > row["b"]) == (i < drift) for i, row in enumerate(rows)]
    model = Model(CLASSIFIER)
    model.predict_then_learn(rows[:drift], labels[:drift])
    assert model.learner.rebirths.sum() == 0
    losses = model.predict_then_learn(rows[drift:], labels[drift:]).losses
    assert model.learner.rebirths.tolist() == [1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert losses[-1000:].mean() < 0.2


def test_one_compilation_serves_every_shape():
    for width, classes in ((1, 2), (5, 2), (3, 4)):
        rng = np.random.default_rng(width)
        rows = [{f"x{j}": float(v) for j, v in enumerate(row)} for row in rng.normal(size=(40, width))]
        Model(CLASSIFIER).predict_then_learn(rows, [i % classes for i in range(40)])
        Model(REGRESSOR).predict_then_learn(rows, [float(i) for i in range(40)])
    assert [len(f.signatures) for f in (walk, mix_two, mix_classes, mix_numbers)] == [1, 1, 1, 1]


def test_restoring_refuses_another_shape_by_name():
    small, large = Ensemble(regression=False), Ensemble(regression=False)
    large.resize(3, 3, 1, "log")
    with pytest.raises(ValueError, match=r"basis\.knots"):
        small.restore(large.state())


def test_seeds_differ_and_the_same_seed_does_not():
    a, b, c = (Ensemble(regression=False, seed=seed) for seed in (0, 0, 1))
    for ensemble in (a, b, c):
        ensemble.resize(4, 4, 1, "log")
    assert a.state()["params"].tobytes() == b.state()["params"].tobytes()
    assert a.state()["params"].tobytes() != c.state()["params"].tobytes()
