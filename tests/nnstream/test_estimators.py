"""The River estimators: River's own contract without exception, and what they promise beyond it."""

import doctest
import importlib
import math
import pickle
import random

import numpy as np
import pandas as pd  # without it River would leave its checks of the many-methods out
import pytest
from river import checks, compose, datasets, dummy, evaluate, metrics, preprocessing, stats, utils

from nnstream import snapshot
from nnstream.errors import FeatureError, LabelError
from nnstream.estimators import (
    LogisticNeuron,
    MLPClassifier,
    MLPRegressor,
    OnlineClassifier,
    OnlineRegressor,
    Perceptron,
)
from nnstream.kernels.step import predict_then_learn
from nnstream.model import Model, ModelSpec
from nnstream.optimizers import SGD, Adam, FTRLProximal, Momentum
from nnstream.spec import NetworkSpec

CLASSIFIERS = (MLPClassifier, Perceptron, LogisticNeuron)
ESTIMATORS = (*CLASSIFIERS, MLPRegressor)
ALL = (*ESTIMATORS, OnlineClassifier, OnlineRegressor)
VARIANTS = (
    MLPClassifier(loss="hinge", hidden=(8, 8), activation="tanh"),
    MLPClassifier(optimizer=Adam(), dropout=0.2, l1=1e-4, l2=1e-4, max_norm=3.0, memory=500.0),
    MLPRegressor(loss="quantile", loss_shape=0.9, optimizer=Momentum()),
    LogisticNeuron(optimizer=FTRLProximal(), l1=1e-3),
)


def checks_of(estimator):
    """Name a check by its place too: River repeats each for several data sets."""
    return [
        pytest.param(estimator, check, id=f"{estimator}-{i}-{check.__name__}")
        for i, check in enumerate(checks.yield_checks(estimator))
    ]


def state_of(estimator):
    model = estimator.model
    arrays = {"version": np.array(model.version), **model.learner.state()}
    arrays |= {f"encoder.{name}": array for name, array in model.encoder.state().items()}
    arrays |= {f"scale.{name}": array for name, array in model.scale.state().items()}
    return {name: array.tobytes() for name, array in arrays.items()} | {"columns": model.encoder.column_names}


# -- River's own checks


@pytest.mark.parametrize(
    ("estimator", "check"),
    [case for each in ALL for case in checks_of(each())] + [case for each in VARIANTS for case in checks_of(each)],
)
def test_passes_rivers_check(estimator, check):
    check(estimator.clone())


@pytest.mark.parametrize("cls", ALL)
def test_skips_none_of_rivers_checks(cls):
    assert cls()._unit_test_skips() == set()
    checks.check_estimator(cls())


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_keeps_its_parameters_as_given_and_clones_without_what_it_learned(cls):
    estimator = cls()
    (x, y) = next(iter(datasets.Phishing()))
    estimator.learn_one(x, int(y))
    clone = estimator.clone()
    assert clone.model.version == 0
    assert repr(clone) == repr(estimator)
    assert clone.clone({"memory": 100.0}).memory == 100.0


@pytest.mark.parametrize("module", ["mlp", "neurons"])
def test_examples_in_docstrings(module):
    result = doctest.testmod(importlib.import_module(f"nnstream.estimators.{module}"))
    assert result.attempted
    assert not result.failed


# -- scores


def accuracy(dataset, model):
    return evaluate.progressive_val_score(dataset, model, metrics.Accuracy()).get()


@pytest.mark.parametrize(
    ("cls", "dataset"),
    [(cls, dataset) for cls in CLASSIFIERS for dataset in (datasets.Phishing(), datasets.ImageSegments())]
    + [(MLPClassifier, datasets.Bananas())],  # two interleaved crescents: no straight line separates them
)
def test_beats_the_baselines_in_a_pipeline(cls, dataset):
    baseline = max(accuracy(dataset, dummy.PriorClassifier()), accuracy(dataset, dummy.NoChangeClassifier()))
    assert accuracy(dataset, compose.Pipeline(preprocessing.StandardScaler(), cls())) > baseline + 0.15
    assert accuracy(dataset, cls()) > baseline + 0.15  # and no scaler is needed


def test_regressor_beats_the_baseline_in_a_pipeline():
    def error(model):
        return evaluate.progressive_val_score(datasets.TrumpApproval(), model, metrics.MAE()).get()

    baseline = error(dummy.StatisticRegressor(stats.Mean()))
    assert error(compose.Pipeline(preprocessing.StandardScaler(), MLPRegressor())) < baseline / 3
    assert error(MLPRegressor()) < baseline / 3


