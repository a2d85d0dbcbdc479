"""Features of a stream as columns of numbers, for looking at their distributions; no order of values is assumed.

Numbers and true/false stay as they are. A text becomes a fixed random number in [0, 1): when the shares of a
category's values change, so does the mean of these. Lists of numbers are only looked at for being missing.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from nnstream.schema import Table

Vector = npt.NDArray[np.float64]


class NewColumn(NamedTuple):
    """A name that was never seen before.

    Attributes:
        name: of the feature.
        row: where it first stands.
        known: how many names are known after that row.
    """

    name: str
    row: int
    known: int


class FeatureColumns:
    """Turns dicts into columns; the columns are the names in the order in which they first came.

    Args:
        longest: how many names are looked at; later ones are ignored.
    """

    def __init__(self, longest: int) -> None:
        self.names: list[str] = []
        self.categories: set[str] = set()
        self._known: set[str] = set()
        self._longest = longest
        self._order: tuple[tuple[str, ...], list[int]] = ((), [])  # of a table's names, the places of ours among them

    def add(
        self, rows: Sequence[Mapping[str, Any]], table: Table | None = None
    ) -> tuple[Vector, Vector, list[NewColumn]]:
        """Return the columns of a batch.

        Args:
            rows: features of each event.
            table: the same, where they are one.

        Returns:
            Values, float64 (n, names), NaN where there is none; the share of the names known so far that are missing
            in each row, float64 (n,), NaN while none is known; the names that came with these rows.
        """
        numbers = None if table is None else self._ordered(table)
        if numbers is not None:
            return numbers, np.zeros(len(rows)), []
        before = len(self.names)
        new = self._discover(rows)
        numbers = self._numbers(rows)
        if numbers is not None and not new:
            return numbers, np.full(len(rows), 0.0 if before else np.nan), []
        values = np.full((len(rows), len(self.names)), np.nan)
        missing = np.zeros((len(rows), len(self.names)), np.bool_)
        for j, name in enumerate(self.names):
            values[:, j], missing[:, j] = self._column(name, [row.get(name) for row in rows])
        for j, each in enumerate(new, before):
            missing[: each.row, j] = False
        known = np.full(len(rows), float(before))
        for each in new:
            known[each.row :] += 1
        with np.errstate(invalid="ignore"):
            return values, missing.sum(axis=1) / known, new

    def _ordered(self, table: Table) -> Vector | None:
        """Return a table's columns in our order; None where its names are not all of ours, and no others."""
        if table.names != self._order[0]:
            if set(table.names) != self._known:
                return None
            self._order = table.names, [table.names.index(name) for name in self.names]
        return table.values[:, self._order[1]]

    def _numbers(self, rows: Sequence[Mapping[str, Any]]) -> Vector | None:
        """Return all columns at once, where every row has a number for each; None where one has not."""
        if len(self.names) < 2:  # noqa: PLR2004  # an itemgetter of one name returns no tuple
            return None
        try:
            flat = array("d", chain.from_iterable(map(itemgetter(*self.names), rows)))
        except (KeyError, TypeError, OverflowError):
            return None
        return np.frombuffer(flat).reshape(len(rows), len(self.names))

    def _discover(self, rows: Sequence[Mapping[str, Any]]) -> list[NewColumn]:
        if len(self.names) >= self._longest or set().union(*rows) <= self._known:
            return []
        found = []
        for i, row in enumerate(rows):
            fresh = [name for name in row if name not in self._known][: self._longest - len(self.names)]
            self.names += fresh
            self._known |= set(fresh)
            found += [NewColumn(name, i, len(self.names)) for name in fresh]
        return found

    def _column(self, name: str, values: list[Any]) -> tuple[Vector, npt.NDArray[np.bool_]]:
        try:
            return np.frombuffer(array("d", values)), np.zeros(len(values), np.bool_)
        except (TypeError, OverflowError):  # a text, none at all, or more than a float64 holds
            pass
        if str in set(map(type, values)):
            self.categories.add(name)
        missing = np.array([value is None for value in values], np.bool_)
        return np.array([_number(value) for value in values]), missing

    def describe(self) -> dict[str, Any]:
        """Return everything there is to know, as JSON-ready data."""
        return {"names": self.names, "categories": sorted(self.categories)}

    def restore(self, description: Mapping[str, Any]) -> None:
        """Take over what `describe` gave."""
        self.names, self.categories = list(description["names"]), set(description["categories"])
        self._known, self._order = set(self.names), ((), [])


def _number(value: Any) -> float:
    if isinstance(value, str):
        return _share(value)
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return math.nan


@lru_cache(100_000)
def _share(text: str) -> float:
    return crc32(text.encode("utf-8", "surrogatepass")) / 2**32
