"""Mixing what the members of an ensemble say, by what it was worth lately, in log order.

Three ways to mix run side by side, because each is best somewhere, and are mixed themselves: exponential weights on
the recent loss (Hedge: Littlestone & Warmuth 1994; with forgetting, Herbster & Warmuth 1998), and two learned
mixtures that may weigh members negatively or above one (logistic mixing, Mahoney 2005; for a regression a
normalised least-mean-squares correction), one slow and one fast.
"""

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import ONE, ZERO, exp, log
from nnstream.kernels.types import Cube, Flags, Matrix, Scalar, Vector

# Classification: forgetting of Hedge and of the last mixture, rates of the learned mixtures.
_HEDGE, _LAST = np.float32(0.99), np.float32(0.995)
_SLOW, _FAST = np.float32(0.002), np.float32(0.02)
_LOWEST = np.float32(-9.2)  # ln 0.0001: no member is more certain than that
_TINY = np.float32(1e-9)
# Regression.
_HEDGE_NUMBERS, _LAST_NUMBERS = np.float32(0.97), np.float32(0.997)
_SLOW_NUMBERS, _FAST_NUMBERS = np.float32(0.01), np.float32(0.1)
_SHARPNESS = np.float32(0.3)
_WINDOW = np.float32(200.0)
_LARGEST = np.float32(10.0)
_THREE = np.float32(3.0)
TWO = np.float32(2.0)

# rows of the state, float32 (3, at least members and 7)
HEDGE, LAST, SCALES = 0, 1, 2


@jit
def _softmax(scores: Vector, n: int, out: Vector) -> None:
    top = scores[0]
    for j in range(1, n):
        top = max(top, scores[j])
    total = ZERO
    for j in range(n):
        out[j] = exp(scores[j] - top)
        total += out[j]
    for j in range(n):
        out[j] /= total


@jit
def _log_probabilities(scores: Vector, out: Vector) -> None:
    """Write the members' log probabilities of each class; a member that is not finite says nothing."""
    classes = out.shape[0]
    for c in range(scores.shape[0]):
        if not np.isfinite(scores[c]):
            for each in range(classes):
                out[each] = -log(np.float32(classes))
            return
    if scores.shape[0] == 1:
        s = min(max(scores[0], _LOWEST), -_LOWEST)
        rest = log(ONE + exp(-abs(s)))
        out[1] = min(s, ZERO) - rest
        out[0] = min(-s, ZERO) - rest
        return
    top = scores[0]
    for c in range(1, classes):
        top = max(top, scores[c])
    total = ZERO
    for c in range(classes):
        total += exp(scores[c] - top)
    total = log(total) + top
    for c in range(classes):
        out[c] = max(scores[c] - total, _LOWEST)


@jit
def mix_classes(
    scores: Cube,
    y: Matrix,
    known: Flags,
    state: Matrix,
    learned: Matrix,
    scratch: Matrix,
    mixed: Matrix,
    losses: Vector,
) -> None:
    """Mix the members' class probabilities, row by row; where the label is known, learn whom to trust.

    Args:
        scores: float32 (m, n, k), k = 1 for two classes.
        y: float32 (n, 1), class indices.
        known: bool (n,).
        state: float32 (3, ...), see above; changed in place.
        learned: float32 (2, m), weights of the learned mixtures; changed in place.
        scratch: float32 (m + 5, at least classes, members and 3), overwritten.
        mixed: float32 (n, classes), written: probabilities.
        losses: float32 (n,), written: -ln of the true class's probability, NaN where no label is known.
    """
    m, classes = scores.shape[0], mixed.shape[1]
    said, ways = scratch[:m, :classes], scratch[m : m + 3, :classes]
    trust, share = scratch[m + 3], scratch[m + 4]
    for i in range(scores.shape[1]):
        _softmax(state[HEDGE], m, trust)
        for c in range(classes):
            ways[0, c] = ways[1, c] = ways[2, c] = ZERO
        for j in range(m):
            _log_probabilities(scores[j, i], said[j])
            for c in range(classes):
                ways[0, c] += trust[j] * exp(said[j, c])
                ways[1, c] += learned[0, j] * said[j, c]
                ways[2, c] += learned[1, j] * said[j, c]
        _softmax(ways[1], classes, ways[1])
        _softmax(ways[2], classes, ways[2])
        _softmax(state[LAST], 3, share)
        for c in range(classes):
            mixed[i, c] = share[0] * ways[0, c] + share[1] * ways[1, c] + share[2] * ways[2, c]
        losses[i] = np.float32(np.nan)
        if not known[i]:
            continue
        true = int(y[i, 0])
        losses[i] = -log(max(mixed[i, true], _TINY))
        for b in range(3):
            state[LAST, b] = _LAST * state[LAST, b] + log(max(ways[b, true], _TINY))
        for j in range(m):
            state[HEDGE, j] = _HEDGE * state[HEDGE, j] + said[j, true]
            for b in range(2):
                step = said[j, true]
                for c in range(classes):
                    step -= ways[b + 1, c] * said[j, c]
                learned[b, j] += (_SLOW if b == 0 else _FAST) * step


