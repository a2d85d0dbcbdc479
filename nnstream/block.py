"""A block of encoded events, as a learner takes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnstream.errors import SpecError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Block:
    """Encoded events in log order.

    Attributes:
        X: float32 (n, columns).
        numbers: float64 (n, numbers), the numbers among the features as they came; NaN is missing.
        number_columns: int64 (numbers,), the column of `X` that holds each of them standardised.
        y: float32 (n, 1): a class index, or the label on its running scale.
        known: bool (n,), whether the label is known.
        weight: float32 (n,), a factor on what each label teaches.
        values: float64 (n,), a regression's labels as they came.
        centre: float64 (n,), what 0 means in a regression's prediction of each row.
        spread: float64 (n,), what 1 means there beyond the centre.
    """

    X: Array
    numbers: Array
    number_columns: Array
    y: Array
    known: Array
    weight: Array
    values: Array
    centre: Array
    spread: Array

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: slice) -> "Block":
        return Block(
            self.X[rows], self.numbers[rows], self.number_columns, self.y[rows], self.known[rows],
            self.weight[rows], self.values[rows], self.centre[rows], self.spread[rows],
        )  # fmt: skip

    def unlabelled(self) -> "Block":
        """Return the same events as if no label were known."""
        return replace(self, known=np.zeros(len(self), np.bool_))


def factors(weights: Sequence[float] | None, count: int) -> npt.NDArray[np.float32]:
    """Return float32 (count,): a factor for each event."""
    if weights is None:
        return np.ones(count, np.float32)
    found = np.array(weights, np.float32)
    if found.shape != (count,) or not (np.isfinite(found) & (found >= 0)).all():
        raise SpecError(f"weights: expected {count} finite numbers of at least 0, got {repr(weights)[:60]}")
    return found


class Attribution(NamedTuple):
    """What one prediction of a learner owes to each column of its row.

    Attributes:
        contributions: float32 (columns,).
        output: the score that is explained.
        baseline: the score of a row of zeros; NaN where the method knows none.
        target: index of the class that is explained.
    """

    contributions: Array
    output: float
    baseline: float
    target: int
