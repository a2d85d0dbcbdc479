"""Rows as the ensemble's members see them: labels so far, encoded columns, soft bins of the numbers.

Soft bins (a linear spline's basis between quantiles of the last thousand values) let a linear member follow any
function of one number, and a small network any of several, within a few hundred samples.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnstream.kernels.basis import fill_entries, lag_labels, lag_numbers, place_knots
from nnstream.kernels.scaling import LARGEST

Array = npt.NDArray[Any]

QUANTILES = (0.005, 0.03, 0.12, 0.25, 0.375, 0.5, 0.625, 0.75, 0.88, 0.97, 0.995)
BINS = len(QUANTILES)
_QUANTILES = np.array(QUANTILES)
MOST_BINNED = 128  # numbers; those after them get no bins
REFIT_EARLY = (32, 64, 128, 256, 512, 1000)
REFIT_EVERY = 4000
_REMEMBERED = 1000


class Shape(NamedTuple):
    """How many columns of each kind there are.

    Attributes:
        lags: three a target column.
        columns: of the encoded row.
        numbers: that have bins.
    """

    lags: int
    columns: int
    numbers: int

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return self.lags + self.columns + self.numbers * BINS

    @property
    def entries(self) -> int:
        """Return the number of entries of a row."""
        return self.lags + self.columns + self.numbers * 2


class Basis:
    """Turns encoded rows into entries (column, value), and keeps what that takes.

    Args:
        regression: whether the labels are numbers.
    """

    def __init__(self, *, regression: bool) -> None:
        self._regression = regression
        self.seen = 0
        self._lags = np.full((3, 1), np.nan) if regression else np.zeros((3, 1))
        self._knots = np.zeros((0, BINS))
        self._knot_counts = np.zeros(0, np.int64)
        self._recent = np.full((_REMEMBERED, 0), np.nan)

    @property
    def targets(self) -> int:
        """Return the number of target columns the lags follow."""
        return self._lags.shape[1]

    @property
    def numbers(self) -> int:
        """Return how many numbers have bins."""
        return len(self._knot_counts)

    def resize(self, numbers: int, targets: int) -> None:
        """Make room for more numbers and target columns."""
        more = min(numbers, MOST_BINNED) - self.numbers
        if more > 0:
            self._knots = np.concatenate([self._knots, np.zeros((more, BINS))])
            self._knot_counts = np.concatenate([self._knot_counts, np.zeros(more, np.int64)])
            self._recent = np.concatenate([self._recent, np.full((_REMEMBERED, more), np.nan)], axis=1)
        if targets != self.targets:
            lags = np.zeros((3, targets))
            if self.targets > 1:
                lags[:, : self.targets] = self._lags
            self._lags = lags

    def rows_to_refit(self) -> int:
        """Return how many rows may be learned before the knots are placed anew."""
        early = next((n for n in REFIT_EARLY if n > self.seen), None)
        return (early if early is not None else (self.seen // REFIT_EVERY + 1) * REFIT_EVERY) - self.seen

    def lag_rows(self, targets: Array, known: Array) -> npt.NDArray[np.float32]:
        """Return float32 (n, 3 targets): what is known of earlier labels at each row; moves with each label."""
        out = np.empty((len(known), 3 * self.targets), np.float32)
        lag_labels(targets, known, self._lags, out)
        return out

    def lag_numbers(self, y: Array, known: Array, centre: Array, spread: Array) -> npt.NDArray[np.float32]:
        """Return float32 (n, 3): the same for a regression, on the scale each row is predicted with."""
        out = np.empty((len(known), 3), np.float32)
        lag_numbers(y, known, centre, spread, self._lags, out)
        return out

    def entries(
        self, lags: Array, X: Array, numbers: Array, number_columns: Array
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return columns, int32 (n, entries), and values, float32 (n, entries), of each row."""
        count = lags.shape[1] + X.shape[1] + 2 * self.numbers
        columns, values = np.empty((len(X), count), np.int32), np.empty((len(X), count), np.float32)
        binned = np.ascontiguousarray(numbers[:, : self.numbers])
        fill_entries(lags, X, binned, number_columns, self._knots, self._knot_counts, columns, values)
        return columns, values

    def remember(self, numbers: Array) -> None:
        """Keep the newest learned rows for the next quantiles; place the knots anew when it is time."""
        kept = np.clip(numbers[-_REMEMBERED:, : self.numbers], -LARGEST, LARGEST)  # a gap to infinity has no middle
        start = self.seen + len(numbers) - len(kept)
        self._recent[(start + np.arange(len(kept))) % _REMEMBERED] = kept
        self.seen += len(numbers)
        if self.seen in REFIT_EARLY or self.seen % REFIT_EVERY == 0:
            self._refit()

    def _refit(self) -> None:
        """Place the knots at the quantiles of what is remembered; at each value where there are few."""
        values = np.sort(self._recent[: self.seen], axis=0)  # NaN comes last
        present = len(values) - np.isnan(values).sum(axis=0)
        place_knots(np.ascontiguousarray(values.T), present, _QUANTILES, self._knots, self._knot_counts)

    def state(self) -> dict[str, Array]:
        """Return all arrays of state; not copies."""
        return {
            "lags": self._lags,
            "knots": self._knots,
            "knot_counts": self._knot_counts,
            "recent": self._recent,
            "seen": np.array([self.seen]),
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `state` gave."""
        self._lags, self._knots = arrays["lags"].copy(), arrays["knots"].copy()
        self._knot_counts, self._recent = arrays["knot_counts"].copy(), arrays["recent"].copy()
        self.seen = int(arrays["seen"][0])
