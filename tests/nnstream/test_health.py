"""How the networks are: gradients beside finite differences, units that say nothing, and nothing is changed by it."""

import numpy as np
import pytest

from nnstream.health import GRADIENTS, SINGLE, health
from nnstream.model import Model, ModelSpec
from nnstream.responses import predictor
from nnstream.spec import NetworkSpec


def learned(learner, task="classification", count=300, seed=0):
    model = Model(ModelSpec(task=task, learner=learner, network=NetworkSpec(inputs=0, hidden=(16,), seed=seed)))
    rng = np.random.default_rng(seed)
    rows = [{"a": a, "b": b} for a, b in rng.normal(size=(count, 2)).tolist()]
    labels = [int(row["a"] > row["b"]) if task == "classification" else 3 * row["a"] for row in rows]
    model.predict_then_learn(rows, labels)
    return model


def bytes_of(model):
    return {name: array.tobytes() for name, array in model.learner.state().items()}


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("learner", ["network", "ensemble"])
def test_to_look_changes_nothing(learner, task):
    model = learned(learner, task)
    before = bytes_of(model)
    found = health(predictor(model.learner))
    assert bytes_of(model) == before
    assert len({each.title for each in found}) == len(found)
    for each in found:
        assert each.rate > 0
        assert each.weight_norm > 0
        assert each.gradient_norm > 0
        assert np.isnan(each.dead) or 0 <= each.dead <= 1


def test_a_networks_gradient_is_that_of_finite_differences():
    network = predictor(learned("network").learner).network
    x, y = np.array([[0.3, -0.8]], np.float32), np.array([[1.0]], np.float32)
    step, total = 1e-3, 0.0
    for i in range(len(network.params)):
        here = network.params[i]
        losses = []
        for there in (here - step, here + step):
            network.params[i] = there
            losses.append(-np.log(network.predict(x)[0, 0].astype(float)))
        network.params[i] = here
        total += ((losses[1] - losses[0]) / (2 * step)) ** 2
    assert network.gradient_norm(x, y) == pytest.approx(np.sqrt(total), rel=0.02)


def test_a_members_gradient_is_that_of_its_loss():
    """Of a linear model of two classes that is (p - y) times the row, with a 1 for the bias."""
    ensemble = predictor(learned("ensemble").learner)
    j = next(j for j, member in enumerate(ensemble.members) if not member.hidden and member.sees == "columns")
    _, _, _, parts = ensemble.networks()[j]
    rows = ensemble.newest(GRADIENTS)
    _, values = ensemble.entries_of(j, rows)
    p = 1 / (1 + np.exp(-(values @ parts.columns[:, 0] + parts.bias[0])))
    y = ensemble.state()["past_targets"][rows, 0]
    lengths = np.abs(p - y) * np.sqrt(1 + np.square(values).sum(axis=1))
    assert ensemble.gradient_norms(GRADIENTS)[j] == pytest.approx(lengths.mean(), rel=1e-3)


def test_units_that_never_say_anything_are_dead():
    learner = predictor(learned("network").learner)
    learner.network.layers()[0][1][:4] = -100
    (found,) = health(learner)
    assert found.title == SINGLE
    assert 4 / 16 <= found.dead < 1
    ensemble = predictor(learned("ensemble").learner)
    before = {each.title: each.dead for each in health(ensemble)}
    member, _, _, parts = ensemble.networks()[0]
    parts.hidden_bias[:] = -100
    after = {each.title: each.dead for each in health(ensemble)}
    assert before[member.title] < 1
    assert after[member.title] == 1


def test_nothing_learned_is_no_failure():
    for learner in ("network", "ensemble"):
        for each in health(predictor(Model(ModelSpec(learner=learner)).learner)):
            assert np.isnan(each.gradient_norm)
            assert np.isnan(each.dead)
