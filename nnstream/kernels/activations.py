"""Activations and their derivatives over a slice, in float32. The definitions are in `nnstream.activations`."""

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import HALF, ONE, ZERO, exp, normal_cdf, sigmoid, softplus, tanh
from nnstream.kernels.types import Vector

IDENTITY, STEP, SIGMOID, TANH, RELU, LEAKY_RELU, ELU, GELU, SOFTPLUS = range(9)

LEAK = np.float32(0.01)
_INV_SQRT_2PI = np.float32(0.3989422804014327)


@jit
def activate(code: int, z: Vector, a: Vector) -> None:
    """Write the activation of each pre-activation `z[j]` to `a[j]`."""
    n = z.shape[0]
    if code == RELU:
        for j in range(n):
            a[j] = max(z[j], ZERO)
    elif code == IDENTITY:
        for j in range(n):
            a[j] = z[j]
    elif code == TANH:
        for j in range(n):
            a[j] = tanh(z[j])
    elif code == SIGMOID:
        for j in range(n):
            a[j] = sigmoid(z[j])
    elif code == STEP:
        for j in range(n):
            a[j] = ONE if z[j] > ZERO else -ONE
    elif code == LEAKY_RELU:
        for j in range(n):
            a[j] = z[j] if z[j] > ZERO else LEAK * z[j]
    elif code == ELU:
        for j in range(n):
            a[j] = z[j] if z[j] > ZERO else exp(z[j]) - ONE
    elif code == GELU:
        for j in range(n):
            a[j] = z[j] * normal_cdf(z[j])
    elif code == SOFTPLUS:
        for j in range(n):
            a[j] = softplus(z[j])


@jit
def multiply_by_derivative(code: int, z: Vector, a: Vector, delta: Vector) -> None:
    """Multiply `delta[j]` by the derivative of the activation at `z[j]`; `a[j]` is the activation there.

    The derivative of the step is taken as 0: no gradient passes it, and only the perceptron rule trains it.
    """
    n = z.shape[0]
    if code == RELU:
        for j in range(n):
            delta[j] = delta[j] if z[j] > ZERO else ZERO
    elif code == TANH:
        for j in range(n):
            delta[j] *= ONE - a[j] * a[j]
    elif code == SIGMOID:
        for j in range(n):
            delta[j] *= a[j] * (ONE - a[j])
    elif code == STEP:
        for j in range(n):
            delta[j] = ZERO
    elif code == LEAKY_RELU:
        for j in range(n):
            delta[j] = delta[j] if z[j] > ZERO else LEAK * delta[j]
    elif code == ELU:
        for j in range(n):
            delta[j] = delta[j] if z[j] > ZERO else delta[j] * (a[j] + ONE)
    elif code == GELU:
        for j in range(n):
            density = _INV_SQRT_2PI * exp(-HALF * z[j] * z[j])
            delta[j] *= normal_cdf(z[j]) + z[j] * density
    elif code == SOFTPLUS:
        for j in range(n):
            delta[j] *= sigmoid(z[j])
