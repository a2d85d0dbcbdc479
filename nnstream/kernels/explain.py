"""What one prediction owes to each input of one network: gradient x input, and integrated gradients.

Two things make the path integral cheap and its sum exact. The first layer is linear, so along the straight path from
0 to x its pre-activations move from the biases to z(x) on a straight line too: one pass of the wide layer each way
serves all steps. And each step multiplies by secants instead of derivatives, so what the contributions of a step add
up to is the change of the score over that step, for any number of steps. Equations: docs/explanation.md.
"""

import numpy as np

from nnstream.kernels import layout as at
from nnstream.kernels._jit import jit
from nnstream.kernels.activations import ELU, GELU, RELU, SIGMOID, SOFTPLUS, TANH, activate, multiply_by_derivative
from nnstream.kernels.dense import backward_inputs, dot, forward
from nnstream.kernels.elementary import HALF, ONE, ZERO, exp, log
from nnstream.kernels.types import Matrix, Scalar, Table, Vector

# what `explain_network` says beside the contributions
BASELINE, OUTPUT, TARGET = 0, 1, 2
# rows of the scratch space; Z and A stand for two rows each, the ends of a step
TOP, MEAN, DELTA, MIDDLE, Z, A = 0, 1, 2, 3, 4, 6
SCRATCH_ROWS = 8
_STEP = np.float32(1e-3)  # below that, the secant of a curve is rounding error, and its derivative says the same
_TINY = np.float32(1e-12)


@jit
def log_odds(z: Vector, target: int) -> Scalar:
    """Return the score of class `target`: ln(p / (1 - p)) of the softmax; of one output, that or its negative."""
    if z.shape[0] == 1:
        return z[0] if target == 1 else -z[0]
    top = z[1] if target == 0 else z[0]
    for j in range(z.shape[0]):
        if j != target:
            top = max(top, z[j])
    total = ZERO
    for j in range(z.shape[0]):
        if j != target:
            total += exp(z[j] - top)
    return z[target] - (top + log(total))


@jit
def log_odds_gradient(z: Vector, target: int, delta: Vector) -> None:
    """Write the derivative of `log_odds` by each output."""
    n = z.shape[0]
    if n == 1:
        delta[0] = ONE if target == 1 else -ONE
        return
    top = z[1] if target == 0 else z[0]
    for j in range(n):
        if j != target:
            top = max(top, z[j])
    total = ZERO
    for j in range(n):
        delta[j] = ZERO if j == target else exp(z[j] - top)
        total += delta[j]
    for j in range(n):
        delta[j] = ONE if j == target else -(delta[j] / total)


@jit
def complete(change: Scalar, before: Vector, after: Vector, delta: Vector) -> None:
    """Correct a gradient so that it says of `after` - `before` what the function did (Gonzalez 1996, eq. 2.6)."""
    square, gap = ZERO, change
    for j in range(delta.shape[0]):
        d = after[j] - before[j]
        square += d * d
        gap -= delta[j] * d
    if square > _TINY:
        gap /= square
        for j in range(delta.shape[0]):
            delta[j] += gap * (after[j] - before[j])


@jit
def _best(z: Vector) -> int:
    """Return the class with the highest probability; of equals the first."""
    if z.shape[0] == 1:
        return 1 if z[0] > ZERO else 0
    best = 0
    for j in range(1, z.shape[0]):
        if z[j] > z[best]:
            best = j
    return best


@jit
def _multiply_by_secant(code: int, za: Vector, aa: Vector, zb: Vector, ab: Vector, delta: Vector) -> None:
    """Multiply `delta[j]` by the slope of the activation from `za[j]` to `zb[j]`."""
    if code == RELU:  # without a branch, so that it vectorises
        for j in range(delta.shape[0]):
            d = zb[j] - za[j]
            slope = (ab[j] - aa[j]) / d
            at_rest = ONE if zb[j] > ZERO else ZERO
            delta[j] *= at_rest if d == ZERO else slope
        return
    curved = code in (SIGMOID, TANH, ELU, GELU, SOFTPLUS)
    for j in range(delta.shape[0]):
        d = zb[j] - za[j]
        if abs(d) > (_STEP * (ONE + abs(zb[j])) if curved else ZERO):
            delta[j] *= (ab[j] - aa[j]) / d
        else:
            multiply_by_derivative(code, zb[j : j + 1], ab[j : j + 1], delta[j : j + 1])


@jit
def _upwards(layers: Table, params: Vector, z: Vector, a: Vector) -> None:
    """Complete a forward pass whose first pre-activations are known."""
    start, stop = 0, layers[0, at.FAN_OUT]
    for k in range(1, layers.shape[0]):
        activate(layers[k - 1, at.ACTIVATION], z[start:stop], a[start:stop])
        w, b, fan_out = layers[k, at.WEIGHTS], layers[k, at.BIASES], layers[k, at.FAN_OUT]
        forward(a[start:stop], params[w:b], params[b : b + fan_out], z[stop : stop + fan_out])
        start, stop = stop, stop + fan_out


