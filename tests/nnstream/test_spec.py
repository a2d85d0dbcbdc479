"""What a network is: refused where it cannot be, and drawn as it says."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from nnstream.bank import Bank, initial_params
from nnstream.errors import NnstreamError, SpecError
from nnstream.initializers import INITIALIZERS, draw
from nnstream.network import Network
from nnstream.regularizers import Regularization
from nnstream.schedules import Constant, Cosine, Exponential, InverseTime, StepDecay
from nnstream.spec import NetworkSpec

NAN, INF = float("nan"), float("inf")
BAD = [
    ({"inputs": -1}, "inputs"),
    ({"outputs": 0}, "outputs"),
    ({"hidden": (4, 0)}, "hidden"),
    ({"activation": "swish"}, "activation 'swish'"),
    ({"loss": "zero_one"}, "loss 'zero_one'"),
    ({"loss": "cross_entropy"}, "at least 2"),
    ({"initializer": "ones"}, "initializer 'ones'"),
    ({"batch_size": 0}, "batch_size"),
    *[({"loss": "huber", "loss_shape": shape}, "loss_shape") for shape in (0.0, -1.0, NAN, INF)],
    *[({"loss": "quantile", "loss_shape": shape}, "loss_shape") for shape in (0.0, 1.0, 1.5, -0.5, NAN)],
]


@pytest.mark.parametrize(("changes", "words"), BAD)
def test_a_network_that_cannot_be_is_refused(changes, words):
    with pytest.raises(SpecError, match=words):
        NetworkSpec(**({"inputs": 3} | changes))


@pytest.mark.parametrize("number", [-0.1, NAN, INF])
@pytest.mark.parametrize("name", ["l1", "l2", "max_norm", "clip_value", "clip_norm", "dropout"])
def test_a_regulariser_that_cannot_be_is_refused(name, number):
    with pytest.raises(SpecError, match=rf"^{name} must be"):
        Regularization(**{name: number})


def test_all_units_can_not_drop_out():
    with pytest.raises(SpecError, match=r"^dropout must be"):
        Regularization(dropout=1.0)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (StepDecay, {"factor": 0.0}),
        (StepDecay, {"factor": 1.5}),
        (StepDecay, {"factor": NAN}),
        (StepDecay, {"every": 0}),
        (InverseTime, {"decay": -1.0}),
        (InverseTime, {"decay": INF}),
        (Exponential, {"decay": NAN}),
        (Cosine, {"period": 0}),
        (Cosine, {"floor": -0.1}),
        (Cosine, {"floor": 1.1}),
        *[(kind, {"warmup": -1}) for kind in (Constant, StepDecay, InverseTime, Exponential, Cosine)],
    ],
)
def test_a_schedule_that_cannot_be_is_refused(kind, changes):
    [field] = changes
    with pytest.raises(SpecError, match=rf"^{kind.__name__}\.{field} must"):
        kind(**changes)


def test_every_refusal_can_be_caught_as_one():
    assert issubclass(SpecError, NnstreamError)
    assert issubclass(SpecError, ValueError)


def test_a_spec_is_a_value():
    spec = NetworkSpec(3)
    assert spec == NetworkSpec(3)
    assert hash(spec) == hash(NetworkSpec(3))
    assert spec != replace(spec, seed=1)
    with pytest.raises(FrozenInstanceError):
        spec.inputs = 4


def test_sizes_and_parameters():
    spec = NetworkSpec(8, 3, (32, 16), loss="cross_entropy")
    assert spec.sizes == (8, 32, 16, 3)
    assert spec.parameter_count == 8 * 32 + 32 + 32 * 16 + 16 + 16 * 3 + 3 == len(Bank([spec]).params)


@pytest.mark.parametrize(("activation", "name"), [("relu", "he"), ("tanh", "glorot"), ("sigmoid", "glorot")])
def test_the_initialiser_suits_the_activation(activation, name):
    spec = NetworkSpec(8, hidden=(4,), activation=activation)
    assert (spec.initializer_of(0), spec.initializer_of(1)) == (name, "lecun")
    assert replace(spec, initializer="zeros").initializer_of(0) == "zeros"


@pytest.mark.parametrize(("name", "variance"), [("he", 2 / 50), ("glorot", 2 / 450), ("lecun", 1 / 50), ("zeros", 0)])
def test_initial_weights_have_their_variance(name, variance):
    weights = draw(name, 3, 0, range(50), 50, 400)
    assert (weights.shape, weights.dtype) == ((50, 400), np.float32)
    assert abs(weights.mean()) < 0.02 * np.sqrt(variance) + 1e-12
    np.testing.assert_allclose(weights.var(), variance, rtol=0.03)
    assert np.abs(weights).max() <= np.sqrt(3 * variance) * (1 + 1e-6)


@pytest.mark.parametrize("name", INITIALIZERS[:3])
def test_initial_weights_depend_on_seed_and_layer_alone(name):
    one = draw(name, 3, 0, range(10), 10, 10)
    assert np.array_equal(one, draw(name, 3, 0, range(10), 10, 10))
    assert np.array_equal(one[4:7], draw(name, 3, 0, range(4, 7), 10, 10))
    for seed, layer in ((4, 0), (3, 1), (-3, 0)):
        other = draw(name, seed, layer, range(10), 10, 10)
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.35
        assert not np.isin(one, other).any()


def test_biases_start_at_zero():
    net = Network(NetworkSpec(4, 2, (5, 3)))
    assert all(weights.any() and not biases.any() for weights, biases in net.layers())
    assert np.array_equal(net.params, initial_params(net.spec))


def test_layers_are_views_of_the_parameters():
    net = Network(NetworkSpec(4, 2, (5, 3)))
    assert [(weights.shape, biases.shape) for weights, biases in net.layers()] == [
        ((4, 5), (5,)), ((5, 3), (3,)), ((3, 2), (2,)),
    ]  # fmt: skip
    net.layers()[1][0][2, 1] = 42
    assert (net.params == 42).sum() == 1
    flat = np.concatenate([part.ravel() for layer in net.layers() for part in layer])
    assert np.array_equal(flat, net.params)


def test_a_bank_needs_networks_that_agree():
    for specs in ([], [NetworkSpec(3), NetworkSpec(4)], [NetworkSpec(3), NetworkSpec(3, 2)]):
        with pytest.raises(SpecError, match="must agree"):
            Bank(specs)


def test_one_row_needs_no_brackets():
    net = Network(NetworkSpec(3))
    assert np.array_equal(net.predict([1, 2, 3]), net.predict([[1, 2, 3]]))
    outputs, losses = net.predict_then_learn([1, 2, 3], [1])
    assert (outputs.shape, losses.shape, net.samples_learned) == ((1, 1), (1,), 1)
