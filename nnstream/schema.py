"""What an event's features are: declared by the user, or inferred from the first value seen under a name."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nnstream.errors import FeatureError, SpecError

Kind = Literal["number", "category", "hashed", "vector"]
_NUMBERS = frozenset({float, int, bool, type(None), np.float64, np.float32, np.int64, np.int32, np.bool_})


@dataclass(frozen=True)
class FeatureSpec:
    """One feature.

    Args:
        kind: `number` (also true / false, as 1 / 0), standardised with running statistics; `category`, one column
            a value as values appear, up to `max_categories`, the rest hashed; `hashed`, always hashed;
            `vector`, a list of `size` numbers.
        max_categories: columns of a category before further values share `buckets` hashed columns.
        buckets: hashed columns.
        size: length of a vector.
    """

    kind: Kind
    max_categories: int = 32
    buckets: int = 16
    size: int = 0

    @property
    def columns(self) -> "FeatureSpec":
        """Return what the encoder has to know of it."""
        return self

    def __post_init__(self) -> None:
        if self.kind == "vector" and self.size < 1:
            raise SpecError("a vector feature needs its size, for example {kind: vector, size: 784}")
        if self.max_categories < 1 or self.buckets < 1:
            raise SpecError("max_categories and buckets must be at least 1")


class Unreadable(NamedTuple):
    """In the place of a value of which is known already that it cannot be encoded.

    Attributes:
        reason: what is wrong with it, and where.
    """

    reason: str


class Table(NamedTuple):
    """The features of a block in which each event has a number for each of the same names, and nothing else.

    Attributes:
        names: of the features.
        values: float64 (n, names), as they came.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]


def infer(name: str, value: Any) -> FeatureSpec:
    """Return the spec of a new feature from its first value.

    Raises:
        FeatureError: the value is of a type that no feature has.
    """
    if isinstance(value, str):
        return FeatureSpec("category")
    if isinstance(value, Sequence) or (hasattr(value, "tolist") and getattr(value, "ndim", 0) == 1):
        if len(value) == 0:
            raise FeatureError(f"features.{name}: an empty list has no size; send at least one number")
        return FeatureSpec("vector", size=len(value))
    if isinstance(value, int | float) or hasattr(value, "__float__"):
        return FeatureSpec("number")
    raise FeatureError(
        f"features.{name}: expected a number, a text, true/false or a list, got {type(value).__name__}"
    )


def bucket(value: str, buckets: int) -> int:
    """Return the hashed column of a category value (CRC-32: the same in every process and version)."""
    return zlib.crc32(value.encode("utf-8", "surrogatepass")) % buckets


@dataclass
class Feature:
    """A feature as laid out in the encoded vector.

    Attributes:
        name: as in the events.
        spec: what it is.
        first_number: first running statistic, for number and vector.
        columns: column of each known category value.
        bucket_columns: hashed columns, once there are any.
    """

    name: str
    spec: FeatureSpec
    first_number: int = -1
    columns: dict[str, int] = field(default_factory=dict)
    bucket_columns: list[int] = field(default_factory=list)

    def column_of(self, value: str) -> int:
        """Return the column of a category value, or -1 when it needs one that does not exist yet."""
        column = self.columns.get(value, -1)
        if column < 0 and self.bucket_columns:
            return self.bucket_columns[bucket(value, len(self.bucket_columns))]
        return column

    def describe(self) -> dict[str, Any]:
        """Return the layout as JSON-ready data."""
        return {
            "name": self.name,
            "spec": vars(self.spec),
            "first_number": self.first_number,
            "columns": self.columns,
            "bucket_columns": self.bucket_columns,
        }

    @classmethod
    def from_description(cls, data: Mapping[str, Any]) -> "Feature":
        """Return the feature that `describe` described."""
        return cls(
            data["name"],
            FeatureSpec(**data["spec"]),
            data["first_number"],
            dict(data["columns"]),
            list(data["bucket_columns"]),
        )


def category_text(value: Any) -> str:
    """Return the text by which a category value is known: true, 3 and "3" are "true", "3" and "3"."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def to_number(value: Any) -> float:
    """Return a number feature's value as float64: NaN for a missing one, infinity for one that is too large."""
    try:
        return np.nan if value is None else float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def check_value(feature: Feature, value: Any) -> None:
    """Raise a FeatureError when the value is not what the feature is."""
    kind = feature.spec.kind
    if isinstance(value, Unreadable):
        raise FeatureError(value.reason)
    if value is None or (kind == "number" and type(value) in _NUMBERS):
        return
    where = f"features.{feature.name}"
    if kind == "number" and not _is_number(value):
        raise FeatureError(f"{where}: expected a number, got {_shown(value)}")
    if kind in ("category", "hashed") and not isinstance(value, str | int | float | bool):
        raise FeatureError(f"{where}: expected a category (a text), got {_shown(value)}")
    if kind == "vector":
        if isinstance(value, str | Mapping) or not hasattr(value, "__len__"):
            raise FeatureError(f"{where}: expected a list of {feature.spec.size} numbers, got {_shown(value)}")
        if len(value) != feature.spec.size:
            raise FeatureError(f"{where}: expected {feature.spec.size} numbers, got {len(value)}")
        _check_elements(where, value)


def _check_elements(where: str, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 1:
        return
    for i, element in enumerate(value):
        if not _is_number(element) and element is not None:
            raise FeatureError(f"{where}[{i}]: expected a number, got {_shown(element)}")


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBERS or (hasattr(value, "__float__") and not isinstance(value, str))


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text[:40]}{'…' if len(text) > 40 else ''}"  # noqa: PLR2004
