"""Estimators on a stream that changes: new names and classes, many at once, weights, state."""

import math
import pickle
import random

import numpy as np
import pandas as pd  # without it River would leave its checks of the many-methods out
import pytest
from river import datasets

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


def state_of(estimator):
    model = estimator.model
    arrays = {"version": np.array(model.version), **model.learner.state()}
    arrays |= {f"encoder.{name}": array for name, array in model.encoder.state().items()}
    arrays |= {f"scale.{name}": array for name, array in model.scale.state().items()}
    return {name: array.tobytes() for name, array in arrays.items()} | {"columns": model.encoder.column_names}


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
