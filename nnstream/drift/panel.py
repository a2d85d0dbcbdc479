"""Columns of a stream, summarised block by block, each statistic with a detector of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nnstream.drift.blocks import ROWS, Blocks
from nnstream.drift.changes import Change, Changes
from nnstream.drift.detectors import DetectorSpec

Matrix = npt.NDArray[np.float64]
Statistic = Literal["mean", "spread"]


class Found(NamedTuple):
    """A change of one statistic.

    Attributes:
        row: index, among the rows given, of the last row of the block with which it showed.
        column: index of the column.
        statistic: of the column.
        change: what changed.
    """

    row: int
    column: int
    statistic: Statistic
    change: Change


class Panel:
    """Watches columns of numbers, row by row in, block by block looked at.

    Args:
        spec: the detector.

    Attributes:
        means: of the newest block, float64 (columns,).
    """

    def __init__(self, spec: DetectorSpec) -> None:
        self.means = np.empty(0)
        self._blocks = Blocks(0)
        self._changes = Changes(spec)
        self._series: list[tuple[int, Statistic]] = []
        self._columns = 0
        self._places = np.empty(0, np.int64)

    def add_column(
        self, every: float, statistics: Sequence[Statistic], *, up_only: bool = False, lasting: bool = False,
        shares: bool = False,
    ) -> None:  # fmt: skip
        """Add a column, missing so far.

        Args:
            every: rows between two false alarms of the whole column.
            statistics: what to look at.
            up_only: whether only a rise is a change.
            lasting: whether only a large one counts, that lasts.
            shares: whether the column's numbers are shares; see `Changes.add_series`.
        """
        for statistic in statistics:
            self._series.append((self._columns, statistic))
            self._changes.add_series(every * len(statistics) / ROWS, up_only=up_only, lasting=lasting, shares=shares)
        self._columns += 1
        self._blocks.widen(self._columns)
        self._place()

    def _place(self) -> None:
        """Note where the series lie among the means, and behind them the spreads, of all columns."""
        self._places = np.array([column + self._columns * (of == "spread") for column, of in self._series], np.int64)

    @property
    def rows_to_look(self) -> int:
        """Return after how many more rows the next block is full."""
        return ROWS - self._blocks.pending

    def add(self, rows: Matrix, *, until_first: bool = False) -> list[Found]:
        """Take in rows, float64 (n, columns), NaN where missing; return what changed, in order.

        Args:
            rows: in order.
            until_first: whether to leave out the rows after the first with which a change shows.
        """
        first = self.rows_to_look - 1
        means, spreads = self._blocks.add(rows)
        if not len(means):
            return []
        self.means = means[-1]
        numbers = np.concatenate([means, spreads], axis=1).take(self._places, axis=1)
        found = self._changes.update(numbers, until_first=until_first)
        if found and until_first:
            self.means = means[found[0][0]]
            self._blocks.pending = 0
        return [Found(first + block * ROWS, *self._series[change.series], change) for block, change in found]

    def shifts(self) -> list[tuple[int, float]]:
        """Return each column and how far it has moved lately, in standard deviations: its largest statistic."""
        largest = np.zeros(self._columns)
        for (column, _), shift in zip(self._series, self._changes.shifts.tolist(), strict=True):
            largest[column] = max(largest[column], shift, -shift)
        return list(enumerate(largest.tolist()))

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        return {"columns": self._columns, "series": [list(each) for each in self._series],
                "changes": self._changes.describe()}  # fmt: skip

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays; not copies."""
        changes = {f"changes.{name}": array for name, array in self._changes.state().items()}
        return changes | {f"blocks.{name}": array for name, array in self._blocks.state().items()}

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `describe` and `state` gave."""
        self._columns = description["columns"]
        self._series = [(column, statistic) for column, statistic in description["series"]]
        self._changes.restore(description["changes"], under("changes.", arrays))
        self._blocks.restore(under("blocks.", arrays))
        self._place()


def under(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