def test_debug_one_and_logged_calls_in_a_pipeline():
    pipeline = compose.Pipeline(preprocessing.StandardScaler(), MLPClassifier())
    for x, y in datasets.Phishing().take(3):
        with utils.log_method_calls():
            pipeline.learn_one(x, y)
        assert "MLPClassifier" in pipeline.debug_one(x)


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("dataset", [datasets.Phishing(), datasets.ImageSegments()])
def test_probabilities_sum_to_one_and_cover_the_classes(cls, dataset):
    model, seen = cls(), set()
    for x, y in dataset.take(500):
        probabilities = model.predict_proba_one(x)
        assert set(probabilities) == seen
        assert not seen or math.isclose(sum(probabilities.values()), 1.0, rel_tol=1e-12)
        assert model.predict_one(x) == max(probabilities, key=probabilities.get, default=None)
        model.learn_one(x, y)
        seen.add(y)


# -- the lineage


def truth_table(rule):
    return [({"a": a, "b": b}, rule(a, b)) for a in (0, 1) for b in (0, 1)]


@pytest.mark.parametrize("rule", [lambda a, b: a and b, lambda a, b: a or b, lambda a, b: a and not b])
@pytest.mark.parametrize("cls", [Perceptron, LogisticNeuron, MLPClassifier])
def test_learns_what_a_straight_line_separates(cls, rule):
    cases = [(x, bool(y)) for x, y in truth_table(rule)]
    model = cls()
    for x, y in cases * 200:
        model.learn_one(x, y)
    assert [model.predict_one(x) for x, _ in cases] == [y for _, y in cases]


def test_one_perceptron_does_not_learn_xor_and_a_hidden_layer_does():
    cases = truth_table(lambda a, b: a ^ b)
    perceptron, network = Perceptron(), MLPClassifier(hidden=(8,), activation="tanh")
    for x, y in cases * 500:
        perceptron.learn_one(x, y)
        network.learn_one(x, y)
    assert [perceptron.predict_one(x) for x, _ in cases] != [y for _, y in cases]
    assert [network.predict_one(x) for x, _ in cases] == [y for _, y in cases]


def test_perceptron_adds_a_wrong_sample_and_leaves_a_right_one():
    perceptron = Perceptron(memory=1e9)
    rng = np.random.default_rng(3)
    weights, bias = np.zeros(2), 0.0
    for _ in range(200):
        x = rng.normal(size=2)
        y = bool(x[0] - 2 * x[1] > 0.3)
        perceptron.learn_one({"a": x[0], "b": x[1]}, y)
        scaled = perceptron.model.encoder.encode([{"a": x[0], "b": x[1]}]).X[0]
        t = 1 if perceptron.model.classes.index(y) else -1
        if t * (weights @ scaled + bias) <= 0:
            weights, bias = weights + t * scaled, bias + t
    learned, learned_bias = perceptron.model.learner.network.layers()[0]
    assert np.allclose(learned[:, 0], weights, atol=1e-4)
    assert learned_bias[0] == bias
    assert set(perceptron.predict_proba_one({"a": 1.0, "b": 2.0}).values()) == {0.0, 1.0}


@pytest.mark.parametrize("model", [Perceptron(), MLPClassifier(loss="hinge"), MLPClassifier()])
def test_third_class_leaves_the_decision_between_the_first_two_as_it_was(model):
    model = model.clone()
    rows = [x for x, _ in datasets.Bananas().take(300)]
    for x, y in datasets.Bananas().take(300):
        model.learn_one(x, y)
    before = [model.predict_one(x) for x in rows]
    network = model.model.learner.network
    network.resize(2, 3, "cross_entropy" if isinstance(model, MLPClassifier) and model.loss == "log" else "hinge")
    model.model.classes.add("new")
    after = [model.predict_one(x) for x in rows]
    assert before == after


# -- a stream that changes


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_new_classes_and_features_appear_and_features_disappear(cls):
    rng = random.Random(1)
    model = cls()
    for i in range(600):
        label = rng.choice(["a", "b"] if i < 200 else ["a", "b", "c", "d"])
        x = {"one": float(ord(label)) + rng.random(), "two": rng.random()}
        if i >= 300:
            x["colour"] = {"a": "red", "b": "red"}.get(label, "blue")
        if i >= 400:
            del x["two"]
        model.learn_one(x, label)
    assert set(model.predict_proba_one({})) == {"a", "b", "c", "d"}
    assert model.predict_one({"one": ord("a") + 0.5, "colour": "red"}) == "a"
    assert model.predict_one({"one": ord("d") + 0.5, "colour": "blue"}) == "d"


