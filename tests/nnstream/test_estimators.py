"""The River estimators: River's own contract without exception, and what they promise beyond it."""

import doctest
import importlib
import math
from dataclasses import replace

import numpy as np
import pytest
from river import checks, compose, datasets, dummy, evaluate, metrics, preprocessing, stats, utils

from nnstream.estimators import (
    LogisticNeuron,
    MLPClassifier,
    MLPRegressor,
    OnlineClassifier,
    OnlineRegressor,
    Perceptron,
)
from nnstream.model import Model
from nnstream.optimizers import Adam, FTRLProximal, Momentum

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


def test_a_perceptron_of_three_classes_moves_the_true_one_and_the_one_that_won():
    rng = np.random.default_rng(5)
    centres = rng.normal(scale=2, size=(3, 4))
    spec = replace(Perceptron()._spec(), classes=(0, 1, 2))
    model, weights, biases, mistakes = Model(spec), np.zeros((4, 3)), np.zeros(3), 0
    for _ in range(300):
        label = int(rng.integers(3))
        row = dict(zip("abcd", (centres[label] + rng.normal(size=4)).tolist(), strict=True))
        x = model.encoder.encode([row]).X[0] if model.version else np.zeros(4)
        scores = x @ weights + biases
        model.learn_one(row, label)
        rivals = np.where(np.arange(3) == label, -np.inf, scores)
        rival = int(rivals.argmax())
        if scores[label] <= scores[rival]:
            mistakes += 1
            step = (np.arange(3) == label).astype(float) - (np.arange(3) == rival)
            weights, biases = weights + np.outer(x, step), biases + step
    learned, learned_biases = model.learner.network.layers()[0]
    assert 10 < mistakes < 150
    assert np.allclose(learned, weights, atol=1e-3)
    assert learned_biases.tolist() == biases.tolist()


def test_perceptron_adds_a_wrong_sample_and_leaves_a_right_one():
    perceptron = Perceptron(memory=1e9)
    rng = np.random.default_rng(3)
    weights, bias = np.zeros(2), 0.0
    for _ in range(200):
        x = rng.normal(size=2)
        y = bool(x[0] - 2 * x[1] > 0.3)
        row = {"a": x[0], "b": x[1]}
        scaled = perceptron.model.encoder.encode([row]).X[0] if perceptron.model.version else np.zeros(2)
        perceptron.learn_one(row, y)
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
    model.model.classes.add("new")
    network.resize(2, 3, model.model.output_shape[1])
    after = [model.predict_one(x) for x in rows]
    assert before == after
