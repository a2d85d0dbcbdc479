"""Runs of rows, summarised, and numbers ranked among those before them: what drift detectors look at."""

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.types import Cube, Doubles, Scalar, Table


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
def rank(ring: Doubles, numbers: Doubles, below: Table, equal: Table, count: Table) -> None:
    """Count, for each series, the numbers of the past below and equal to the newest one, and those there are.

    Args:
        ring: float64 (past, series); NaN where there is none.
        numbers: float64 (series,).
        below: int64 (series,), written, as the next two.
        equal: int64 (series,).
        count: int64 (series,).
    """
    past, series = ring.shape
    for j in range(series):
        below[j] = equal[j] = count[j] = 0
    for i in range(past):
        for j in range(series):
            x = ring[i, j]
            below[j] += x < numbers[j]
            equal[j] += x == numbers[j]
            count[j] += not np.isnan(x)


@jit
def add_losses(total: float, losses: Doubles, largest: float) -> Scalar:
    """Return `total` and all losses, added one by one; what is not known counts as 0, none as more than `largest`."""
    for i in range(losses.shape[0]):
        if not np.isnan(losses[i]):
            total += min(losses[i], largest)
    return total