def test_growing_keeps_what_the_optimizer_knows():
    model = MLPClassifier(hidden=(4,), optimizer=Adam(0.01))
    for x, y in datasets.Bananas().take(100):
        model.learn_one(x, y)
    before = {name: array.copy() for name, array in model.model.learner.state().items()}
    probabilities = model.predict_proba_one(x)
    model.learn_one({**x, "0": 1.0}, y, w=0.0)  # a new feature, and a step that moves nothing but Adam's moments
    after = model.model.learner.state()
    assert after["params"].size == before["params"].size + 4
    moments_before = before["slots"].reshape(2, -1)
    moments_after = after["slots"].reshape(2, -1)
    old = np.r_[0:8, 12:21]  # two rows of four weights, then the third and new one
    assert np.allclose(moments_after[0, old], moments_before[0] * np.float32(0.9), rtol=1e-5)
    assert after["clocks"][0, 0] == before["clocks"][0, 0] + 1
    assert np.allclose(list(model.predict_proba_one(x).values()), list(probabilities.values()), atol=0.05)


def test_order_of_names_does_not_matter():
    one, other = MLPClassifier(), MLPClassifier()
    rng = random.Random(2)
    for x, y in datasets.Phishing().take(100):
        names = rng.sample(list(x), len(x))
        one.learn_one(x, y)
        other.learn_one({name: x[name] for name in names}, y)
    assert state_of(one) == state_of(other)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_bad_sample_is_refused_and_changes_nothing(cls):
    model = cls()
    for x, y in datasets.Phishing().take(50):
        model.learn_one(x, int(y))
    before = state_of(model)
    broken = {**x, "popup_window": "yes"}
    with pytest.raises(FeatureError, match="popup_window: expected a number"):
        model.learn_one(broken, 1)
    with pytest.raises(FeatureError, match="popup_window: expected a number"):
        model.predict_one(broken)
    with pytest.raises(FeatureError, match="popup_window: expected a number"):
        model.predict_many(pd.DataFrame([broken]))
    for label in (None, float("nan"), [1]):
        with pytest.raises(LabelError):
            model.learn_one(x, label)
        with pytest.raises(LabelError):
            model.learn_many(pd.DataFrame([x, x]), pd.Series([1, label], dtype=object))
    assert state_of(model) == before


# -- many at once


def changing_stream(n, *, task):
    """Numbers, a category, missing values, features that come and go, classes that appear."""
    rng = random.Random(7)
    for i in range(n):
        x = {"u": rng.gauss(0, 1), "v": rng.gauss(5, 3), "n": rng.randrange(10)}
        if i > n // 4:
            x["c"] = rng.choice(["red", "green", None] if i < n // 2 else ["red", "blue", "grey"])
        if i > n // 2:
            del x["v"]
        if rng.random() < 0.1:
            x["u"] = float("nan")
        score = (0 if math.isnan(x["u"]) else x["u"]) + x["n"]
        yield (
            x,
            score * 10
            if task == "regression"
            else ["low", "mid", "high"][min(2, int(score / (4 if i > 90 else 99)))],
        )


@pytest.mark.parametrize("model", [*(cls() for cls in ESTIMATORS), *VARIANTS])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_learn_many_is_learn_one_bit_for_bit(model, size):
    task = "regression" if isinstance(model, MLPRegressor) else "classification"
    events = list(changing_stream(300, task=task))
    one, many = model.clone(), model.clone()
    start = 0
    while start < len(events):
        chunk = events[start : start + size]
        while len({frozenset(x) for x, _ in chunk}) > 1:  # a frame has the same columns in every row
            chunk = chunk[:-1]
        rows = pd.DataFrame([x for x, _ in chunk], index=range(100, 100 + len(chunk)))
        many.learn_many(rows, pd.Series([y for _, y in chunk], name="target"))
        for x, y in chunk:
            one.learn_one(x, y)
        start += len(chunk)
        predicted = many.predict_many(rows)
        assert predicted.tolist() == [one.predict_one(x) for x, _ in chunk]
        assert predicted.name == "target"
        assert predicted.index.tolist() == rows.index.tolist()
    assert state_of(one) == state_of(many)
    if task == "classification":
        shown = many.predict_proba_many(rows)
        assert shown.index.tolist() == rows.index.tolist()
        assert shown.to_dict("records") == [one.predict_proba_one(x) for x, _ in chunk]


@pytest.mark.parametrize("learner", ["network", "ensemble"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_one_event_at_a_time_gives_the_bits_of_a_block(learner, task):
    spec = ModelSpec(task=task, learner=learner, network=NetworkSpec(inputs=0, hidden=(8,), optimizer=Adam()))
    events = list(changing_stream(300, task=task))
    events += [({"u": float(i % 5), "n": i % 3, "c": None, "v": 1.0}, events[i % 50][1]) for i in range(100)]
    one, block = Model(spec), Model(spec)
    block.predict_then_learn([x for x, _ in events], [y for _, y in events])
    for x, y in events:
        before = one.learner.state()["params"].copy()
        one.predict_one(x)
        assert np.array_equal(one.learner.state()["params"], before)
        one.learn_one(x, y)
    assert snapshot.dump(one) == snapshot.dump(block)


def test_plain_numbers_one_by_one_are_predicted_as_in_a_block():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    rows = [dict(zip("abcde", row, strict=True)) for row in X.tolist()]
    labels = [int(row[0] > 0) for row in X]
    one, block = Model(ModelSpec()), Model(ModelSpec())
    outcome = block.predict_then_learn(rows, labels)
    assert outcome.learned == 300
    for x, y in zip(rows, labels, strict=True):
        one.learn_one(x, y)
    assert (
        one.predict_one(rows[7])[1] == one.predict([rows[7]]).outputs[0, 1] == block.predict([rows[7]]).outputs[0, 1]
    )
    assert snapshot.dump(one) == snapshot.dump(block)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_frames_before_the_first_label(cls):
    model = cls()
    X = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]}, index=[7, 9])
    assert model.predict_many(X).tolist() == ([0.0, 0.0] if cls is MLPRegressor else [None, None])
    if cls is not MLPRegressor:
        assert model.predict_proba_many(X).shape == (2, 0)
        assert model.predict_proba_one({"a": 1.0}) == {}
        assert model.predict_one({"a": 1.0}) is None
    model.learn_many(X.iloc[:0], pd.Series([], dtype=float))
    assert model.model.version == 0


