"""Streams to try things on: CSV files, the real data sets that ship inside river, its drifting generators."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from nnstream.model import Task
from service.errors import DataError

Sample = tuple[dict[str, Any], Any]
_SNIFF = 1000  # rows that decide whether a column holds numbers


@dataclass(frozen=True)
class Dataset:
    """A named stream.

    Attributes:
        task: what its labels are.
        about: one line.
        size: number of samples; None for a generator, which never ends.
        open: begins anew at the first sample.
    """

    task: Task
    about: str
    size: int | None
    open: Callable[[], Iterator[Sample]]


def _real(name: str) -> Callable[[], Iterator[Sample]]:
    def samples() -> Iterator[Sample]:
        from river import datasets  # noqa: PLC0415  # river takes half a second to import

        return iter(getattr(datasets, name)())

    return samples


def _abrupt(name: str, before: dict[str, Any], after: dict[str, Any], every: int) -> Callable[[], Iterator[Sample]]:
    """Return a stream that switches between two concepts every `every` samples, for ever."""

    def samples() -> Iterator[Sample]:
        from river.datasets import synth  # noqa: PLC0415

        concepts = [iter(getattr(synth, name)(**before)), iter(getattr(synth, name)(**after))]
        while True:
            for concept in concepts:
                yield from islice(concept, every)

    return samples


def _generated(name: str, **options: Any) -> Callable[[], Iterator[Sample]]:
    def samples() -> Iterator[Sample]:
        from river.datasets import synth  # noqa: PLC0415

        return iter(getattr(synth, name)(**options))

    return samples


_SEA = {"seed": 42, "noise": 0.05}
DATASETS: dict[str, Dataset] = {
    "shuttle": Dataset("classification", "sensors of a NASA shuttle, normal or not", 49_097, _real("Shuttle")),
    "phishing": Dataset("classification", "web pages, phishing or not", 1_250, _real("Phishing")),
    "image-segments": Dataset("classification", "outdoor images, 7 kinds of surface", 2_310, _real("ImageSegments")),
    "bananas": Dataset("classification", "two banana-shaped clusters", 5_300, _real("Bananas")),
    "chick-weights": Dataset("regression", "weights of growing chicks", 578, _real("ChickWeights")),
    "trump-approval": Dataset("regression", "approval from five polls", 1_001, _real("TrumpApproval")),
    "sea-drift": Dataset(
        "classification", "SEA concepts, an abrupt drift every 5,000", None,
        _abrupt("SEA", _SEA | {"variant": 0}, _SEA | {"variant": 2}, 5_000),
    ),
    "agrawal-drift": Dataset(
        "classification", "loan applications, another rule every 5,000", None,
        _abrupt("Agrawal", {"seed": 42, "classification_function": 0},
                {"seed": 42, "classification_function": 3}, 5_000),
    ),
    "sine-drift": Dataset(
        "classification", "points under a sine, turned upside down every 5,000", None,
        _abrupt("Sine", {"seed": 42, "classification_function": 0},
                {"seed": 42, "classification_function": 1}, 5_000),
    ),
    "hyperplane": Dataset(
        "classification", "a plane that turns slowly", None,
        _generated("Hyperplane", seed=42, n_features=8, n_drift_features=4, mag_change=0.001),
    ),
    "friedman-drift": Dataset(
        "regression", "Friedman's function, changing at 10,000, 20,000 and 30,000", None,
        _generated("FriedmanDrift", seed=42, drift_type="gra", position=(10_000, 20_000), transition_window=2_000),
    ),
}  # fmt: skip


def find_dataset(name: str) -> Dataset:
    """Return the data set of that name; raises DataError when there is none."""
    if name not in DATASETS:
        lines = "\n".join(f"  {known:16} {each.task:14} {each.about}" for known, each in DATASETS.items())
        raise DataError(f"there is no data set {name}; choose one of:\n{lines}")
    return DATASETS[name]


def read_csv(path: Path, label: str) -> Iterator[Sample]:
    """Yield the rows of a CSV file with a header as features and label.

    A column whose first values are all numbers is a column of numbers; what is empty, or no number there, is a
    missing value.

    Raises:
        DataError: the file cannot be read, or has no such column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if label not in header:
                raise DataError(f"{path} has no column {label}; its columns are: {', '.join(header)}")
            yield from _typed_rows(rows, header, header.index(label), path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _typed_rows(rows: Iterator[list[str]], header: list[str], target: int, path: Path) -> Iterator[Sample]:
    head = list(islice(rows, _SNIFF))
    if not head:
        raise DataError(f"{path} has a header but no rows")
    whole = [row for row in head if len(row) == len(header)]
    readers = [_number if all(map(_is_number, column)) else _text for column in zip(*whole, strict=True)]
    read_label = _label if all(_is_number(row[target]) for row in head if len(row) > target) else _text
    names = header[:target] + header[target + 1 :]
    readers = readers[:target] + readers[target + 1 :]
    for i, row in enumerate(chain(head, rows)):
        if len(row) != len(header):
            if not row:
                continue
            raise DataError(f"{path}, row {i + 2}: {len(row)} values, but the header has {len(header)} columns")
        value = read_label(row.pop(target))
        yield {name: read(text) for name, read, text in zip(names, readers, row, strict=True)}, value


def _is_number(text: str) -> bool:
    try:
        float(text or 0)
    except ValueError:
        return False
    return True


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number - number == 0 else None  # not NaN, not infinite


def _label(text: str) -> float | int | None:
    number = _number(text)
    return int(number) if number is not None and number.is_integer() else number


def _text(text: str) -> str | None:
    return text or None
