"""Output links, losses and their gradients for one sample, in float32. Definitions: `nnstream.losses`."""

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import ONE, TWO, ZERO, exp, log, softmax
from nnstream.kernels.types import Matrix, Scalar, Vector

LOG, CROSS_ENTROPY, SQUARED, ABSOLUTE, HUBER, QUANTILE, HINGE, PERCEPTRON, MULTICLASS_PERCEPTRON = range(9)


@jit
def link(code: int, z: Vector, out: Vector) -> None:
    """Write the prediction that belongs to the scores `z`: probabilities, a sign, or the scores themselves."""
    n = z.shape[0]
    if code == LOG:
        for j in range(n):
            e = exp(-abs(z[j]))
            out[j] = ONE / (ONE + e) if z[j] >= ZERO else e / (ONE + e)
    elif code == CROSS_ENTROPY:
        softmax(z, n, out)
    elif code == PERCEPTRON:
        for j in range(n):
            out[j] = ONE if z[j] > ZERO else -ONE
    else:
        for j in range(n):
            out[j] = z[j]


@jit
def loss(code: int, shape: Scalar, z: Vector, y: Vector) -> Scalar:
    """Return the loss of the scores `z` against the target `y`, summed over the outputs; NaN for no target at all."""
    n = z.shape[0]
    total = ZERO
    if not _is_target(code, n, y):
        total = np.float32(np.nan)
    elif code == LOG:
        for j in range(n):
            total += max(z[j], ZERO) - z[j] * y[j] + log(ONE + exp(-abs(z[j])))
    elif code == CROSS_ENTROPY:
        top = z[0]
        for j in range(1, n):
            top = max(top, z[j])
        for j in range(n):
            total += exp(z[j] - top)
        total = log(total) + top - z[int(y[0])]
    elif code == SQUARED:
        for j in range(n):
            total += (z[j] - y[j]) * (z[j] - y[j])
    elif code == ABSOLUTE:
        for j in range(n):
            total += abs(z[j] - y[j])
    elif code == HUBER:
        for j in range(n):
            r = abs(z[j] - y[j])
            total += r * r if r <= shape else shape * (TWO * r - shape)
    elif code == QUANTILE:
        for j in range(n):
            r = y[j] - z[j]
            total += max(shape * r, (shape - ONE) * r)
    elif code == HINGE:
        if n == 1:
            total = max(ZERO, ONE - (TWO * y[0] - ONE) * z[0])
        else:
            total = max(ZERO, ONE + z[_rival(z, int(y[0]))] - z[int(y[0])])
    elif code == MULTICLASS_PERCEPTRON:
        total = max(ZERO, z[_rival(z, int(y[0]))] - z[int(y[0])])
    elif code == PERCEPTRON:
        for j in range(n):
            total += max(ZERO, -(TWO * y[j] - ONE) * z[j])
    return total


@jit
def log_losses(Y: Matrix, losses: Vector) -> None:
    """Turn scores of one output into their log losses, in place: a row after the other, many at once; NaN stays."""
    for i in range(losses.shape[0]):
        z = losses[i]
        losses[i] = max(z, ZERO) - z * Y[i, 0] + log(ONE + exp(-abs(z)))


@jit
def _is_target(code: int, outputs: int, y: Vector) -> bool:
    """Return whether `y` is a target one can learn: finite numbers, or the index of one of the outputs."""
    if code in (CROSS_ENTROPY, MULTICLASS_PERCEPTRON) or (code == HINGE and outputs > 1):
        return bool(ZERO <= y[0] < outputs)
    finite = True
    for j in range(outputs):
        finite = finite and np.isfinite(y[j])
    return finite


@jit
def gradient(code: int, shape: Scalar, z: Vector, out: Vector, y: Vector, delta: Vector) -> None:
    """Write the derivative of the loss by each score `z[j]` to `delta[j]`; `out` is what `link` gave.

    The loss must have been finite: an index is used here as it comes.
    """
    n = z.shape[0]
    if code == LOG:
        for j in range(n):
            delta[j] = out[j] - y[j]
    elif code == CROSS_ENTROPY:
        for j in range(n):
            delta[j] = out[j]
        delta[int(y[0])] -= ONE
    elif code == SQUARED:
        for j in range(n):
            delta[j] = TWO * (z[j] - y[j])
    elif code == ABSOLUTE:
        for j in range(n):
            delta[j] = _sign(z[j] - y[j])
    elif code == HUBER:
        for j in range(n):
            delta[j] = TWO * min(max(z[j] - y[j], -shape), shape)
    elif code == QUANTILE:
        for j in range(n):
            delta[j] = -shape if y[j] > z[j] else (ONE - shape if y[j] < z[j] else ZERO)
    elif code == HINGE:
        _hinge_gradient(z, y, delta)
    elif code == MULTICLASS_PERCEPTRON:
        _correct(z, int(y[0]), ZERO, delta)
    elif code == PERCEPTRON:
        for j in range(n):
            t = TWO * y[j] - ONE
            delta[j] = -t if t * z[j] <= ZERO else ZERO


@jit
def _hinge_gradient(z: Vector, y: Vector, delta: Vector) -> None:
    if z.shape[0] == 1:
        t = TWO * y[0] - ONE
        delta[0] = -t if t * z[0] < ONE else ZERO
        return
    _correct(z, int(y[0]), ONE, delta)


@jit
def _correct(z: Vector, k: int, margin: Scalar, delta: Vector) -> None:
    """Where class `k` is not ahead of its highest rival by the margin, lift the one and lower the other."""
    rival = _rival(z, k)
    for j in range(z.shape[0]):
        delta[j] = ZERO
    if z[k] <= z[rival] or z[k] - z[rival] < margin:
        delta[rival] = ONE
        delta[k] = -ONE


@jit
def _rival(z: Vector, k: int) -> int:
    """Return the index of the highest score but that of class `k`."""
    best = 1 if k == 0 else 0
    for j in range(z.shape[0]):
        if j != k and z[j] > z[best]:
            best = j
    return best


@jit
def _sign(x: Scalar) -> Scalar:
    return ONE if x > ZERO else (-ONE if x < ZERO else ZERO)
