"""One step of each optimiser over a flat slice of parameters, in float32.

The algorithms with their papers stand in `nnstream.optimizers`, one file each. `slots` holds `SLOTS[code]`
arrays as long as `params`, one after the other. Moving averages below `_FLUSH` become 0: a unit that has died
would otherwise leave denormal numbers behind, and those are a hundred times as slow.
"""

import numpy as np

from nnstream.kernels import layout as at
from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import ONE, ZERO
from nnstream.kernels.types import Doubles, Scalar, Table, Vector

SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM, NADAM, AMSGRAD, FTRL, COCOB = range(10)
SLOTS = (0, 1, 1, 1, 1, 2, 2, 3, 2, 5)

_FLUSH = np.float32(1e-30)
_COCOB_ALPHA = np.float32(100.0)


@jit
def update(
    code: int,
    layers: Table,
    start: int,
    stop: int,
    params: Vector,
    grad: Vector,
    slots: Vector,
    rate: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    epsilon: Scalar,
    l1: Scalar,
    l2: Scalar,
    powers: Doubles,
) -> None:
    """Move `params[start:stop]`, which are those of `layers`, against `grad`.

    `powers` (float64) holds beta1^t and beta2^t, this step counted: see `count_step`.
    """
    size = params.shape[0]
    if code == FTRL:
        for k in range(layers.shape[0]):
            w, b = layers[k, at.WEIGHTS], layers[k, at.BIASES]
            end = b + layers[k, at.FAN_OUT]
            _ftrl(params[w:b], grad[w:b], slots[w:b], slots[size + w : size + b], rate, beta1, l1, l2)
            _ftrl(params[b:end], grad[b:end], slots[b:end], slots[size + b : size + end], rate, beta1, ZERO, ZERO)
        return
    # Slices, walked from 0: from another start numba allows for negative indices, and the loops do not vectorise.
    params, grad = params[start:stop], grad[start:stop]
    slots = slots[start:]
    n = params.shape[0]
    if code == SGD:
        for p in range(n):
            params[p] -= rate * grad[p]
    elif code == MOMENTUM:
        for p in range(n):
            v = _flush(beta1 * slots[p] + grad[p])
            slots[p] = v
            params[p] -= rate * v
    elif code == NESTEROV:
        for p in range(n):
            v = _flush(beta1 * slots[p] + grad[p])
            slots[p] = v
            params[p] -= rate * (grad[p] + beta1 * v)
    elif code == ADAGRAD:
        for p in range(n):
            slots[p] += grad[p] * grad[p]
            params[p] -= rate * grad[p] / (np.sqrt(slots[p]) + epsilon)
    elif code == RMSPROP:
        for p in range(n):
            v = _flush(beta2 * slots[p] + (ONE - beta2) * grad[p] * grad[p])
            slots[p] = v
            params[p] -= rate * grad[p] / (np.sqrt(v) + epsilon)
    elif ADAM <= code <= AMSGRAD:
        _adam_family(code, size, params, grad, slots, rate, beta1, beta2, epsilon, powers)
    elif code == COCOB:
        _cocob(size, params, grad, slots)


@jit
def count_step(code: int, powers: Doubles, beta1: Scalar, beta2: Scalar) -> None:
    """Count one step of an optimiser that corrects its averages' bias, however many slices `update` takes it in."""
    if ADAM <= code <= AMSGRAD:
        powers[0] *= beta1
        powers[1] *= beta2


@jit
def _flush(v: Scalar) -> Scalar:
    return v if abs(v) > _FLUSH else ZERO


@jit
def _adam_family(
    code: int,
    size: int,
    params: Vector,
    grad: Vector,
    slots: Vector,
    rate: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    epsilon: Scalar,
    powers: Doubles,
) -> None:
    n = params.shape[0]
    scale1 = np.float32(1.0 / (1.0 - powers[0]))
    scale2 = np.float32(1.0 / (1.0 - powers[1]))
    m, v = slots[:n], slots[size : size + n]
    if code == ADAM:
        for p in range(n):
            m[p] = _flush(beta1 * m[p] + (ONE - beta1) * grad[p])
            v[p] = _flush(beta2 * v[p] + (ONE - beta2) * grad[p] * grad[p])
            params[p] -= rate * (m[p] * scale1) / (np.sqrt(v[p] * scale2) + epsilon)
    elif code == NADAM:
        scale1_next = np.float32(1.0 / (1.0 - powers[0] * beta1))
        for p in range(n):
            m[p] = _flush(beta1 * m[p] + (ONE - beta1) * grad[p])
            v[p] = _flush(beta2 * v[p] + (ONE - beta2) * grad[p] * grad[p])
            ahead = beta1 * m[p] * scale1_next + (ONE - beta1) * grad[p] * scale1
            params[p] -= rate * ahead / (np.sqrt(v[p] * scale2) + epsilon)
    else:
        top = slots[2 * size : 2 * size + n]
        for p in range(n):
            m[p] = _flush(beta1 * m[p] + (ONE - beta1) * grad[p])
            v[p] = _flush(beta2 * v[p] + (ONE - beta2) * grad[p] * grad[p])
            top[p] = max(top[p], v[p])
            params[p] -= rate * (m[p] * scale1) / (np.sqrt(top[p] * scale2) + epsilon)


@jit
def _ftrl(
    params: Vector, grad: Vector, z: Vector, squares: Vector, rate: Scalar, beta: Scalar, l1: Scalar, l2: Scalar
) -> None:
    for p in range(params.shape[0]):
        g = grad[p]
        before = np.sqrt(squares[p])
        squares[p] += g * g
        after = np.sqrt(squares[p])
        z[p] += g - (after - before) / rate * params[p]
        shrunk = max(abs(z[p]) - l1, ZERO)
        signed = shrunk if z[p] < ZERO else -shrunk
        params[p] = signed / ((beta + after) / rate + l2)


@jit
def _cocob(size: int, params: Vector, grad: Vector, slots: Vector) -> None:
    n = params.shape[0]
    origin, scale, total = slots[:n], slots[size : size + n], slots[2 * size : 2 * size + n]
    reward, theta = slots[3 * size : 3 * size + n], slots[4 * size : 4 * size + n]
    for p in range(n):
        g = -grad[p]
        scale[p] = max(scale[p], abs(g))
        total[p] += abs(g)
        reward[p] = max(reward[p] + (params[p] - origin[p]) * g, ZERO)
        theta[p] += g
        floor = max(total[p] + scale[p], _COCOB_ALPHA * scale[p])
        if scale[p] > ZERO:
            params[p] = origin[p] + theta[p] / floor * ((scale[p] + reward[p]) / scale[p])
