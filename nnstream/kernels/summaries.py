"""Runs of rows, summarised, and numbers ranked among those before them: what drift detectors look at."""

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.types import Cube, Doubles, Scalar


@jit
def summarise(values: Cube, fewest: int, means: Doubles, spreads: Doubles) -> None:
    """Write the mean of each run of rows, and the mean distance from it; sums are taken row by row.

    Args:
        values: float64 (runs, rows, columns); NaN is a missing value.
        fewest: values of a run, below which it says nothing.
        means: float64 (runs, columns), written; NaN where a run says nothing.
        spreads: float64 (runs, columns), written likewise.
    """
    runs, rows, columns = values.shape
    for b in range(runs):
        for j in range(columns):
            known, total = 0, 0.0
            for i in range(rows):
                x = values[b, i, j]
                if not np.isnan(x):
                    known += 1
                    total += x
            if known < fewest:
                means[b, j] = spreads[b, j] = np.nan
                continue
            mean, apart = total / known, 0.0
            for i in range(rows):
                x = values[b, i, j]
                if not np.isnan(x):
                    apart += abs(x - mean)
            means[b, j], spreads[b, j] = mean, apart / known


@jit
def rank(ring: Doubles, first: int, numbers: Doubles, warm_up: int, shares: Doubles) -> None:
    """Say, block by block, what share of its series' past lies below each number; then it is part of that past.

    Args:
        ring: float64 (past, series), changed in place; NaN where there is none.
        first: how many blocks went before; they take the places of the ring by turns.
        numbers: float64 (blocks, series); NaN says nothing.
        warm_up: numbers of the past, below which a share says too little.
        shares: float64 (blocks, series), written: within (0, 1), equal ones count half; NaN where there is none.
    """
    past, series = ring.shape
    for b in range(numbers.shape[0]):
        for j in range(series):
            number, below, equal, count = numbers[b, j], 0, 0, 0
            for i in range(past):
                x = ring[i, j]
                below += x < number
                equal += x == number
                count += not np.isnan(x)
            shares[b, j] = np.nan
            if count >= warm_up and not np.isnan(number):
                shares[b, j] = (below + 0.5 * equal + 0.5) / (count + 1)
        for j in range(series):
            ring[(first + b) % past, j] = numbers[b, j]


@jit
def smooth(means: Doubles, numbers: Doubles, weight: float) -> None:
    """Move each running mean towards its numbers, block by block; NaN moves nothing.

    Args:
        means: float64 (series,), changed in place.
        numbers: float64 (blocks, series).
        weight: of the newest number.
    """
    for b in range(numbers.shape[0]):
        for j in range(means.shape[0]):
            if not np.isnan(numbers[b, j]):
                means[j] += weight * (numbers[b, j] - means[j])


@jit
def add_losses(total: float, losses: Doubles, largest: float) -> Scalar:
    """Return `total` and all losses, added one by one; what is not known counts as 0, none as more than `largest`."""
    for i in range(losses.shape[0]):
        if not np.isnan(losses[i]):
            total += min(losses[i], largest)
    return total