def test_nullable_columns_are_missing_values():
    X = pd.DataFrame({"a": pd.array([1, None, 3], "Int64"), "b": pd.array(["x", None, "y"], "string")})
    many, one = LogisticNeuron(), LogisticNeuron()
    many.learn_many(X, pd.Series([0, 1, 0]))
    for x, y in [({"a": 1, "b": "x"}, 0), ({"a": None, "b": None}, 1), ({"a": 3, "b": "y"}, 0)]:
        one.learn_one(x, y)
    assert state_of(many) == state_of(one)


# -- weights


@pytest.mark.parametrize("model", [MLPClassifier(clip_norm=0.0), LogisticNeuron(clip_norm=0.0), Perceptron()])
def test_weight_is_a_factor_on_the_gradient(model):
    doubled = (
        model.clone({"learning_rate": 2.0}) if isinstance(model, Perceptron) else model.clone({"optimizer": SGD(0.1)})
    )
    weighted, neutral = model.clone(), model.clone()
    for x, y in datasets.Phishing().take(200):
        weighted.learn_one(x, y, w=2.0)
        doubled.learn_one(x, y)
        neutral.learn_one(x, y, w=1.0)
    assert np.allclose(weighted.model.learner.network.params, doubled.model.learner.network.params, atol=1e-3)
    assert not np.allclose(weighted.model.learner.network.params, neutral.model.learner.network.params, atol=1e-3)


def test_weights_by_the_row():
    many, one = LogisticNeuron(), LogisticNeuron()
    events = list(datasets.Phishing().take(40))
    weights = [0.0 if i % 3 else 1.5 for i in range(40)]
    many.learn_many(pd.DataFrame([x for x, _ in events]), pd.Series([y for _, y in events]), w=pd.Series(weights))
    for (x, y), w in zip(events, weights, strict=True):
        one.learn_one(x, y, w)
    assert state_of(many) == state_of(one)


# -- state


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_learns_on_after_pickle_and_after_a_snapshot_as_if_nothing_had_happened(cls):
    straight = cls()
    events = [(x, int(y)) for x, y in datasets.Phishing().take(200)]
    for x, y in events[:100]:
        straight.learn_one(x, y)
    pickled = pickle.loads(pickle.dumps(straight))  # noqa: S301  # our own bytes
    restored, _, _ = snapshot.load(snapshot.dump(straight.model), straight.model.spec)
    for x, y in events[100:]:
        straight.learn_one(x, y)
        pickled.learn_one(x, y)
        restored.learn_one(x, y)
    assert state_of(pickled) == state_of(straight)
    assert snapshot.dump(restored) == snapshot.dump(straight.model)


def test_one_compiled_step_serves_them_all():
    for cls in ESTIMATORS:
        model = cls()
        for x, y in datasets.Phishing().take(20):
            model.learn_one(x, int(y), w=0.5)
            model.learn_one(x, int(y))
            model.predict_one(x)
    assert len(predict_then_learn.signatures) == 1
