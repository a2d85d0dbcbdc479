"""What the ensemble's members see of a row: the labels before it, its columns, and soft bins of its numbers."""

from typing import Any

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import ONE, ZERO
from nnstream.kernels.types import Doubles, Flags, Matrix, Table

_FAST, _SLOW = 0.7, 0.95  # how much of the past the two moving averages of the labels keep
EDGE = np.float32(2.0)  # where even bins end before there are quantiles, in standard deviations
LARGEST_LAG = 10.0


@jit
def lag_labels(targets: Matrix, known: Flags, lags: Doubles, out: Matrix) -> None:
    """Write the last target and two moving averages of the targets before each row.

    Args:
        targets: float32 (n, k), one row a label.
        known: bool (n,).
        lags: float64 (3, k), changed in place.
        out: float32 (n, 3 k).
    """
    k = targets.shape[1]
    for i in range(targets.shape[0]):
        for c in range(k):
            for r in range(3):
                out[i, r * k + c] = np.float32(lags[r, c])
            if known[i]:
                lags[0, c] = targets[i, c]
                lags[1, c] = _FAST * lags[1, c] + (1.0 - _FAST) * targets[i, c]
                lags[2, c] = _SLOW * lags[2, c] + (1.0 - _SLOW) * targets[i, c]


@jit
def lag_numbers(y: Doubles, known: Flags, centre: Doubles, spread: Doubles, lags: Doubles, out: Matrix) -> None:
    """Do the same for a regression: kept in the label's own unit, written on the scale a row is predicted with.

    Args:
        y: float64 (n,).
        known: bool (n,).
        centre: float64 (n,), of that scale.
        spread: float64 (n,), of that scale.
        lags: float64 (3, 1), NaN before the first label; changed in place.
        out: float32 (n, 3).
    """
    for i in range(y.shape[0]):
        for r in range(3):
            scaled = 0.0
            if spread[i] > 0.0 and not np.isnan(lags[r, 0]):
                scaled = (lags[r, 0] - centre[i]) / spread[i]
            out[i, r] = np.float32(min(max(scaled, -LARGEST_LAG), LARGEST_LAG))
        if known[i]:
            fresh = np.isnan(lags[0, 0])
            lags[0, 0] = y[i]
            lags[1, 0] = y[i] if fresh else _FAST * lags[1, 0] + (1.0 - _FAST) * y[i]
            lags[2, 0] = y[i] if fresh else _SLOW * lags[2, 0] + (1.0 - _SLOW) * y[i]


@jit
def place_knots(values: Doubles, present: Table, quantiles: Doubles, knots: Doubles, knot_counts: Table) -> None:
    """Place each number's knots at the quantiles of its values; at each value where there are few.

    Args:
        values: float64 (m, n), ascending.
        present: int64 (m,), how many of them there are.
        quantiles: float64 (b,), ascending, from 0 to 1.
        knots: float64 (m, b), written, ascending.
        knot_counts: int64 (m,), written: how many of them differ.
    """
    bins = quantiles.shape[0]
    for j in range(values.shape[0]):
        distinct = 0
        for i in range(present[j]):
            if i == 0 or values[j, i] != values[j, i - 1]:
                if distinct < bins:
                    knots[j, distinct] = values[j, i]
                distinct += 1
        if distinct > bins:
            distinct = 0
            for b in range(bins):
                at = quantiles[b] * (present[j] - 1)
                low = int(at)
                high = min(low + 1, present[j] - 1)
                knot = values[j, low] + (at - low) * (values[j, high] - values[j, low])
                if distinct == 0 or knot != knots[j, distinct - 1]:
                    knots[j, distinct] = knot
                    distinct += 1
        knot_counts[j] = distinct


@jit
def fill_entries(
    lags: Matrix, X: Matrix, numbers: Doubles, number_columns: Table, knots: Doubles, knot_counts: Table,
    columns: Any, values: Matrix,
) -> None:  # fmt: skip
    """Write each row's entries: lags, the encoded columns, then two neighbouring soft bins for each number.

    A number between two knots belongs to both bins, the more the nearer (a linear spline's basis); one outside
    belongs to the outermost; a missing one to none.

    Args:
        lags: float32 (n, q).
        X: float32 (n, w), the encoded row.
        numbers: float64 (n, m), the numbers as they came; NaN is missing.
        number_columns: int64 (m,), the column of `X` that holds each number standardised.
        knots: float64 (m, b), ascending, as many as `knot_counts` says.
        knot_counts: int64 (m,); 0 before there are any: even bins over the standardised number.
        columns: int32 (n, q + w + 2 m), written.
        values: float32 (n, q + w + 2 m), written.
    """
    q, w, bins = lags.shape[1], X.shape[1], knots.shape[1]
    for i in range(X.shape[0]):
        for j in range(q):
            columns[i, j] = j
            values[i, j] = lags[i, j]
        for j in range(w):
            columns[i, q + j] = q + j
            values[i, q + j] = X[i, j]
        for j in range(numbers.shape[1]):
            e, base = q + w + 2 * j, q + w + j * bins
            position = _position(numbers[i, j], X[i, number_columns[j]], knots[j], knot_counts[j])
            low = min(int(max(position, ZERO)), bins - 2)
            share = position - np.float32(low)
            missing = np.isnan(numbers[i, j])
            columns[i, e], columns[i, e + 1] = base + low, base + low + 1
            values[i, e] = ZERO if missing else ONE - share
            values[i, e + 1] = ZERO if missing else share


@jit
def _position(x: float, scaled: Any, knots: Doubles, count: int) -> Any:
    """Return where x lies among the knots, as a fractional index."""
    if np.isnan(x):
        return ZERO
    if count == 0:
        last = np.float32(knots.shape[0] - 1)
        even = (scaled + EDGE) / (EDGE + EDGE) * last
        return min(max(even, ZERO), last)
    if count == 1:
        return ONE if x > knots[0] else ZERO
    if x <= knots[0]:
        return ZERO
    if x >= knots[count - 1]:
        return np.float32(count - 1)
    s = 0
    while x >= knots[s + 1]:
        s += 1
    return np.float32(s + (x - knots[s]) / (knots[s + 1] - knots[s]))


@jit
def remember(
    columns: Any, values: Matrix, targets: Matrix, known: Flags, learned: int, past_columns: Any, past_values: Matrix,
    past_targets: Matrix,
) -> int:  # fmt: skip
    """Copy the rows with a label into the ring, the t-th learned at t modulo its capacity; return the new count."""
    t = learned
    for i in range(columns.shape[0]):
        if known[i]:
            k = t % past_columns.shape[0]
            for e in range(columns.shape[1]):
                past_columns[k, e] = columns[i, e]
                past_values[k, e] = values[i, e]
            past_targets[k, 0], past_targets[k, 1] = targets[i, 0], targets[i, 1]
            t += 1
    return t
