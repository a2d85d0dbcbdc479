"""CSV and Parquet files as blocks for `fit_stream`: never more than one block of a file is in memory."""

import csv
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.errors import LabelError, SpecError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Columns:
    """A file of columns; iterating begins at its start each time.

    Args:
        path: the file.
        target: the column to predict, or several.
        features: the columns to predict from, in this order; None takes all the others as they stand in the file.
        classes: where the target is a class: its names, whose index becomes the target. None: it is a number.
        rows: how many make one block.

    Raises:
        SpecError: a column is not there, or a value is no number; raised on reading, with where it stands.
        LabelError: a target that is none of `classes`.
    """

    path: str | Path
    target: str | Sequence[str]
    features: Sequence[str] | None = None
    classes: Sequence[str] | None = None
    rows: int = 65_536

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise SpecError(f"rows must be at least 1, not {self.rows}")
        if self.classes is not None and len(self._targets) != 1:
            raise SpecError("classes belong to one target; several targets are numbers")

    @property
    def _targets(self) -> list[str]:
        return [self.target] if isinstance(self.target, str) else list(self.target)

    def _chosen(self, header: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the names of the features and of the targets among those of the file."""
        targets = self._targets
        features = [name for name in header if name not in targets] if self.features is None else list(self.features)
        missing = [name for name in (*features, *targets) if name not in header]
        if missing:
            raise SpecError(f"{self.path} has no column {missing[0]!r}; it has: {', '.join(header)}")
        return features, targets

    def _class(self, text: object) -> float:
        try:
            return float((self.classes or ()).index(str(text)))
        except ValueError:
            known = ", ".join(self.classes or ())
            raise LabelError(f"{self.path}: target {text!r} is none of the classes: {known}") from None


class CSVBlocks(_Columns):
    """The rows of a CSV file (RFC 4180: a header, commas, quotes; a field holds no line break) in blocks.

    Example:
        >>> fit_stream(network, CSVBlocks("history.csv", target="class", classes=["no", "yes"]))  # doctest: +SKIP
    """

    def __iter__(self) -> Iterator[tuple[Floats, Floats]]:
        with Path(self.path).open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
            features, targets = self._chosen(header)
            used = [header.index(name) for name in (*features, *targets)]
            converters = {used[-1]: lambda text: self._class(text.strip())} if self.classes is not None else None
            line = 2
            while lines := list(islice(file, self.rows)):
                if any(text.strip() for text in lines):
                    table = self._table(lines, line, used, converters)
                    X, y = table[:, : len(features)], table[:, len(features) :]
                    yield np.ascontiguousarray(X), np.ascontiguousarray(y if len(targets) > 1 else y[:, 0])
                line += len(lines)

    def _table(self, lines: list[str], first: int, used: list[int], converters: Any) -> Floats:
        try:
            return np.loadtxt(
                lines, np.float32, comments=None, delimiter=",", converters=converters, usecols=used, ndmin=2,
                encoding=None, quotechar='"',
            )  # fmt: skip
        except LabelError:
            raise
        except ValueError as error:
            cause = error.__cause__
            if isinstance(cause, LabelError):
                raise cause from None
            raise SpecError(f"{self.path}, in the block that begins at line {first}: {error}") from None


class ParquetBlocks(_Columns):
    """The rows of a Parquet file in blocks. Needs pyarrow, which nnstream does not install.

    Raises:
        ImportError: pyarrow is not installed; raised on reading.
    """

    def __iter__(self) -> Iterator[tuple[Floats, Floats]]:
        try:
            parquet = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise ImportError(
                "to read Parquet needs pyarrow: pip install pyarrow; CSVBlocks needs nothing"
            ) from error
        with parquet.ParquetFile(self.path) as file:
            features, targets = self._chosen(file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=self.rows, columns=[*features, *targets]):
                X = np.stack([self._numbers(batch, name) for name in features], axis=1)
                if self.classes is not None:
                    y = np.array([self._class(text) for text in batch.column(targets[0]).to_pylist()], np.float32)
                elif len(targets) == 1:
                    y = self._numbers(batch, targets[0])
                else:
                    y = np.stack([self._numbers(batch, name) for name in targets], axis=1)
                yield X, y

    def _numbers(self, batch: Any, name: str) -> Floats:
        try:
            return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), np.float32)
        except (TypeError, ValueError) as error:
            raise SpecError(f"{self.path}, column {name!r}: {error}") from None
