"""Event features (a dict) to a float32 vector, and the running statistics that takes.

Numbers are standardised with the mean and standard deviation of the values learned so far and of their own,
categories become one column a value, lists become one column an element. Whatever is missing is 0, which is the mean
of a standardised number.

Only a row that is learned changes anything. A name or category value that was never learned is missing in a row that
is asked about; a row that is learned adds columns for it at the end.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from struct import pack_into
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnstream.errors import FeatureError, SpecError
from nnstream.kernels.scaling import standardise
from nnstream.schema import Feature, FeatureSpec, category_text, check_value, infer, to_number

Row = Mapping[str, Any]
Flags = npt.NDArray[np.bool_]
_PLAIN = frozenset({float, int, bool, np.float64})  # numbers that NumPy converts as `float` does
_STATISTICS = ("count", "mean", "variance")
_LEARNED, _ASKED = np.ones(1, np.bool_), np.zeros(1, np.bool_)  # for one row


class Encoded(NamedTuple):
    """Rows of one width.

    Attributes:
        rows: index of each in the block it came from.
        X: float32 (n, width).
        numbers: float64 (n, numbers), the numbers as they came; NaN is missing.
        is_new: whether this is one row to be learned whose columns are not all there: encoded without the new ones,
            and the statistics have not moved.
        is_table: whether each row consists of exactly the known features, all of them numbers.
    """

    rows: list[int]
    X: npt.NDArray[np.float32]
    numbers: npt.NDArray[np.float64]
    is_new: bool = False
    is_table: bool = False


class Encoder:
    """Turns feature dicts into rows of a float32 matrix whose width grows with what is seen.

    Args:
        schema: feature specs by name. Names that are not in it are ignored. None infers a spec from the first
            value under each name.
        clip: largest absolute standardised value.
        memory: how many values the running statistics look back; infinity takes all alike.
    """

    def __init__(
        self, schema: Mapping[str, FeatureSpec] | None = None, *, clip: float = 5.0, memory: float = float("inf")
    ) -> None:
        if clip <= 0 or memory < 2:  # noqa: PLR2004  # a spread needs two values
            raise SpecError(f"clip must be positive and memory at least 2, not {clip} and {memory}")
        self.schema = None if schema is None else {name: spec.columns for name, spec in schema.items()}
        self.clip = clip
        self._clip = np.float32(clip)
        self.memory = memory
        self.width = 0
        self._features: dict[str, Feature] = {}
        self._number_columns = np.zeros(0, np.int64)
        self._statistics = {name: np.zeros(0, np.float64) for name in _STATISTICS}
        self._owners = np.zeros(0, np.int64)
        self._relayout()
        for name, spec in (self.schema or {}).items():
            self._add(name, spec)

    @property
    def number_columns(self) -> npt.NDArray[np.int64]:
        """Return int64 (numbers,): the column that holds each number standardised."""
        return self._number_columns

    @property
    def features(self) -> Mapping[str, Feature]:
        """Return the features met so far by name, and where they lie in the encoded row."""
        return self._features

    @property
    def column_owners(self) -> npt.NDArray[np.int64]:
        """Return int64 (width,): for each column the place of its feature in `features`."""
        if len(self._owners) != self.width:
            self._owners = np.zeros(self.width, np.int64)
            for place, feature in enumerate(self._features.values()):
                first, size = feature.first_number, max(feature.spec.size, 1)
                if first >= 0:
                    self._owners[self._number_columns[first : first + size]] = place
                self._owners[[*feature.columns.values(), *feature.bucket_columns]] = place
        return self._owners

    @property
    def column_names(self) -> list[str]:
        """Return a name for each column: the feature, with its value or index in brackets."""
        names = [""] * self.width
        for feature in self._features.values():
            if feature.spec.kind == "number":
                names[self._number_columns[feature.first_number]] = feature.name
            elif feature.spec.kind == "vector":
                for i in range(feature.spec.size):
                    names[self._number_columns[feature.first_number + i]] = f"{feature.name}[{i}]"
            for value, column in feature.columns.items():
                names[column] = f"{feature.name}={value}"
            for i, column in enumerate(feature.bucket_columns):
                names[column] = f"{feature.name}#{i}"
        return names

    def segments(
        self, rows: Sequence[Row], learned: Flags, refused: dict[int, str], first: int = 0
    ) -> Iterator["Encoded"]:
        """Encode rows in order, each as `encode` would at its turn.

        A row that is to be learned and needs columns which are not there comes alone, see `Encoded.is_new`. Whoever
        asked for it calls `admit` and `learn` before going on.

        Args:
            rows: feature dicts in log order.
            learned: bool (n,): which of them move the statistics, and may bring columns.
            refused: filled with the index and the problem of each row that cannot be encoded; such a row changes
                nothing.
            first: index of the first row.

        Yields:
            The rows of a segment.
        """
        table = self._table(rows)
        if table is not None:
            yield self._encode(rows, list(range(first, first + len(rows))), learned, table)._replace(is_table=True)
            return
        pending: list[int] = []
        may_grow = learned.tolist()
        for i, row in enumerate(rows):
            problem = self.problem(row)
            if problem is not None:
                refused[first + i] = problem
                continue
            if may_grow[i] and self._needs_growth(row):
                if pending:
                    yield self._part(rows, pending, learned, first)
                    pending = []
                yield self._encode([row], [first + i], _ASKED)._replace(is_new=True)
            else:
                pending.append(i)
        if pending:
            yield self._part(rows, pending, learned, first)

    def encode(self, rows: Sequence[Row]) -> "Encoded":
        """Return the rows encoded with today's statistics and columns; changes nothing.

        Unknown names and category values are left out.
        """
        return self._encode(rows, list(range(len(rows))), np.zeros(len(rows), np.bool_))

    def learn(self, row: Row) -> "Encoded":
        """Return the row as `encode` does, and move the statistics by it."""
        return self._encode([row], [0], _LEARNED)

    def encode_one(self, row: Row, *, learn: bool) -> npt.NDArray[np.float32] | None:
        """Return what `encode` or, with `learn`, `learn` gives for one row, in a fraction of the time.

        Only for a row of exactly the known numbers; for any other this returns None and changes nothing.

        Returns:
            float32 (1, width), overwritten by the next call.
        """
        if not self._all_numbers or len(row) != len(self._features):
            return None
        try:
            values = self._values(row)
            if not _PLAIN.issuperset(map(type, values)):
                return None
            pack_into(self._raw_format, self._raw_row.data, 0, *values)
        except (KeyError, OverflowError):
            return None
        learned = _LEARNED if learn else _ASKED
        standardise(self._raw_row, self._number_columns, learned, *self._moments, self.memory, self._clip, self._row)
        return self._row

    def check(self, row: Row) -> None:
        """Raise a FeatureError when this row cannot be encoded."""
        problem = self.problem(row)
        if problem is not None:
            raise FeatureError(problem)

    def problem(self, row: Row) -> str | None:
        """Return what keeps this row from being encoded, naming the feature; None when nothing does."""
        for name, value in row.items():
            feature = self._features.get(name)
            try:
                if feature is not None:
                    check_value(feature, value)
                elif self.schema is None and value is not None:
                    check_value(Feature(name, infer(name, value)), value)
            except FeatureError as error:
                return str(error)
        return None

    def _table(self, rows: Sequence[Row]) -> npt.NDArray[np.float64] | None:
        """Return float64 (n, numbers) where all rows consist of exactly the known numbers, so none has a problem.

        NumPy says by the dtype it finds whether there was anything but numbers among them.
        """
        if not self._all_numbers or not rows or max(map(len, rows)) != len(self._features):
            return None
        try:
            table = np.array(list(map(self._values, rows)))
        except (KeyError, ValueError):
            return None
        return table.astype(np.float64, copy=False) if table.dtype.kind in "fi" and table.ndim == 2 else None  # noqa: PLR2004

    # -- growth

    def _needs_growth(self, row: Row) -> bool:
        if self.schema is None and not row.keys() <= self._features.keys():
            return any(value is not None and name not in self._features for name, value in row.items())
        for feature in self._categories:
            value = row.get(feature.name)
            if value is not None and feature.column_of(category_text(value)) < 0:
                return True
        return False

    def admit(self, row: Row) -> None:
        """Add the columns this row needs, in the order of names: two rows that differ in their order are one row."""
        for name, value in sorted(row.items(), key=_name):
            if value is None:
                continue
            if name not in self._features:
                if self.schema is not None:
                    continue
                self._add(name, infer(name, value))
            feature = self._features[name]
            if feature.spec.kind == "category" and feature.column_of(category_text(value)) < 0:
                self._add_category(feature, category_text(value))

    def _add(self, name: str, spec: FeatureSpec) -> None:
        feature = Feature(name, spec)
        self._features[name] = feature
        if spec.kind in ("number", "vector"):
            size = spec.size if spec.kind == "vector" else 1
            feature.first_number = len(self._number_columns)
            new = np.arange(self.width, self.width + size)
            self._number_columns = np.concatenate([self._number_columns, new])
            for key, array in self._statistics.items():
                self._statistics[key] = np.concatenate([array, np.zeros(size)])
            self.width += size
        elif spec.kind == "hashed":
            self._add_buckets(feature)
        self._relayout()

    def _add_category(self, feature: Feature, value: str) -> None:
        if len(feature.columns) < feature.spec.max_categories:
            feature.columns[value] = self.width
            self.width += 1
        else:
            self._add_buckets(feature)

    def _add_buckets(self, feature: Feature) -> None:
        feature.bucket_columns = list(range(self.width, self.width + feature.spec.buckets))
        self.width += feature.spec.buckets

    def _relayout(self) -> None:
        features = self._features.values()
        self._numbers = [f for f in features if f.spec.kind == "number"]
        self._vectors = [f for f in features if f.spec.kind == "vector"]
        self._categories = [f for f in features if f.spec.kind in ("category", "hashed")]
        self._all_numbers = len(self._numbers) == len(self._features) > 1
        self._values: Callable[[Row], tuple[Any, ...]] = itemgetter(*self._features) if self._all_numbers else tuple
        self._moments = tuple(self._statistics[name] for name in _STATISTICS)
        self._raw_format = f"{len(self._number_columns)}d"
        self._raw_row = np.zeros((1, len(self._number_columns)), np.float64)
        self._row = np.zeros((1, self.width), np.float32)

    # -- encoding

    def _part(self, rows: Sequence[Row], indices: list[int], learned: Flags, first: int) -> "Encoded":
        return self._encode([rows[i] for i in indices], [first + i for i in indices], learned[indices])

    def _encode(
        self,
        rows: Sequence[Row],
        indices: list[int],
        learned: Flags,
        numbers: npt.NDArray[np.float64] | None = None,
    ) -> "Encoded":
        X = np.zeros((len(rows), self.width), np.float32)
        if numbers is None:
            numbers = self._raw_numbers(rows)
        standardise(numbers, self._number_columns, learned, *self._moments, self.memory, self._clip, X)
        for feature in self._categories:
            for i, row in enumerate(rows):
                value = row.get(feature.name)
                if value is not None:
                    column = feature.column_of(category_text(value))
                    if column >= 0:
                        X[i, column] = 1.0
        return Encoded(indices, X, numbers)

    def _raw_numbers(self, rows: Sequence[Row]) -> npt.NDArray[np.float64]:
        """Return float64 (n, numbers), NaN where a value is missing."""
        table = self._table(rows)
        if table is not None:
            return table
        raw = np.full((len(rows), len(self._number_columns)), np.nan)
        for feature in self._numbers:
            raw[:, feature.first_number] = [to_number(row.get(feature.name)) for row in rows]
        for feature in self._vectors:
            columns = slice(feature.first_number, feature.first_number + feature.spec.size)
            for i, row in enumerate(rows):
                value = row.get(feature.name)
                if value is not None:
                    plain = isinstance(value, np.ndarray) and value.dtype.kind == "f"
                    raw[i, columns] = value if plain else [to_number(element) for element in value]
        return raw

    # -- state

    def describe(self) -> dict[str, Any]:
        """Return the layout, without the statistics, as JSON-ready data."""
        return {
            "clip": self.clip,
            "memory": self.memory if np.isfinite(self.memory) else None,
            "schema": None if self.schema is None else {name: vars(spec) for name, spec in self.schema.items()},
            "width": self.width,
            "features": [feature.describe() for feature in self._features.values()],
        }

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the statistics and the column numbers; not copies."""
        return {**self._statistics, "number_columns": self._number_columns}

    @classmethod
    def restored(cls, description: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> "Encoder":
        """Return the encoder that `describe` and `state` were taken from."""
        schema = description["schema"]
        encoder = cls(
            None if schema is None else {name: FeatureSpec(**spec) for name, spec in schema.items()},
            clip=description["clip"],
            memory=float("inf") if description["memory"] is None else description["memory"],
        )
        features = [Feature.from_description(data) for data in description["features"]]
        encoder._features = {feature.name: feature for feature in features}
        encoder.width = description["width"]
        encoder._number_columns = arrays["number_columns"].astype(np.int64)
        encoder._statistics = {name: arrays[name].astype(np.float64) for name in _STATISTICS}
        encoder._relayout()
        return encoder


def _name(item: tuple[Any, Any]) -> str:
    return str(item[0])
