"""The chain rule against central differences, and the compiled gradient against the chain rule."""

import numpy as np
import pytest
from reference import ReferenceNetwork

from nnstream.activations import Activation
from nnstream.bank import Bank
from nnstream.losses import Loss
from nnstream.optimizers import SGD
from nnstream.spec import NetworkSpec

ACTIVATIONS = [each.name.lower() for each in Activation]
LOSSES = [each.name.lower() for each in Loss]
# A loss with several outputs; hinge has another form for one output, log another meaning (multi-label).
OUTPUTS = [
    (loss, outputs)
    for loss in LOSSES
    for outputs in (1, 3)
    if outputs > 1 or loss not in ("cross_entropy", "multiclass_perceptron")
]
HIDDEN = [(), (5,), (5, 4), (6, 5, 4)]
FAR = 0.02  # from a kink, in units of what moves it: central differences step 1e-6


def make_spec(activation, loss, outputs, hidden=(5, 4), **changes):
    shape = 0.3 if loss == "quantile" else 0.7
    return NetworkSpec(3, outputs, hidden, activation, loss, loss_shape=shape, optimizer=SGD(1.0), seed=3, **changes)


def samples(spec, count, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, spec.inputs)).astype(np.float32)
    if Loss.of(spec.loss).is_indexed(spec.outputs):
        return X, rng.integers(0, spec.outputs, (count, 1)).astype(np.float32)
    targets = rng.normal(size=(count, 1 if spec.loss == "hinge" else spec.outputs))
    if spec.loss in ("log", "hinge", "perceptron"):
        return X, (targets > 0).astype(np.float32)
    return X, targets.astype(np.float32)


def is_smooth(network, x, y):
    """Whether no hidden unit and no loss stands near a kink, where a difference says nothing."""
    scores = network.forward(x)[0]
    last, kind = scores[-1], network.loss_kind
    kinks = [np.abs(z).min() for z in scores[:-1]]
    residuals = np.abs(last - y) if not kind.is_indexed(2) else np.ones(1)
    if kind in (Loss.ABSOLUTE, Loss.QUANTILE):
        kinks.append(residuals.min())
    if kind is Loss.HUBER:
        kinks.append(np.abs(residuals - network.spec.loss_shape).min())
    if kind is Loss.PERCEPTRON:
        kinks.append(np.abs(last).min())
    if kind is Loss.HINGE:
        kinks.append(hinge_distance(last, y, 1))
    if kind is Loss.MULTICLASS_PERCEPTRON:
        kinks.append(hinge_distance(last, y, 0))
    return min(kinks, default=1.0) > FAR


def hinge_distance(z, y, margin):
    if len(z) == 1:
        return abs(margin - (2 * y[0] - 1) * z[0])
    rivals = np.sort(np.delete(z, int(y[0])))
    return min(abs(margin + rivals[-1] - z[int(y[0])]), rivals[-1] - rivals[-2])


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
@pytest.mark.parametrize(("loss", "outputs"), OUTPUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_chain_rule_agrees_with_central_differences(activation, loss, outputs, hidden):
    spec = make_spec(activation, loss, outputs, hidden)
    network = ReferenceNetwork(spec, Bank([spec]).params)
    network.params += np.random.default_rng(1).normal(scale=0.1, size=len(network.params))  # biases too
    X, Y = samples(spec, 200)
    smooth = [(x, y) for x, y in zip(X, Y, strict=True) if is_smooth(network, x, y)][:4]
    assert len(smooth) == 4
    step = 1e-6
    for x, y in smooth:
        gradient = network.gradient(x, y)
        differences = np.empty_like(gradient)
        for p, kept in enumerate(network.params.copy()):
            network.params[p] = kept + step
            above = network.loss(x, y)
            network.params[p] = kept - step
            below = network.loss(x, y)
            network.params[p] = kept
            differences[p] = (above - below) / (2 * step)
        if (
            activation == "step"
        ):  # its derivative is taken as 0 although the loss jumps; only the last layer is smooth
            last = (spec.sizes[-2] + 1) * outputs
            gradient, differences = gradient[-last:], differences[-last:]
        np.testing.assert_allclose(gradient, differences, rtol=2e-6, atol=2e-8)


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize(("loss", "outputs"), OUTPUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_compiled_gradient_agrees_with_the_chain_rule(activation, loss, outputs, batch_size):
    """One step of SGD with rate 1 moves the parameters by minus the mean gradient of the batch."""
    spec = make_spec(activation, loss, outputs, batch_size=batch_size)
    for seed in range(5):
        bank = Bank([spec])
        before = bank.params.copy()
        reference = ReferenceNetwork(spec, before)
        X, Y = samples(spec, batch_size, seed)
        outs, lost = bank.predict_then_learn(X, Y, np.ones(batch_size, np.bool_))
        expected = np.mean([reference.gradient(x, y) for x, y in zip(X, Y, strict=True)], axis=0)
        np.testing.assert_allclose(before - bank.params, expected, rtol=1e-4, atol=2e-6)
        for i, (x, y) in enumerate(zip(X, Y, strict=True)):
            np.testing.assert_allclose(outs[0, i], reference.predict(x), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(lost[0, i], reference.loss(x, y), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_compiled_gradient_at_every_depth(hidden):
    spec = make_spec("tanh", "cross_entropy", 3, hidden)
    bank = Bank([spec])
    before = bank.params.copy()
    X, Y = samples(spec, 1)
    bank.predict_then_learn(X, Y, np.ones(1, np.bool_))
    expected = ReferenceNetwork(spec, before).gradient(X[0], Y[0])
    assert np.count_nonzero(expected) == len(expected)
    np.testing.assert_allclose(before - bank.params, expected, rtol=1e-4, atol=1e-6)


def test_a_network_without_inputs_learns_its_bias():
    spec = NetworkSpec(0, hidden=(), loss="squared", optimizer=SGD(0.1))
    bank = Bank([spec])
    bank.predict_then_learn(np.zeros((200, 0)), np.full((200, 1), 3.0), np.ones(200, np.bool_))
    np.testing.assert_allclose(bank.params, [3.0], rtol=1e-5)


def test_a_gradient_flows_through_many_layers_only_where_units_are_alive():
    spec = NetworkSpec(2, hidden=(4, 4), optimizer=SGD(1.0), seed=2)
    bank = Bank([spec])
    bank.params[: 2 * 4 + 4] = -1.0  # all units of the first layer are below 0 for positive inputs
    before = bank.params.copy()
    bank.predict_then_learn(np.ones((1, 2)), np.ones((1, 1)), np.ones(1, np.bool_))
    moved = before != bank.params
    assert not moved[: 2 * 4 + 4 + 16].any()  # first layer, and the weights from its dead units
    assert moved[-1]