@jit
def _downwards(
    layers: Table, params: Vector, za: Vector, aa: Vector, zb: Vector, ab: Vector, secant: bool, delta: Vector
) -> None:
    """Carry `delta` from the outputs to the first pre-activations: by secants from a to b, or derivatives at b."""
    stop = delta.shape[0]
    for k in range(layers.shape[0] - 1, 0, -1):
        start = stop - layers[k, at.FAN_OUT]
        below = start - layers[k, at.FAN_IN]
        backward_inputs(params[layers[k, at.WEIGHTS] : layers[k, at.BIASES]], delta[start:stop], delta[below:start])
        code = layers[k - 1, at.ACTIVATION]
        if secant:
            _multiply_by_secant(
                code, za[below:start], aa[below:start], zb[below:start], ab[below:start], delta[below:start]
            )
        else:
            multiply_by_derivative(code, zb[below:start], ab[below:start], delta[below:start])
        stop = start


@jit
def _integrate(layers: Table, params: Vector, target: int, steps: int, scratch: Matrix) -> Scalar:
    """Leave the mean of the first pre-activations' deltas on the path in `MEAN`; return the score where it begins.

    `TOP` holds the first pre-activations at x.
    """
    units, width = scratch.shape[1], layers[0, at.FAN_OUT]
    last = units - layers[-1, at.FAN_OUT]
    base = params[layers[0, at.BIASES] : layers[0, at.BIASES] + width]
    top, mean, delta, middle = scratch[TOP], scratch[MEAN], scratch[DELTA], scratch[MIDDLE, : units - last]
    za, aa, zb, ab = scratch[Z], scratch[A], scratch[Z + 1], scratch[A + 1]
    for j in range(width):
        za[j], mean[j] = base[j], ZERO
    _upwards(layers, params, za, aa)
    baseline = before = log_odds(za[last:], target)
    for s in range(1, steps + 1):
        share = np.float32(s) / np.float32(steps)
        for j in range(width):
            zb[j] = base[j] + share * (top[j] - base[j]) if s < steps else top[j]
        _upwards(layers, params, zb, ab)
        after = log_odds(zb[last:], target)
        for j in range(units - last):
            middle[j] = HALF * (za[last + j] + zb[last + j])
        log_odds_gradient(middle, target, delta[last:])
        complete(after - before, za[last:], zb[last:], delta[last:])
        _downwards(layers, params, za, aa, zb, ab, True, delta)
        for j in range(width):
            mean[j] += delta[j]
        before = after
        za, zb, aa, ab = zb, za, ab, aa
    share = ONE / np.float32(steps)
    for j in range(width):
        mean[j] *= share
    return baseline


@jit
def explain_network(
    X: Matrix, layers: Table, params: Vector, target: int, steps: int, scratch: Matrix, contributions: Matrix,
    ends: Matrix,
) -> None:  # fmt: skip
    """Write what the score of each row owes to each of its inputs.

    Args:
        X: float32 (n, fan_in).
        layers: int64 (layers, LAYER_COLUMNS) of one network.
        params: float32, its parameters.
        target: class to explain; -1 is the most probable one of each row. A regression's only output is class 1.
        steps: of the path from 0 to x; 0 is gradient x input.
        scratch: float32 (SCRATCH_ROWS, units of the network), overwritten.
        contributions: float32 (n, fan_in), written.
        ends: float32 (n, 3), written: score at 0 (NaN for gradient x input), score at x, class explained.
    """
    width, last = layers[0, at.FAN_OUT], scratch.shape[1] - layers[-1, at.FAN_OUT]
    w, b = layers[0, at.WEIGHTS], layers[0, at.BIASES]
    z, a, delta, chosen = scratch[TOP], scratch[A], scratch[DELTA], scratch[DELTA, :width]
    if steps > 0:
        chosen = scratch[MEAN, :width]
    for i in range(X.shape[0]):
        forward(X[i], params[w:b], params[b : b + width], z[:width])
        _upwards(layers, params, z, a)
        of = _best(z[last:]) if target < 0 else target
        ends[i, BASELINE], ends[i, OUTPUT], ends[i, TARGET] = np.float32(np.nan), log_odds(z[last:], of), of
        if steps > 0:
            ends[i, BASELINE] = _integrate(layers, params, of, steps, scratch)
        else:
            log_odds_gradient(z[last:], of, delta[last:])
            _downwards(layers, params, z, a, z, a, False, delta)
        for e in range(X.shape[1]):
            x = X[i, e]
            contributions[i, e] = x * dot(params[w + e * width : w + (e + 1) * width], chosen) if x != ZERO else ZERO
