"""Running standardisation in log order: a value is scaled with the statistics as they are with it among them.

That is a function of the statistics and the value alone: to ask for it changes nothing. To leave the value itself out
would cost accuracy where a stream begins: with two or three values behind it, a spread is often far too small.
"""

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.types import Doubles, Flags, Matrix, Scalar, Table, Vector

LARGEST = 1e100  # squares of larger numbers leave float64
WARM = 30.0  # values before the spread is trusted
OUTLIER = 10.0  # standard deviations that one value may at most move the statistics by


@jit
def _moved(x: float, count: float, mean: float, variance: float, memory: float) -> tuple[float, float, float]:
    """Return the statistics moved towards x (Welford 1962; exponential once `memory` values are in).

    A value further away than `OUTLIER` standard deviations counts as one that far: a single broken event can not
    blind a column for a day, and a real shift is still followed.
    """
    x = min(max(x, -LARGEST), LARGEST)
    if count >= WARM and variance > 0.0:
        reach = OUTLIER * np.sqrt(variance)
        x = min(max(x, mean - reach), mean + reach)
    count = min(count + 1.0, memory)
    distance = x - mean
    mean += distance / count
    variance += (distance * (x - mean) - variance) / count
    return count, mean, variance


@jit
def standardise(
    raw: Doubles,
    columns: Table,
    learned: Flags,
    count: Doubles,
    mean: Doubles,
    variance: Doubles,
    memory: float,
    clip: Scalar,
    X: Matrix,
) -> None:
    """Write (x - mean) / standard deviation, clipped to [-clip, clip], row by row.

    Mean and standard deviation are those of the values learned before the row and of x. The result is 0 where x is
    missing, and where the standard deviation is 0: no value has been learned, or only values equal to x.

    Args:
        raw: float64 (n, m); NaN is a missing value.
        columns: int64 (m,), the column of `X` for each column of `raw`.
        learned: bool (n,), whether a row moves the statistics.
        count: float64 (m,), values seen (at most `memory`); changed in place, as the next two.
        mean: float64 (m,).
        variance: float64 (m,).
        memory: how many values the statistics look back; inf for all.
        clip: largest absolute scaled value.
        X: float32 (n, width), written at `columns` only.
    """
    for i in range(raw.shape[0]):
        for j in range(raw.shape[1]):
            x = raw[i, j]
            scaled = 0.0
            if not np.isnan(x):
                values, centre, spread = _moved(x, count[j], mean[j], variance[j], memory)
                if spread > 0.0:
                    scaled = (min(max(x, -LARGEST), LARGEST) - centre) / np.sqrt(spread)
                if learned[i]:
                    count[j], mean[j], variance[j] = values, centre, spread
            X[i, columns[j]] = min(max(np.float32(scaled), -clip), clip)


@jit
def standardise_targets(
    y: Doubles,
    has_label: Flags,
    count: Doubles,
    mean: Doubles,
    variance: Doubles,
    memory: float,
    centres: Doubles,
    spreads: Doubles,
    scaled: Vector,
) -> None:
    """Scale regression targets in log order, and say with which statistics each row is predicted.

    Args:
        y: float64 (n,).
        has_label: bool (n,); rows without a label are neither scaled nor learned.
        count: float64 (1,), changed in place, as the next two.
        mean: float64 (1,).
        variance: float64 (1,).
        memory: how many values the statistics look back; inf for all.
        centres: float64 (n,), written: the mean before this row's label was known.
        spreads: float64 (n,), written: the standard deviation before this row's label was known.
        scaled: float32 (n,), written: the target after its own label moved the statistics, within
            ±`OUTLIER`: a single broken label can not throw the weights away.
    """
    for i in range(y.shape[0]):
        centres[i] = mean[0]
        spreads[i] = np.sqrt(variance[0])
        scaled[i] = np.float32(0.0)
        if has_label[i]:
            count[0], mean[0], variance[0] = _moved(y[i], count[0], mean[0], variance[0], memory)
            if variance[0] > 0.0:
                standard = (y[i] - mean[0]) / np.sqrt(variance[0])
                scaled[i] = np.float32(min(max(standard, -OUTLIER), OUTLIER))
