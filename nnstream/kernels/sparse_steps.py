"""One step of each optimiser over the weights of the columns a row has; see `nnstream.kernels.sparse`.

Slots hold AdaGrad's sums of squares, one a parameter, or both of Adam's moments, one after the other. Both divide by
a square root that is good to 0.2 % (`lanes.inverse_sqrt`): no learning rate is known that well.
"""

from typing import Any

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import ONE, ZERO
from nnstream.kernels.lanes import WIDTH, inverse_sqrt, load, spread, store, where_positive
from nnstream.kernels.optimizers import ADAGRAD, ADAM
from nnstream.kernels.types import Scalar, Vector

_EPSILON = np.float32(1e-8)
_BETA1 = np.float32(0.9)
_BETA2 = np.float32(0.999)
_FLUSH = np.float32(1e-30)


@jit
def step_rows(
    optimizer: int, columns: Any, values: Vector, offset: int, units: int, biases: int, params: Vector, slots: Vector,
    delta: Vector, rate: Scalar, s1: Scalar, s2: Scalar,
) -> None:  # fmt: skip
    """Move each entry's row of weights against value times delta, and the biases against delta."""
    n = params.shape[0]
    for u in range(0, units, WIDTH):
        lanes = load(delta, u)
        if optimizer == ADAGRAD:
            for e in range(columns.shape[0]):
                if values[e] != ZERO:
                    _adagrad(params, slots, (columns[e] - offset) * units + u, spread(values[e]) * lanes, rate)
            _adagrad(params, slots, biases + u, lanes, rate)
        elif optimizer == ADAM:
            for e in range(columns.shape[0]):
                if values[e] != ZERO:
                    k = (columns[e] - offset) * units + u
                    _adam(params, slots, n, k, spread(values[e]) * lanes, rate, s1, s2)
            _adam(params, slots, n, biases + u, lanes, rate, s1, s2)
        else:
            lanes = spread(rate) * lanes
            for e in range(columns.shape[0]):
                if values[e] != ZERO:
                    k = (columns[e] - offset) * units + u
                    store(params, k, load(params, k) - spread(values[e]) * lanes)
            store(params, biases + u, load(params, biases + u) - lanes)


@jit
def step_top(
    optimizer: int, hidden: int, top: int, params: Vector, slots: Vector, a: Vector, g: Vector, rate: Scalar,
    s1: Scalar, s2: Scalar,
) -> None:  # fmt: skip
    """Move the upper layer's weights against the outer product of the gradient by the outputs and the units."""
    n, outputs = params.shape[0], g.shape[0]
    for c in range(outputs):
        k = top + c * hidden
        for u in range(0, hidden, WIDTH):
            lanes = spread(g[c]) * load(a, u)
            if optimizer == ADAGRAD:
                _adagrad(params, slots, k + u, lanes, rate)
            elif optimizer == ADAM:
                _adam(params, slots, n, k + u, lanes, rate, s1, s2)
            else:
                store(params, k + u, load(params, k + u) - spread(rate) * lanes)
        step_one(optimizer, params, slots, n - outputs + c, g[c], rate, s1, s2)


@jit
def step_one(
    optimizer: int, params: Vector, slots: Vector, k: int, g: Scalar, rate: Scalar, s1: Scalar, s2: Scalar
) -> None:
    """Move one parameter against its gradient."""
    if optimizer == ADAGRAD:
        slots[k] += g * g
        params[k] -= rate * g / (np.sqrt(slots[k]) + _EPSILON)
    elif optimizer == ADAM:
        v = params.shape[0] + k
        slots[k] = _BETA1 * slots[k] + (ONE - _BETA1) * g
        slots[v] = _BETA2 * slots[v] + (ONE - _BETA2) * g * g
        params[k] -= rate * (slots[k] * s1) / (np.sqrt(slots[v] * s2) + _EPSILON)
    else:
        params[k] -= rate * g


@jit
def _adagrad(params: Vector, slots: Vector, k: int, g: Any, rate: Scalar) -> None:
    squares = load(slots, k) + g * g
    store(slots, k, squares)
    store(params, k, load(params, k) - spread(rate) * g * inverse_sqrt(squares))


@jit
def _adam(params: Vector, slots: Vector, n: int, k: int, g: Any, rate: Scalar, s1: Scalar, s2: Scalar) -> None:
    m = spread(_BETA1) * load(slots, k) + spread(ONE - _BETA1) * g
    v = spread(_BETA2) * load(slots, n + k) + spread(ONE - _BETA2) * g * g
    m = where_positive(m * m - spread(_FLUSH), m)
    v = where_positive(v - spread(_FLUSH), v)
    store(slots, k, m)
    store(slots, n + k, v)
    store(params, k, load(params, k) - spread(rate * s1) * m * inverse_sqrt(v * spread(s2)))
