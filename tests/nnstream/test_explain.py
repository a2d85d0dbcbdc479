"""Explanations: contributions add up, agree with the definitions in float64, and say what is known to be true."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ReferenceNetwork

from nnstream import activations, snapshot
from nnstream.errors import FeatureError, LabelError, SpecError
from nnstream.estimators import (
    LogisticNeuron,
    MLPClassifier,
    MLPRegressor,
    OnlineClassifier,
    OnlineRegressor,
    Perceptron,
)
from nnstream.explain import Request
from nnstream.kernels import sparse as at
from nnstream.members import Parts, split
from nnstream.model import Model, ModelSpec
from nnstream.network import Network
from nnstream.spec import NetworkSpec

SHAPES = {"none": (), "one": (64,), "two": (32, 16)}
CLASSES, ROWS = 7, 6


def trained(activation, hidden, outputs, inputs=20, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(1500, inputs)).astype(np.float32)
    y = np.argmax(X[:, :CLASSES], axis=1) if outputs > 1 else X[:, 0] * X[:, 1] > 0
    loss = "cross_entropy" if outputs > 1 else "log"
    net = Network(NetworkSpec(inputs, hidden=hidden, outputs=outputs, activation=activation, loss=loss, seed=seed))
    net.predict_then_learn(X, y)
    return net, X[:ROWS]


# -- one network, beside the definition in float64


def log_odds(z, target):
    if len(z) == 1:
        return z[0] if target == 1 else -z[0]
    rest = np.delete(z, target)
    return z[target] - (rest.max() + np.log(np.exp(rest - rest.max()).sum()))


def gradient(reference, x, target):
    """The derivative of the log-odds by the inputs, by the chain rule in float64."""
    scores, _ = reference.forward(x)
    z = scores[-1]
    if len(z) == 1:
        delta = np.array([1.0 if target == 1 else -1.0])
    else:
        powers = np.exp(z - z.max())
        powers[target] = 0
        delta = -powers / powers.sum()
        delta[target] = 1
    for k in range(len(scores) - 1, 0, -1):
        delta = reference.weights[k] @ delta
        delta = delta * activations.derivative(reference.activation, scores[k - 1])
    return reference.weights[0] @ delta


def integral(reference, x, target, nodes=2000):
    """The path integral by the midpoint rule."""
    x = x.astype(np.float64)
    return x * np.mean([gradient(reference, (i + 0.5) / nodes * x, target) for i in range(nodes)], axis=0)


@pytest.mark.parametrize("outputs", [1, CLASSES])
@pytest.mark.parametrize("hidden", SHAPES)
@pytest.mark.parametrize("activation", [each.name.lower() for each in activations.Activation])
@pytest.mark.parametrize("steps", [1, 3, 16])
def test_contributions_add_up_for_any_number_of_steps(activation, hidden, outputs, steps):
    net, X = trained(activation, SHAPES[hidden], outputs)
    contributions, ends = net.explain(X, steps=steps)
    reference = ReferenceNetwork(net.spec, net.params)
    for x, own, (baseline, output, target) in zip(X, contributions, ends, strict=True):
        for point, score in ((x, output), (0 * x, baseline)):
            assert score == pytest.approx(log_odds(reference.forward(point)[0][-1], int(target)), abs=2e-4)
        assert own.sum() == pytest.approx(output - baseline, abs=2e-4)


@pytest.mark.parametrize("outputs", [1, CLASSES])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize(("hidden", "tolerance"), [("none", 0.002), ("one", 0.005), ("two", 0.02)])
def test_sixteen_steps_are_the_path_integral(activation, hidden, tolerance, outputs):
    net, X = trained(activation, SHAPES[hidden], outputs)
    contributions, ends = net.explain(X[:2])
    reference = ReferenceNetwork(net.spec, net.params)
    for x, own, (_, _, target) in zip(X, contributions, ends, strict=False):
        expected = integral(reference, x, int(target))
        assert np.abs(own - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize("outputs", [1, CLASSES])
@pytest.mark.parametrize("hidden", SHAPES)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "softplus", "sigmoid"])
def test_gradient_times_input_is_the_derivative(activation, hidden, outputs):
    net, X = trained(activation, SHAPES[hidden], outputs)
    contributions, ends = net.explain(X, steps=0)
    reference = ReferenceNetwork(net.spec, net.params)
    for x, own, (baseline, _, target) in zip(X, contributions, ends, strict=True):
        expected = x * gradient(reference, x.astype(np.float64), int(target))
        assert math.isnan(baseline)
        assert own == pytest.approx(expected, abs=1e-4 * np.abs(expected).max())


def test_the_most_probable_class_is_explained_unless_another_is_asked_for():
    net, X = trained("relu", (64,), CLASSES)
    _, ends = net.explain(X)
    assert ends[:, 2].tolist() == net.predict(X).argmax(axis=1).tolist()
    for target in range(CLASSES):
        assert (net.explain(X, target)[1][:, 2] == target).all()
    with pytest.raises(SpecError, match="no class 7"):
        net.explain(X, CLASSES)


def test_a_block_of_rows_is_explained_as_each_row_alone():
    net, X = trained("relu", (32, 16), CLASSES)
    whole, _ = net.explain(X)
    assert whole.tobytes() == b"".join(net.explain(x)[0].tobytes() for x in X)


# -- the ensemble, beside the mixture in float64


def stream(count, task, seed=0):
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for _ in range(count):
        a, b, c = rng.normal(size=3).tolist()
        kind, pair = "rgb"[rng.integers(3)], rng.normal(size=2).tolist()
        rows.append({"a": a, "b": b if rng.random() > 0.1 else None, "c": c, "kind": kind, "pair": pair})
        score = 2 * a - b * (kind == "r") + pair[0] * a + 0.5 * rng.normal()
        labels.append({"regression": 10 * score, "two": score > 0, "three": int(np.digitize(score, [-1, 1]))}[task])
    return rows, labels


def model_of(learner, task, count=1200):
    network = NetworkSpec(0, hidden=(16,), loss="huber" if task == "regression" else "log")
    spec = ModelSpec(
        task="regression" if task == "regression" else "classification", learner=learner, network=network
    )
    model = Model(spec)
    rows, labels = stream(count, task)
    model.predict_then_learn(rows, labels)
    return model, rows


def softmax(z):
    powers = np.exp(z - z.max())
    return powers / powers.sum()


def mixture(ensemble, scores, target):
    """What `mix_classes` and `mix_numbers` say, from their docstrings, in float64."""
    state, learned = ensemble._state.astype(np.float64), ensemble._mixing[:, : len(scores)].astype(np.float64)
    trust, share = softmax(state[0, : len(scores)]), softmax(state[1, :3])
    if ensemble.regression:
        said = np.clip(scores[:, 0], -10, 10)
        centre = trust @ said
        ways = [centre, *(np.clip(centre + row @ (said - centre), -10, 10) for row in learned)]
        return share @ ways
    if scores.shape[1] == 1:
        z = np.clip(scores, -9.2, 9.2)
        said = -np.log1p(np.exp(np.concatenate([z, -z], axis=1)))
        shares = np.exp(said)
    else:
        shares = np.array([softmax(row) for row in scores])
        said, shares = np.maximum(np.log(shares), -9.2), shares * (1 - 1e-4 * scores.shape[1]) + 1e-4
    ways = np.array([trust @ shares, *(softmax(row @ said) for row in learned)])
    mixed = share @ ways
    return np.log(mixed[target]) - np.log(np.delete(mixed, target).sum())


def member_score(member, parts: Parts, columns, values, offset):
    rows = np.concatenate([parts.lags, parts.columns, parts.bins]).astype(np.float64)[columns - offset]
    if not member.hidden:
        return rows, values @ rows + parts.bias
    z = values @ rows + parts.hidden_bias
    return (rows * (z > 0)) @ parts.top.T.astype(np.float64), parts.top @ np.maximum(z, 0) + parts.bias


def ensemble_gradient(ensemble, columns, values, target):
    """The derivative of the mixture by each entry: central differences over the scores, the chain rule below."""
    scores, slopes = np.zeros((ensemble._speakers, ensemble._outputs)), []
    if ensemble.regression:
        scores[-1] = values[0]
    for j, (member, row) in enumerate(zip(ensemble.members, ensemble._table, strict=True)):
        first, last, offset, start, stop = row[[at.FIRST_ENTRY, at.LAST_ENTRY, at.FIRST_COLUMN, at.START, at.STOP]]
        parts = split(ensemble._params[start:stop], member, ensemble._shape, ensemble._outputs)
        slope, scores[j] = member_score(member, parts, columns[first:last], values[first:last], offset)
        slopes.append((first, last, slope))
    total, h = np.zeros(len(values)), 1e-6
    for j, (first, last, slope) in enumerate(slopes):
        for c in range(scores.shape[1]):
            nudge = np.zeros_like(scores)
            nudge[j, c] = h
            up, down = (mixture(ensemble, scores + sign * nudge, target) for sign in (1, -1))
            total[first:last] += slope[:, c] * (up - down) / (2 * h)
    return total


@pytest.mark.parametrize("task", ["two", "three", "regression"])
def test_an_ensembles_explanation_is_the_derivative_of_its_mixture(task):
    model, rows = model_of("ensemble", task)
    ensemble = model.learner
    lags, columns_of_x = ensemble._shape.lags, ensemble._shape.columns
    for row in rows[:3]:
        block = model.block_of(row)
        columns, values = (array[0] for array in ensemble._entries(block))
        moving = values.astype(np.float64) * (np.arange(len(values)) >= lags)
        still = values - moving
        for steps, nodes in ((0, 1), (16, 150)):
            found = ensemble.explain(block, 1 if task == "regression" else -1, steps)
            at = [still + (1.0 if nodes == 1 else (i + 0.5) / nodes) * moving for i in range(nodes)]
            expected = moving * np.mean([ensemble_gradient(ensemble, columns, x, found.target) for x in at], axis=0)
            by_column = expected[lags : lags + columns_of_x]
            np.add.at(by_column, block.number_columns.repeat(2), expected[lags + columns_of_x :])
            assert np.abs(found.contributions - by_column).max() < 0.02 * np.abs(by_column).max()


@pytest.mark.parametrize("task", ["two", "three", "regression"])
@pytest.mark.parametrize("learner", ["network", "ensemble"])
def test_contributions_add_up_to_the_change_of_what_is_published(learner, task):
    model, rows = model_of(learner, task)
    nothing = model.predict_one({})
    for row in rows[:40]:
        said, found = model.predict_one(row), model.explain_one(row)
        assert sum(found.contributions.values()) == pytest.approx(found.output - found.baseline, abs=1e-4)
        if task == "regression":
            assert found.label is None
            assert (found.output, found.baseline) == pytest.approx((said[0], nothing[0]), abs=1e-4)
            continue
        known = model.classes.known
        assert found.label == known[int(np.argmax(said))]
        for output, shares in ((found.output, said), (found.baseline, nothing)):
            assert 1 / (1 + math.exp(-output)) == pytest.approx(shares[known.index(found.label)], abs=2e-4)


@pytest.mark.parametrize("learner", ["network", "ensemble"])
def test_what_is_missing_or_unknown_contributes_nothing(learner):
    model, rows = model_of(learner, "two")
    row = rows[0] | {"b": None, "kind": "never seen", "new": 3.0}
    found = model.explain_one(row).contributions
    assert list(found) == list(row)
    assert found["b"] == found["kind"] == found["new"] == 0.0
    assert found["a"] != 0.0


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_input"])
@pytest.mark.parametrize("regression", [False, True])
def test_of_a_linear_model_every_method_gives_weight_times_distance_from_the_mean(method, regression):
    rng = np.random.default_rng(5)
    estimator = MLPRegressor(hidden=()) if regression else LogisticNeuron()
    for _ in range(800):
        x = {"a": rng.normal(3, 2), "b": rng.normal(-1, 0.5)}
        score = x["a"] - 6 * x["b"] - 9
        estimator.learn_one(x, score if regression else score + rng.logistic() > 0)
    model = estimator.model
    weights = model.learner.network.params[:2] * (model.scale.spread if regression else 1)
    statistics = model.encoder.state()
    x = {"a": 4.0, "b": 0.2}
    distance = (np.array(list(x.values())) - statistics["mean"]) / np.sqrt(statistics["variance"])
    second = None if regression else model.classes.known[1]
    found = estimator.explain_one(x, method, second)
    assert list(found.values()) == pytest.approx((weights * distance).tolist(), rel=0.01)  # the event moves the mean


def test_the_log_odds_of_one_of_two_classes_are_minus_those_of_the_other():
    model, rows = model_of("ensemble", "two")
    yes, no = (model.explain_one(rows[1], label=label).contributions for label in (True, False))
    assert yes == pytest.approx({name: -value for name, value in no.items()}, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("task", ["two", "three", "regression"])
@pytest.mark.parametrize("value", [np.inf, np.nan, 1e30])
def test_a_network_that_has_diverged_says_nothing(task, value):
    model, rows = model_of("ensemble", task)
    start, stop = model.learner._table[1, 8:10]
    model.learner._params[start:stop] = value
    for method in ("integrated_gradients", "gradient_x_input"):
        found = model.explain_one(rows[2], method)
        assert np.isfinite(list(found.contributions.values())).all()
        if method == "integrated_gradients":
            assert sum(found.contributions.values()) == pytest.approx(found.output - found.baseline, abs=1e-3)


def test_before_two_classes_are_known_there_is_nothing_to_explain():
    estimator = OnlineClassifier()
    assert estimator.explain_one({"a": 1.0}) == {"a": 0.0}
    estimator.learn_one({"a": 1.0}, "only")
    assert estimator.explain_one({"a": 1.0}) == {"a": 0.0}


def test_a_regression_can_be_explained_before_its_first_label():
    assert OnlineRegressor().explain_one({"a": 1.0}) == {"a": 0.0}
    assert MLPRegressor().explain_one({}) == {}


def test_what_can_not_be_explained_is_refused():
    estimator = MLPClassifier()
    for i in range(10):
        estimator.learn_one({"a": float(i)}, i % 2)
    with pytest.raises(LabelError, match="'yes' is no class of this model"):
        estimator.explain_one({"a": 1.0}, label="yes")
    with pytest.raises(SpecError, match="integrated_gradients, gradient_x_input"):
        estimator.explain_one({"a": 1.0}, "shap")
    with pytest.raises(FeatureError, match=r"features\.a"):
        estimator.explain_one({"a": "text"})


def test_to_explain_changes_nothing():
    for learner in ("network", "ensemble"):
        model, rows = model_of(learner, "three")
        before = snapshot.dump(model)
        for method in ("integrated_gradients", "gradient_x_input"):
            model.explain_one(rows[0], method)
        assert snapshot.dump(model) == before


# -- in the stream


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=6).map(sorted), wanted=st.sets(st.integers(0, 299), max_size=12))
@pytest.mark.parametrize("task", ["three", "regression"])
@pytest.mark.parametrize("learner", ["network", "ensemble"])
def test_explanations_in_the_stream_are_those_of_the_model_that_predicted(learner, task, cuts, wanted):
    spec = model_of(learner, task, count=0)[0].spec
    rows, labels = stream(300, task)
    plain, model, alone = Model(spec), Model(spec), Model(spec)
    expected = plain.predict_then_learn(rows, labels)
    found, losses = {}, []
    for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        asked = {i - start: rows[i] for i in wanted if start <= i < stop}
        outcome = model.predict_then_learn(rows[start:stop], labels[start:stop], Request(asked))
        found |= {start + i: each for i, each in outcome.explanations.items()}
        losses.append(outcome.losses)
    assert np.concatenate(losses).tobytes() == expected.losses.tobytes()
    assert snapshot.dump(model) == snapshot.dump(plain)
    assert found.keys() == wanted
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        if i in wanted:
            assert found[i] == alone.explain_one(row)
        alone.predict_then_learn([row], [label])


def test_the_true_reasons_of_a_decision_stand_out():
    model, rows = model_of("ensemble", "two", count=3000)
    mean = {name: np.mean([abs(model.explain_one(row).contributions[name]) for row in rows[:100]]) for name in "abc"}
    assert mean["a"] > 5 * mean["c"]
    assert mean["b"] > mean["c"]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("estimator", [Perceptron(), MLPClassifier(hidden=(8,), loss="hinge"), LogisticNeuron()])
def test_what_decides_by_a_score_is_explained_by_that_score(estimator, classes):
    estimator = estimator.clone()
    rng = np.random.default_rng(8)
    rows = [dict(zip("abc", row, strict=True)) for row in rng.normal(size=(600, 3)).tolist()]
    for x in rows:
        estimator.learn_one(x, int(np.digitize(x["a"] - x["b"], [-0.5, 0.5][: classes - 1])))
    sizes = dict.fromkeys("abc", 0.0)
    for x in rows[:50]:
        found = estimator.model.explain_one(x)
        assert found.label == estimator.predict_one(x)
        assert sum(found.contributions.values()) == pytest.approx(found.output - found.baseline, abs=1e-4)
        assert found.output >= (0 if classes == 2 else -math.log(classes))
        sizes = {name: size + abs(found.contributions[name]) for name, size in sizes.items()}
    assert sizes["c"] < min(sizes["a"], sizes["b"])
