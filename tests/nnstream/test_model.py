"""A model on a stream that grows: any cut gives the same bits, and each prediction knows only what came before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnstream import snapshot
from nnstream.errors import LabelError, SpecError
from nnstream.model import Model, ModelSpec
from nnstream.optimizers import Adam
from nnstream.outcome import best
from nnstream.spec import NetworkSpec

NETWORK = NetworkSpec(inputs=0, hidden=(6,))
SPECS = {
    "classification": ModelSpec(network=NETWORK),
    "classification, adam": ModelSpec(network=NetworkSpec(inputs=0, hidden=(5, 4), optimizer=Adam())),
    "classification, hinge": ModelSpec(network=NetworkSpec(inputs=0, hidden=(6,), loss="hinge")),
    "regression": ModelSpec(task="regression", network=NETWORK),
    "ensemble": ModelSpec(learner="ensemble"),
    "ensemble, regression": ModelSpec(task="regression", learner="ensemble"),
}
COUNT = 120


def stream(spec, count=COUNT, seed=0):
    """Features and classes that come and go, missing values, unlabelled events, rows that are refused."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for i in range(count):
        row = {f"x{j}": float(rng.normal()) for j in range(1 + i * 4 // count)}
        if i > count // 4:
            row["kind"] = "abcdef"[rng.integers(1 + i * 5 // count)]
        if i > count // 2 and i % 3:
            row["pixels"] = rng.random(3).tolist()
        if i % 23 == 22:
            row["x0"] = "not a number"
        row = {name: value for name, value in row.items() if rng.random() > 0.1}
        label = ["yes", "no", "perhaps", 7][rng.integers(1 + i * 4 // count)]
        if spec.task == "regression":
            label = float(rng.normal(100, 5))
        rows.append(row)
        labels.append(label if rng.random() < 0.8 else None)
    return rows, labels


def run(spec, rows, labels, cuts=()):
    """The model after the stream, and everything it said on the way."""
    model, said, refused = Model(spec), [], {}
    for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        outcome = model.predict_then_learn(rows[start:stop], labels[start:stop])
        outputs = {i: row.tobytes() for s in outcome.segments for i, row in zip(s.rows, s.outputs, strict=True)}
        for i, prediction in enumerate(outcome.predictions()):
            said.append((prediction, outputs.get(i), outcome.losses[i].tobytes(), int(outcome.versions[i])))
        refused |= {start + i: reason for i, reason in outcome.refused.items()}
    return model, said, refused


@pytest.fixture(scope="module")
def whole():
    return {name: run(spec, *stream(spec)) for name, spec in SPECS.items()}


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, COUNT), max_size=15).map(sorted))
def test_any_cut_gives_the_same_predictions_and_the_same_snapshot(whole, name, cuts):
    spec = SPECS[name]
    model, said, refused = run(spec, *stream(spec), cuts)
    assert said == whole[name][1]
    assert refused == whole[name][2]
    assert snapshot.dump(model) == snapshot.dump(whole[name][0])


@pytest.mark.parametrize("name", SPECS)
def test_one_event_at_a_time_gives_the_same(whole, name):
    model, said, _ = run(SPECS[name], *stream(SPECS[name]), range(1, COUNT))
    assert said == whole[name][1]
    assert snapshot.dump(model) == snapshot.dump(whole[name][0])


@pytest.mark.parametrize("name", SPECS)
def test_a_prediction_is_what_asking_before_the_event_gives(name):
    model = Model(SPECS[name])
    for row, label in zip(*stream(SPECS[name]), strict=True):
        if model.encoder.problem(row) is not None:
            continue
        asked = model.predict([row])
        outcome = model.predict_then_learn([row], [label])
        assert outcome.segments[0].outputs.tobytes() == asked.outputs.tobytes()
        assert outcome.predictions() == best(asked)


@pytest.mark.parametrize("name", SPECS)
def test_asking_changes_nothing(name):
    spec = SPECS[name]
    model, *_ = run(spec, *stream(spec))
    before = snapshot.dump(model)
    unknown = [{"x0": 3.0, "new": 1.0, "kind": "never"}, {}]
    model.predict(unknown)
    model.predict_one(unknown[0])
    assert snapshot.dump(model) == before
    asked = [row for row in stream(spec, seed=1)[0] if model.encoder.problem(row) is None] + unknown
    said = model.predict_then_learn(asked, [None] * len(asked))
    assert snapshot.dump(model) == before
    assert np.isnan(said.losses).all()
    assert b"".join(s.outputs.tobytes() for s in said.segments) == model.predict(asked).outputs.tobytes()


@pytest.mark.parametrize("name", SPECS)
def test_an_unlabelled_or_refused_event_is_not_learned(name):
    spec = SPECS[name]
    rows, labels = stream(spec)
    model, said, refused = run(spec, rows, labels)
    assert refused.keys() == {i for i, row in enumerate(rows) if row.get("x0") == "not a number"}
    learned = [label is not None and i not in refused for i, label in enumerate(labels)]
    assert model.version == sum(learned)
    versions = [version for *_, version in said]
    assert [v for i, v in enumerate(versions) if i not in refused] == [
        sum(learned[:i]) for i in range(COUNT) if i not in refused
    ]


# -- losses


@pytest.mark.parametrize("name", SPECS)
def test_a_loss_is_that_of_the_prediction_that_was_published(name):
    """The loss of `loss_of`, from what was said alone, is that of the compiled step, which knows the scores."""
    spec = SPECS[name]
    rows, labels = stream(spec)
    model, found, expected = Model(spec), [], []
    for row, label in zip(rows, labels, strict=True):
        outcome = model.predict_then_learn([row], [label])
        if label is not None and not outcome.refused:
            found.append(model.loss_of(outcome.segments[0], label))
            expected.append(outcome.losses[0])
    assert len(found) > 80
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_perceptron_does_not_say_by_how_much_it_was_wrong():
    model = Model(ModelSpec(network=NetworkSpec(inputs=0, hidden=(), loss="perceptron")))
    model.predict_then_learn([{"a": float(i % 2)} for i in range(20)], ["u", "v"] * 10)
    said = model.predict([{"a": 1.0}])
    assert [model.loss_of(said, label) for label in ("v", "u", "never seen")] == [0.0, 1.0, 1.0]


# -- classes


def test_a_class_met_for_the_first_time_is_not_predicted_but_learned():
    model = Model(ModelSpec(network=NETWORK))
    rows = [{"a": float(i % 5), "b": 1.0} for i in range(30)]
    model.predict_then_learn(rows, ["u", "v"] * 15)
    outcome = model.predict_then_learn([{"a": 1.0, "b": 1.0}] * 2, ["w", "w"])
    first, second = outcome.segments
    assert first.classes == ("u", "v")
    assert second.classes == ("u", "v", "w")
    assert outcome.losses[0] == pytest.approx(-np.log(1e-7), rel=0.5)
    assert second.outputs.sum() == pytest.approx(1, abs=1e-5)
    assert model.version == 32


def test_before_the_first_label_nothing_is_predicted():
    outcome = Model(ModelSpec(network=NETWORK)).predict_then_learn([{"a": 1.0}] * 3, [None, "u", None])
    assert outcome.predictions() == [None, None, "u"]
    assert np.isnan(outcome.losses).all()


def test_declared_classes_are_there_from_the_start_in_their_order():
    model = Model(ModelSpec(network=NETWORK, classes=("b", "a", "c")))
    outcome = model.predict_then_learn([{"x": 1.0}], ["c"])
    assert outcome.segments[0].classes == ("b", "a", "c")
    assert outcome.losses[0] == pytest.approx(np.log(3), rel=0.5)


def test_classes_have_types_but_1_and_1_0_are_one():
    model = Model(ModelSpec(network=NETWORK))
    model.predict_then_learn([{"x": 1.0}] * 6, [1, "1", True, 1.0, "true", np.int64(1)])
    assert model.classes.known == [1, "1", True, "true"]


@pytest.mark.parametrize("label", [1.5, None, [1], {}, float("nan"), float("inf")])
def test_what_is_no_class_is_refused(label):
    with pytest.raises(LabelError, match=r"^label: expected a class"):
        Model(ModelSpec()).check_label(label)


@pytest.mark.parametrize("label", ["x", True, None, [1.0], float("nan"), float("-inf"), 10**400, 2e100])
def test_what_is_no_number_is_refused(label):
    with pytest.raises(LabelError, match=r"^label: expected a (finite )?number"):
        Model(ModelSpec(task="regression")).check_label(label)


def test_a_regression_has_no_classes():
    with pytest.raises(SpecError, match="a regression has no classes"):
        ModelSpec(task="regression", classes=("a",))


def test_a_class_that_cannot_be_declared_is_refused():
    with pytest.raises(LabelError):
        ModelSpec(classes=(1.5,))


# -- regression


@pytest.mark.parametrize("learner", ["network", "ensemble"])
@pytest.mark.parametrize(("factor", "shift"), [(1e-6, 0.0), (1.0, 0.0), (1e6, 1e7)])
def test_the_scale_of_a_regression_does_not_matter(learner, factor, shift):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2))
    y = 3 * x[:, 0] - 2 * x[:, 1]
    rows = [{"a": a, "b": b} for a, b in x.tolist()]
    model = Model(ModelSpec(task="regression", learner=learner, network=NETWORK))
    outcome = model.predict_then_learn(rows, (y * factor + shift).tolist())
    error = (np.array(outcome.predictions()) - shift) / factor - y
    assert np.abs(error[300:]).mean() < 0.3 * np.abs(y).mean()


def test_the_loss_of_a_regression_is_in_units_of_the_label():
    model = Model(ModelSpec(task="regression", network=NETWORK))
    labels = [10.0, 30.0, 20.0, 25.0]
    outcome = model.predict_then_learn([{"x": float(i)} for i in range(4)], labels)
    expected = [(guess - label) ** 2 for guess, label in zip(outcome.predictions(), labels, strict=True)]
    assert outcome.losses.tolist() == expected
    assert outcome.predictions()[:2] == [0.0, 10.0]


def test_a_broken_label_does_not_throw_the_weights_away():
    rng = np.random.default_rng(0)
    x = rng.normal(size=800)
    y = 3 * x + 5
    y[400] = 1e90
    model = Model(ModelSpec(task="regression", network=NETWORK))
    guesses = np.array(model.predict_then_learn([{"x": v} for v in x.tolist()], y.tolist()).predictions())
    assert np.isfinite(guesses).all()
    assert np.abs(guesses[700:] - y[700:]).mean() < np.abs(y[700:] - y[700:].mean()).mean()
