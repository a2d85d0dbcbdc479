"""Rows of several series, summarised over fixed runs of rows: what a detector sees does not depend on any batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.kernels.ranks import summarise

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
        together = np.ascontiguousarray(np.concatenate([self._rows, rows]))
        count = len(together) // ROWS
        if not count:
            self._rows = together
            return np.empty((0, rows.shape[1])), np.empty((0, rows.shape[1]))
        self._rows = together[count * ROWS :].copy()
        means, spreads = np.empty((2, count, together.shape[1]))
        summarise(together, ROWS, _FEWEST, means, spreads)
        return means, spreads

    def state(self) -> dict[str, Matrix]:
        """Return the rows that wait; not a copy."""
        return {"rows": self._rows}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self._rows = arrays["rows"].copy()
