"""Mixing what the members of an ensemble say, by what it was worth lately, in log order.

Three ways to mix run side by side, because each is best somewhere, and are mixed themselves: exponential weights on
the recent loss (Hedge: Littlestone & Warmuth 1994; with forgetting, Herbster & Warmuth 1998), and two learned
mixtures that may weigh members negatively or above one (logistic mixing, Mahoney 2005; for a regression a
normalised least-mean-squares correction), one slow and one fast.
"""

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import ONE, ZERO, log, sigmoid, softmax
from nnstream.kernels.lane_functions import exp as exp_lanes
from nnstream.kernels.lane_functions import log as log_lanes
from nnstream.kernels.lanes import WIDTH, clamp, largest, load, spread, store, total
from nnstream.kernels.types import Cube, Flags, Matrix, Scalar, Vector

# Classification: forgetting of Hedge and of the last mixture, rates of the learned mixtures.
_HEDGE, _LAST = np.float32(0.99), np.float32(0.995)
_SLOW, _FAST = np.float32(0.002), np.float32(0.02)
LOWEST = np.float32(-9.2)  # ln 0.0001: no member is more certain than that
_LEAST, _TENTH = np.float32(1e-4), np.float32(0.1)
TINY = np.float32(1e-9)
_FAR = np.float32(-60.0)  # e to that is nothing, and not yet a denormal number, which would be slow
# Regression.
_HEDGE_NUMBERS, _LAST_NUMBERS = np.float32(0.97), np.float32(0.997)
_SLOW_NUMBERS, _FAST_NUMBERS = np.float32(0.01), np.float32(0.1)
_SHARPNESS = np.float32(0.3)
_WINDOW = np.float32(200.0)
LARGEST = np.float32(10.0)
_THREE = np.float32(3.0)
TWO = np.float32(2.0)

# rows of the state, float32 (3, whole lanes, at least members and 7)
HEDGE, LAST, SCALES = 0, 1, 2


@jit
def weigh(scores: Vector, n: int, trust: Vector) -> None:
    """Write the softmax of the first `n` scores; both have whole lanes, and `trust` 0 beyond `n`."""
    top = scores[0]
    for j in range(1, n):
        top = max(top, scores[j])
    everything = ZERO
    for u in range(0, trust.shape[0], WIDTH):
        powers = exp_lanes(clamp(load(scores, u) - spread(top), _FAR, ZERO))
        store(trust, u, powers)
    for j in range(n, trust.shape[0]):
        trust[j] = ZERO
    for u in range(0, trust.shape[0], WIDTH):
        everything += total(load(trust, u))
    for u in range(0, trust.shape[0], WIDTH):
        store(trust, u, load(trust, u) * spread(ONE / everything))


@jit
def mix_two(
    scores: Cube,
    y: Matrix,
    known: Flags,
    weight: Vector,
    state: Matrix,
    learned: Matrix,
    scratch: Matrix,
    mixed: Matrix,
    losses: Vector,
) -> None:
    """Mix the members' probabilities of the second of two classes; arguments as in `mix_classes`, k = 1.

    A member's log-odds are its score: what the learned mixtures add up.
    """
    m, padded = scores.shape[0], learned.shape[1]
    said, trust, ways, share = scratch[0, :padded], scratch[1, :padded], scratch[2], scratch[3]
    for j in range(m, padded):
        said[j] = ZERO
    for i in range(scores.shape[1]):
        for j in range(m):
            s = scores[j, i, 0]
            said[j] = min(max(s, LOWEST), -LOWEST) if np.isfinite(s) else ZERO
        weigh(state[HEDGE], m, trust)
        ways[0] = ways[1] = ways[2] = ZERO
        for u in range(0, padded, WIDTH):
            odds = load(said, u)
            ways[0] += total(load(trust, u) / (spread(ONE) + exp_lanes(spread(ZERO) - odds)))
            ways[1] += total(load(learned[0], u) * odds)
            ways[2] += total(load(learned[1], u) * odds)
        ways[1], ways[2] = sigmoid(ways[1]), sigmoid(ways[2])
        softmax(state[LAST], 3, share)
        second = share[0] * ways[0] + share[1] * ways[1] + share[2] * ways[2]
        mixed[i, 0], mixed[i, 1] = ONE - second, second
        losses[i] = np.float32(np.nan)
        if not known[i]:
            continue
        true = y[i, 0] > ZERO
        losses[i] = -log(max(mixed[i, int(true)], TINY))
        for b in range(3):
            right = ways[b] if true else ONE - ways[b]
            state[LAST, b] = _LAST * state[LAST, b] + weight[i] * log(max(right, TINY))
        for u in range(0, padded, WIDTH):
            odds = load(said, u)
            wrong = spread(ZERO) - odds if true else odds
            worth = log_lanes(spread(ONE) + exp_lanes(wrong))
            store(state[HEDGE], u, spread(_HEDGE) * load(state[HEDGE], u) - spread(weight[i]) * worth)
            for b in range(2):
                step = weight[i] * (_SLOW if b == 0 else _FAST) * (y[i, 0] - ways[b + 1])
                store(learned[b], u, load(learned[b], u) + spread(step) * odds)


@jit
def least_share(outputs: int) -> Scalar:
    """Return the least probability the Hedge mixture gives each of several classes; of two, `LOWEST` sees to that."""
    return ZERO if outputs == 1 else min(_LEAST, _TENTH / np.float32(outputs))


