"""Activations: the compiled form against the definition, the derivative against differences, and names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special

from nnstream import activations
from nnstream.activations import Activation
from nnstream.errors import SpecError
from nnstream.kernels import activations as compiled

every_activation = pytest.mark.parametrize("kind", list(Activation), ids=lambda kind: kind.name.lower())
Z = arrays(np.float32, st.integers(1, 40), elements=st.floats(-60, 60, width=32))


@every_activation
@settings(deadline=None)
@given(z=Z)
def test_the_compiled_activation_is_the_defined_one(kind, z):
    exact = z.astype(np.float64)
    a, delta = np.empty_like(z), np.full_like(z, 2)
    compiled.activate(int(kind), z, a)
    np.testing.assert_allclose(
        a, activations.activate(kind, exact), rtol=1e-6, atol=1e-5 if kind is Activation.GELU else 2e-7
    )
    compiled.multiply_by_derivative(int(kind), z, a, delta)
    np.testing.assert_allclose(delta, 2 * activations.derivative(kind, exact), rtol=2e-5, atol=2e-6)


@every_activation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(kind, dtype):
    z = np.linspace(-3, 3, 13, dtype=dtype)
    assert activations.activate(kind, z).dtype == dtype
    assert activations.derivative(kind, z).dtype == dtype


@pytest.mark.parametrize("kind", [kind for kind in Activation if kind is not Activation.STEP])
@given(z=st.floats(-8, 8).filter(lambda z: abs(z) > 1e-4))
def test_the_derivative_is_the_slope(kind, z):
    points = np.array([z - 1e-6, z, z + 1e-6])
    below, _, above = activations.activate(kind, points)
    np.testing.assert_allclose(activations.derivative(kind, points)[1], (above - below) / 2e-6, rtol=1e-5, atol=1e-7)


def test_values_at_known_points():
    z = np.array([-2.0, 0.0, 2.0])
    table = {
        Activation.IDENTITY: z,
        Activation.STEP: [-1, -1, 1],
        Activation.SIGMOID: special.expit(z),
        Activation.TANH: np.tanh(z),
        Activation.RELU: [0, 0, 2],
        Activation.LEAKY_RELU: [-0.02, 0, 2],
        Activation.ELU: [np.exp(-2) - 1, 0, 2],
        Activation.GELU: [-0.0455003, 0, 1.9544997],
        Activation.SOFTPLUS: [0.126928, np.log(2), 2.126928],
    }
    assert set(table) == set(Activation)
    for kind, expected in table.items():
        np.testing.assert_allclose(activations.activate(kind, z), expected, atol=1e-6)


def test_the_derivative_of_relu_at_zero_is_zero():
    zero = np.zeros(1, np.float32)
    delta = np.ones(1, np.float32)
    compiled.multiply_by_derivative(int(Activation.RELU), zero, zero, delta)
    assert delta[0] == activations.derivative(Activation.RELU, zero)[0] == 0


@every_activation
def test_extreme_values_overflow_nowhere(kind):
    z = np.array([-1e30, -1e4, 1e4, 1e30], np.float32)
    a, delta = np.empty_like(z), np.ones_like(z)
    compiled.activate(int(kind), z, a)
    compiled.multiply_by_derivative(int(kind), z, a, delta)
    assert np.isfinite(a).all()
    assert np.isfinite(delta).all()


def test_names():
    assert [Activation.of(kind.name.lower()) for kind in Activation] == list(Activation)
    with pytest.raises(SpecError, match="'nonsense' is unknown; choose one of: identity, step"):
        Activation.of("nonsense")