@jit
def mix_numbers(
    scores: Cube,
    y: Matrix,
    known: Flags,
    state: Matrix,
    learned: Matrix,
    scratch: Matrix,
    mixed: Matrix,
    losses: Vector,
) -> None:
    """Mix the members' numbers (on the label's running scale); arguments as in `mix_classes`, k = 1.

    `learned` holds weights on each member's distance from the Hedge mixture, 0 at first. `losses` is the squared
    error on that scale.
    """
    m = scores.shape[0]
    hedge, last, scales = state[HEDGE], state[LAST], state[SCALES]
    trust, share = scratch[m + 3], scratch[m + 4]
    for i in range(scores.shape[1]):
        _softmax(hedge, m, trust)
        centre = ZERO
        for j in range(m):
            said = scores[j, i, 0]
            said = min(max(said, -_LARGEST), _LARGEST) if np.isfinite(said) else ZERO
            scores[j, i, 0] = said
            centre += trust[j] * said
        slow = fast = centre
        square = ZERO
        for j in range(m):
            away = scores[j, i, 0] - centre
            square += away * away
            slow += learned[0, j] * away
            fast += learned[1, j] * away
        slow = min(max(slow, -_LARGEST), _LARGEST)
        fast = min(max(fast, -_LARGEST), _LARGEST)
        _softmax(last, 3, share)
        mixed[i, 0] = share[0] * centre + share[1] * slow + share[2] * fast
        losses[i] = np.float32(np.nan)
        if not known[i]:
            continue
        target = y[i, 0]
        losses[i] = (mixed[i, 0] - target) * (mixed[i, 0] - target)
        _move_scales(
            scales, abs(centre - target), abs(slow - target), abs(fast - target), abs(mixed[i, 0] - target), square
        )
        for b in range(3):
            way = centre if b == 0 else (slow if b == 1 else fast)
            last[b] = _LAST_NUMBERS * last[b] - min(abs(way - target) / (scales[4] + _TINY), _LARGEST)
        slow_step = _step(_SLOW_NUMBERS, slow - target, scales[2], scales[5] + square)
        fast_step = _step(_FAST_NUMBERS, fast - target, scales[3], scales[5] + square)
        for j in range(m):
            cost = _SHARPNESS * abs(scores[j, i, 0] - target) / (scales[1] + _TINY)
            hedge[j] = _HEDGE_NUMBERS * hedge[j] - min(cost, _THREE)
            away = scores[j, i, 0] - centre
            learned[0, j] -= slow_step * away
            learned[1, j] -= fast_step * away


@jit
def _move_scales(scales: Vector, centre: Scalar, slow: Scalar, fast: Scalar, mixed: Scalar, square: Scalar) -> None:
    """Move the running mean errors of the four ways, and the members' mean squared distance."""
    scales[0] = min(scales[0] + ONE, _WINDOW)
    rate = ONE / scales[0]
    scales[1] += rate * (centre - scales[1])
    scales[2] += rate * (slow - scales[2])
    scales[3] += rate * (fast - scales[3])
    scales[4] += rate * (mixed - scales[4])
    scales[5] += rate * (square - scales[5])


@jit
def _step(rate: Scalar, error: Scalar, scale: Scalar, square: Scalar) -> Scalar:
    """Return the step of a learned mixture: normalised, and not more than two mean errors long."""
    return rate * min(max(error, -TWO * scale), TWO * scale) / (square + _TINY)