@jit
def _say(scores: Vector, classes: int, said: Vector, shares: Vector) -> None:
    """Write a member's log probability and probability of each class; one that is not finite says nothing."""
    bad, top = ZERO, largest(load(scores, 0))
    for u in range(0, said.shape[0], WIDTH):
        lanes = load(scores, u)
        top = max(top, largest(lanes))
        bad += total(lanes - lanes)
    if bad != ZERO:
        for c in range(classes):
            scores[c] = ZERO
        top = ZERO
    everything = ZERO
    for u in range(0, said.shape[0], WIDTH):
        powers = exp_lanes(clamp(load(scores, u) - spread(top), _FAR, ZERO))
        everything += total(powers)
        store(shares, u, powers)
    least = log(everything) + top
    floor = least_share(classes)
    share = spread((ONE - floor * np.float32(classes)) / everything)
    for u in range(0, said.shape[0], WIDTH):
        store(said, u, clamp(load(scores, u) - spread(least), LOWEST, ZERO))
        store(shares, u, load(shares, u) * share + spread(floor))


@jit
def mix_classes(
    scores: Cube,
    y: Matrix,
    known: Flags,
    weight: Vector,
    state: Matrix,
    learned: Matrix,
    scratch: Matrix,
    mixed: Matrix,
    losses: Vector,
) -> None:
    """Mix the members' class probabilities, row by row; where the label is known, learn whom to trust.

    Args:
        scores: float32 (m, n, whole lanes), the scores of k classes and then -1e30; overwritten where not finite.
        y: float32 (n, 1), class indices.
        known: bool (n,).
        weight: float32 (n,), a factor on what a label teaches.
        state: float32 (3, ...), see above; changed in place. Every row here and below has whole lanes.
        learned: float32 (2, at least m), weights of the learned mixtures, 0 beyond m; changed in place.
        scratch: float32 (2 m + 5, at least k and m), overwritten.
        mixed: float32 (n, k), written: probabilities.
        losses: float32 (n,), written: -ln of the true class's probability, NaN where no label is known.
    """
    m, padded, classes = scores.shape[0], scores.shape[2], mixed.shape[1]
    said, shares, ways = scratch[:m, :padded], scratch[m : 2 * m, :padded], scratch[2 * m : 2 * m + 3, :padded]
    trust, share = scratch[2 * m + 3, : learned.shape[1]], scratch[2 * m + 4]
    for i in range(scores.shape[1]):
        weigh(state[HEDGE], m, trust)
        for j in range(m):
            _say(scores[j, i], classes, said[j], shares[j])
        for u in range(0, padded, WIDTH):
            hedged = slow = fast = spread(ZERO)
            for j in range(m):
                lanes = load(said[j], u)
                hedged = hedged + spread(trust[j]) * load(shares[j], u)
                slow = slow + spread(learned[0, j]) * lanes
                fast = fast + spread(learned[1, j]) * lanes
            store(ways[0], u, hedged)
            store(ways[1], u, slow)
            store(ways[2], u, fast)
        weigh(ways[1], classes, ways[1])
        weigh(ways[2], classes, ways[2])
        softmax(state[LAST], 3, share)
        for c in range(classes):
            mixed[i, c] = share[0] * ways[0, c] + share[1] * ways[1, c] + share[2] * ways[2, c]
        losses[i] = np.float32(np.nan)
        if not known[i]:
            continue
        true = int(y[i, 0])
        losses[i] = -log(max(mixed[i, true], TINY))
        for b in range(3):
            state[LAST, b] = _LAST * state[LAST, b] + weight[i] * log(max(ways[b, true], TINY))
        for j in range(m):
            state[HEDGE, j] = _HEDGE * state[HEDGE, j] + weight[i] * said[j, true]
            for b in range(2):
                step = said[j, true]
                for u in range(0, padded, WIDTH):
                    step -= total(load(ways[b + 1], u) * load(said[j], u))
                learned[b, j] += weight[i] * (_SLOW if b == 0 else _FAST) * step


@jit
def mix_numbers(
    scores: Cube,
    y: Matrix,
    known: Flags,
    weight: Vector,
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
    trust, share = scratch[0, : learned.shape[1]], scratch[1]
    for i in range(scores.shape[1]):
        weigh(hedge, m, trust)
        centre = ZERO
        for j in range(m):
            said = scores[j, i, 0]
            said = min(max(said, -LARGEST), LARGEST) if np.isfinite(said) else ZERO
            scores[j, i, 0] = said
            centre += trust[j] * said
        slow = fast = centre
        square = ZERO
        for j in range(m):
            away = scores[j, i, 0] - centre
            square += away * away
            slow += learned[0, j] * away
            fast += learned[1, j] * away
        slow = min(max(slow, -LARGEST), LARGEST)
        fast = min(max(fast, -LARGEST), LARGEST)
        softmax(last, 3, share)
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
            last[b] = _LAST_NUMBERS * last[b] - weight[i] * min(abs(way - target) / (scales[4] + TINY), LARGEST)
        slow_step = weight[i] * _step(_SLOW_NUMBERS, slow - target, scales[2], scales[5] + square)
        fast_step = weight[i] * _step(_FAST_NUMBERS, fast - target, scales[3], scales[5] + square)
        for j in range(m):
            cost = _SHARPNESS * abs(scores[j, i, 0] - target) / (scales[1] + TINY)
            hedge[j] = _HEDGE_NUMBERS * hedge[j] - weight[i] * min(cost, _THREE)
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
    return rate * min(max(error, -TWO * scale), TWO * scale) / (square + TINY)
