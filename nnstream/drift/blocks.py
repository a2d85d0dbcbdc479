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

    Attributes:
        pending: how many rows wait for their block to be full.
    """

    def __init__(self, series: int) -> None:
        self._buffer = np.empty((ROWS, series))
        self.pending = 0

    def widen(self, series: int) -> None:
        """Add series that were missing so far."""
        more = np.full((ROWS, series - self._buffer.shape[1]), np.nan)
        self._buffer = np.concatenate([self._buffer, more], axis=1)

    def add(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """Append rows, float64 (n, series); summarise the blocks that became full.

        Returns:
            The mean of each block and series, float64 (blocks, series), and the mean distance from it; NaN where
            fewer than 8 values are known.
        """
        count, rest = divmod(self.pending + len(rows), ROWS)
        means, spreads = np.empty((2, count, rows.shape[1]))
        if not count:
            self._buffer[self.pending : rest] = rows
        else:
            together = np.concatenate([self._buffer[: self.pending], rows]) if self.pending else rows
            summarise(np.ascontiguousarray(together), ROWS, _FEWEST, means, spreads)
            self._buffer[:rest] = together[count * ROWS :]
        self.pending = rest
        return means, spreads

    def state(self) -> dict[str, Matrix]:
        """Return the rows that wait; not a copy."""
        return {"rows": self._buffer[: self.pending]}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        rows = arrays["rows"]
        self.pending, self._buffer = len(rows), np.empty((ROWS, rows.shape[1]))
        self._buffer[: self.pending] = rows
