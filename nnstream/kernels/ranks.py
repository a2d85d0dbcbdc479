"""Rows summarised over blocks, and how a number ranks among those before. Equations: `nnstream.drift.changes`."""

import math

from nnstream.kernels._jit import jit
from nnstream.kernels.types import Doubles, Flags


@jit
def summarise(rows: Doubles, size: int, fewest: int, means: Doubles, spreads: Doubles) -> None:
    """Write the mean of each block and column, and the mean distance from it; NaN where too few values are known.

    Args:
        rows: float64 (blocks * size, columns), NaN where missing.
        size: rows of a block.
        fewest: values of a block, below which it says nothing.
        means: float64 (blocks, columns).
        spreads: float64 (blocks, columns).
    """
    for block in range(means.shape[0]):
        for j in range(means.shape[1]):
            known, total = 0, 0.0
            for i in range(block * size, (block + 1) * size):
                if not math.isnan(rows[i, j]):
                    known += 1
                    total += rows[i, j]
            means[block, j] = spreads[block, j] = math.nan
            if known < fewest:
                continue
            mean, away = total / known, 0.0
            for i in range(block * size, (block + 1) * size):
                if not math.isnan(rows[i, j]):
                    away += abs(rows[i, j] - mean)
            means[block, j], spreads[block, j] = mean, away / known


@jit
def rank(
    ring: Doubles,
    blocks: int,
    numbers: Doubles,
    lasting: Flags,
    reach: tuple[int, int, int],
    grid: Doubles,
    weight: float,
    recent: Doubles,
    scores: Doubles,
) -> None:
    """Write the normal score of each series' number among those before it, NaN where it cannot be ranked; keep it.

    Args:
        ring: float64 (series, history), the numbers before, NaN where there is none; takes in the new ones.
        blocks: how many the ring has taken in.
        numbers: float64 (series,).
        lasting: bool (series,), whether a number is ranked among fewer and older ones.
        reach: below how many a rank says too little; among how many one of a lasting series is ranked; and how many
            of the newest are left out.
        grid: float64 (2 history + 1,), the normal scores of evenly spaced shares.
        weight: of a score in its running mean.
        recent: float64 (series,), those running means.
        scores: float64 (series,).
    """
    history = ring.shape[1]
    slot, warm, lately, skipped = blocks % history, reach[0], reach[1], reach[2]
    for i in range(ring.shape[0]):
        x = numbers[i]
        known = below = upto = 0
        if lasting[i]:
            for age in range(skipped, skipped + lately):
                past = ring[i, (slot - 1 - age) % history]
                known += past == past  # noqa: PLR0124  # NaN is not itself
                below += past < x
                upto += past <= x
        else:
            for k in range(history):
                past = ring[i, k]
                known += past == past  # noqa: PLR0124
                below += past < x
                upto += past <= x
        ring[i, slot] = x
        scores[i] = math.nan
        if known >= warm and not math.isnan(x):
            share = 0.5 * (below + upto + 1) / (known + 1)
            at = share * (grid.shape[0] + 1) - 1.0
            k = min(max(int(at), 0), grid.shape[0] - 2)
            part = min(max(at - k, 0.0), 1.0)
            scores[i] = grid[k] + part * (grid[k + 1] - grid[k])
            recent[i] += weight * (scores[i] - recent[i])
