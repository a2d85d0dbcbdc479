"""Rows of several series, summarised over fixed runs of rows: what a detector sees does not depend on any batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

ROWS = 32  # of a block: a drift must show within some hundred events, and a mean must say something
_FEWEST = 8  # values of a block, below which it says nothing


class Blocks:
    """Collects rows of float64 series into blocks of `ROWS`; NaN is a missing value.

    Args:
        series: how many.
    """

    def __init__(self, series: int) -> None:
        self._rows = np.empty((0, series))

    @property
    def pending(self) -> int:
        """Return how many rows wait for their block to be full."""
        return len(self._rows)

    def widen(self, series: int) -> None:
        """Add series that were missing so far."""
        more = np.full((len(self._rows), series - self._rows.shape[1]), np.nan)
        self._rows = np.concatenate([self._rows, more], axis=1)

    def add(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """Append rows, float64 (n, series); summarise the blocks that became full.

        Returns:
            The mean of each block and series, float64 (blocks, series), and the mean distance from it; NaN where
            fewer than 8 values are known.
        """
        together = np.concatenate([self._rows, rows])
        count = len(together) // ROWS
        if not count:
            self._rows = together
            return np.empty((0, rows.shape[1])), np.empty((0, rows.shape[1]))
        self._rows = together[count * ROWS :].copy()
        values = together[: count * ROWS].reshape(count, ROWS, together.shape[1])
        missing = np.isnan(values)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            known = ROWS - missing.sum(axis=1)
            means = _sum(np.where(missing, 0.0, values)) / known
            spreads = _sum(np.where(missing, 0.0, np.abs(values - means[:, None, :]))) / known
        few = known < _FEWEST
        means[few] = spreads[few] = np.nan
        return means, spreads

    def state(self) -> dict[str, Matrix]:
        """Return the rows that wait; not a copy."""
        return {"rows": self._rows}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self._rows = arrays["rows"].copy()


def _sum(values: npt.NDArray[np.float64]) -> Matrix:
    """Add the rows of each block one by one: NumPy's own sums are re-ordered by the shape of the whole."""
    return np.asarray(np.add.accumulate(values, axis=1)[:, -1])
