"""Adaptive conformal inference in log order: how far a prediction set must reach, and what a label teaches about it.

The conformity scores of the newest labels are kept twice, in the order they came and in ascending order. Equations:
`nnstream.conformal`.
"""

import math

from nnstream.kernels._jit import jit
from nnstream.kernels.types import Doubles, Scalar, Table

# columns of the counts, int64
SEEN, SCORED, MISSES = 0, 1, 2
# columns of the scale, float64: mean absolute residual, and how many it has seen (at most `_MEMORY`)
MEAN, COUNT = 0, 1
_MEMORY = 50.0
# what `walk` is to do with a row, and what it says of a label for whose event nothing was published
NOTHING, PREDICTED, LABELLED, LATE = 0, 1, 2, 3
UNPUBLISHED = -1


@jit
def miss_level(alpha: float, excess: float, slack: float) -> float:
    """Return the share of misses to aim at, given how many more misses there were than asked for."""
    if excess >= slack:
        return 0.0
    if excess <= -slack:
        return 1.0
    odds = (slack - excess) / (slack + excess)
    odds *= odds
    return alpha * odds / (1.0 - alpha + alpha * odds)


@jit
def reach_now(alpha: float, slack: float, scaled: bool, ascending: Doubles, counts: Table, scale: Doubles) -> Scalar:
    """Return the largest residual a prediction set is to hold now; NaN until there are 1 / alpha scores.

    Args:
        alpha: share of misses asked for.
        slack: misses too many or too few at which the set holds everything, or nothing.
        scaled: whether scores are residuals over their running mean (a regression), or lie in [0, 1].
        ascending: float64 (window,), the newest scores.
        counts: int64 (3,), see the columns above.
        scale: float64 (2,), see the columns above.
    """
    n = min(counts[SEEN], ascending.shape[0])
    if n * alpha < 1.0:
        return math.nan
    excess = counts[MISSES] - alpha * counts[SCORED]
    rank = math.ceil((1.0 - miss_level(alpha, excess, slack)) * (n + 1))
    beyond = max(2.0 * excess / slack - 1.0, 0.0)
    if rank <= 0:
        return 0.0 if scaled else -1.0
    largest = ascending[min(rank, n) - 1]
    if scaled:
        return largest * (1.0 + beyond) * scale[MEAN]
    return largest + (1.0 - largest) * min(beyond, 1.0)


@jit
def _place(ascending: Doubles, n: int, score: float) -> int:
    """Return the index of the first of the `n` scores that is not below `score`."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < score:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def _remember(score: float, ring: Doubles, ascending: Doubles, counts: Table) -> None:
    """Take in the newest score; where there is no room, the oldest one goes."""
    window = ring.shape[0]
    n, slot = min(counts[SEEN], window), counts[SEEN] % window
    if n == window:
        n -= 1
        for j in range(_place(ascending, window, ring[slot]), n):
            ascending[j] = ascending[j + 1]
    place = _place(ascending, n, score)
    for j in range(n, place, -1):
        ascending[j] = ascending[j - 1]
    ascending[place] = score
    ring[slot] = score
    counts[SEEN] += 1


@jit
def _learn(
    residual: float, covered: int, scaled: bool, ring: Doubles, ascending: Doubles, counts: Table, scale: Doubles
) -> None:
    """Count whether a published set held its label, and take in the residual of that label.

    A residual that is not finite says nothing about the reach (a class nobody had seen). The scale is moved by a
    score after that was taken, but in the first `_MEMORY` before: a spread out of one number is none.
    """
    if covered != UNPUBLISHED:
        counts[SCORED] += 1
        counts[MISSES] += 1 - covered
    if not math.isfinite(residual):
        return
    if not scaled:
        _remember(residual, ring, ascending, counts)
        return
    before = scale[MEAN]
    young = scale[COUNT] < _MEMORY
    scale[COUNT] = min(scale[COUNT] + 1.0, _MEMORY)
    scale[MEAN] += (residual - before) / scale[COUNT]
    divisor = scale[MEAN] if young else before
    if divisor > 0.0:
        _remember(residual / divisor, ring, ascending, counts)


@jit
def walk(
    residuals: Doubles, centres: Doubles, values: Doubles, kinds: Table, sources: Table, alpha: float, slack: float,
    scaled: bool, ring: Doubles, ascending: Doubles, counts: Table, scale: Doubles, reaches: Doubles, covered: Table,
) -> None:  # fmt: skip
    """Give each event its reach, and learn from the labels as they come, strictly in order.

    Args:
        residuals: float64 (n,), of each label beside the prediction that was published for its event.
        centres: float64 (n,), of an event: its set holds the value v where centre - reach <= v <= centre + reach, the
            very sums that are published.
        values: float64 (n,), of each label.
        kinds: int64 (n,): NOTHING, PREDICTED (an event without a label), LABELLED (an event with its label) or LATE
            (the label of an earlier event).
        sources: int64 (n,): where a LATE label's event lies in this block; -1 if before it, `covered` then says what
            came of its set.
        alpha: see `reach_now`; so are the next two.
        slack: misses.
        scaled: whether it is a regression.
        ring: float64 (window,), the newest scores as they came; changed in place, as the next three.
        ascending: float64 (window,), the same in ascending order.
        counts: int64 (3,).
        scale: float64 (2,).
        reaches: float64 (n,), written for events.
        covered: int64 (n,), written where a label is scored: 1, 0 or UNPUBLISHED.
    """
    for i in range(residuals.shape[0]):
        if kinds[i] == PREDICTED or kinds[i] == LABELLED:
            reaches[i] = reach_now(alpha, slack, scaled, ascending, counts, scale)
        if kinds[i] == LABELLED or kinds[i] == LATE:
            event = i if kinds[i] == LABELLED else sources[i]
            if event >= 0:
                low, high = centres[event] - reaches[event], centres[event] + reaches[event]
                held = 1 if low <= values[i] <= high else 0
                covered[i] = UNPUBLISHED if math.isnan(reaches[event]) else held
            _learn(residuals[i], covered[i], scaled, ring, ascending, counts, scale)
