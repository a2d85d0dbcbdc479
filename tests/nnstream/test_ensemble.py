"""The default learner: any cut of a stream, growth, safety, and that it beats its own members' worst case."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnstream import snapshot
from nnstream.ensemble import Ensemble
from nnstream.errors import SpecError
from nnstream.kernels.mixture import mix_classes, mix_numbers, mix_two
from nnstream.kernels.sparse import START, STOP, walk
from nnstream.members import split
from nnstream.model import Model, ModelSpec
from nnstream.watch import CHECK_EVERY, Watch

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


@pytest.mark.parametrize("spec", [CLASSIFIER, REGRESSOR], ids=["classification", "regression"])
def test_an_event_of_weight_zero_teaches_nothing_and_an_even_weight_of_one_is_none(spec):
    rows, labels = growing_stream(900)
    labels = [str(i % 2) if label is None else label for i, label in enumerate(labels)]
    if spec is REGRESSOR:
        labels = [float(len(label)) for label in labels]
    weights = [float(i < 450) for i in range(900)]
    plain, half, even = Model(spec), Model(spec), Model(spec)
    plain.predict_then_learn(rows[:450], labels[:450])
    half.predict_then_learn(rows, labels, weights=weights)
    state, before = half.learner.state(), plain.learner.state()
    even.predict_then_learn(rows[:450], labels[:450], weights=[1.0] * 450)
    assert snapshot.dump(even) == snapshot.dump(plain)
    assert half.version == 900
    first = slice(*plain.learner._table[3, [START, STOP]])  # a member that replays nothing, and adds no features
    grown = split(state["params"][slice(*half.learner._table[3, [START, STOP]])], half.learner.members[3],
                  half.learner._shape, half.learner._outputs)  # fmt: skip
    own = split(before["params"][first], plain.learner.members[3], plain.learner._shape, plain.learner._outputs)
    assert np.array_equal(grown.columns[: len(own.columns)], own.columns)


def test_weights_move_the_mixture_towards_what_they_stress():
    rng = np.random.default_rng(11)
    rows = [{"a": float(a), "b": float(b)} for a, b in rng.normal(size=(3000, 2))]
    labels = [bool(rng.random() < 0.5) for _ in rows]
    model = Model(CLASSIFIER)
    model.predict_then_learn(rows, labels, weights=[5.0 if label else 1.0 for label in labels])
    outputs = model.predict(rows[:200]).outputs[:, model.classes.index(True)]
    assert np.mean(outputs > 0.5) > 0.9


def test_any_cut_of_a_weighted_stream_gives_the_same_bits():
    rows, labels = growing_stream(700)
    weights = np.random.default_rng(12).choice([0.0, 0.5, 3.0], 700).tolist()
    whole, parts = Model(CLASSIFIER), Model(CLASSIFIER)
    whole.predict_then_learn(rows, labels, weights=weights)
    for start, stop in ((0, 1), (1, 333), (333, 512), (512, 700)):
        parts.predict_then_learn(rows[start:stop], labels[start:stop], weights=weights[start:stop])
    assert snapshot.dump(whole) == snapshot.dump(parts)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_cannot_be_is_refused_and_nothing_changes(weight):
    for spec in (CLASSIFIER, ModelSpec()):
        model = Model(spec)
        model.predict_then_learn([{"x": 1.0}, {"x": 2.0}], ["a", "b"])
        before = snapshot.dump(model)
        with pytest.raises(SpecError, match="weights: expected 1 finite"):
            model.learn_one({"x": 3.0}, "c", weight)
        assert snapshot.dump(model) == before
