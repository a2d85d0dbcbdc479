"""What a block of events gave: predictions, losses, versions, and what was refused."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.explain import Explanation
from nnstream.labels import Label
from nnstream.schema import Table

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Segment:
    """Predictions of consecutive events made by networks of one shape.

    Attributes:
        rows: index of each event in the block.
        outputs: classification: float32 (n, classes), probabilities; regression: float64 (n, 1), in the units of
            the label.
        classes: the class of each column; empty for regression and before the first label.
    """

    rows: list[int]
    outputs: Array
    classes: tuple[Label, ...]


@dataclass
class Outcome:
    """What a block of events gave.

    Attributes:
        segments: the predictions, each made before its event was learned.
        losses: float64 (n,), NaN where there was no label or nothing to predict with.
        versions: int64 (n,), how many samples the model had learned when it predicted.
        refused: index and reason of events that could not be encoded; they changed nothing.
        learned: how many events were learned.
        explanations: by index, of the events for which they were asked.
        table: the features of all events, where they are one.
    """

    segments: list[Segment]
    losses: npt.NDArray[np.float64]
    versions: npt.NDArray[np.int64]
    refused: dict[int, str]
    learned: int = 0
    explanations: dict[int, Explanation] = field(default_factory=dict)
    table: Table | None = None

    def predictions(self) -> list[Label | None]:
        """Return the predicted class or number of each event, None where there is none."""
        if len(self.segments) == 1 and len(self.segments[0].rows) == len(self.losses):
            return best(self.segments[0])
        out: list[Label | None] = [None] * len(self.losses)
        for segment in self.segments:
            for i, prediction in zip(segment.rows, best(segment), strict=True):
                out[i] = prediction
        return out

    def centres(self) -> npt.NDArray[np.float64]:
        """Return one number about each prediction: the number predicted, or the mean index of the class.

        Returns:
            float64 (n,), NaN where nothing was predicted.
        """
        out = np.full(len(self.losses), np.nan)
        for segment in self.segments:
            if segment.classes:
                mean = np.zeros(len(segment.rows))
                for k in range(1, len(segment.classes)):  # one by one: no order of a sum may depend on the block
                    mean += k * segment.outputs[:, k].astype(np.float64)
                out[as_index(segment.rows)] = mean
            elif segment.outputs.shape[1]:
                out[as_index(segment.rows)] = segment.outputs[:, 0]
        return out

    def chances(self, labels: Sequence[Label | None]) -> npt.NDArray[np.float64]:
        """Return the probability of each event's label and that of what was predicted, float64 (n, 2); NaN without.

        Args:
            labels: of the events; None where there is none.
        """
        out = np.full((len(self.losses), 2), np.nan)
        for segment in self.segments:
            if not segment.classes:
                continue
            rows = as_index(segment.rows)
            place = _places(segment.classes, labels[rows] if isinstance(rows, slice) else [labels[i] for i in rows])
            met = segment.outputs[np.arange(len(place)), np.maximum(place, 0)]
            met[place < 0] = 0.0
            out[rows, 0] = met
            out[rows, 1] = segment.outputs.max(axis=1)
        return out


def as_index(rows: list[int]) -> slice | list[int]:
    """Return an index for rows in order: a slice where they follow each other, which NumPy takes at no cost."""
    together = bool(rows) and rows[-1] - rows[0] + 1 == len(rows)
    return slice(rows[0], rows[-1] + 1) if together else rows


def _places(classes: Sequence[Label], labels: Sequence[Label | None]) -> npt.NDArray[np.int64]:
    """Return the index of each label among the classes, -1 for one that is none of them."""
    columns: dict[Any, int] = {_key(label): k for k, label in enumerate(classes)}
    if len(set(map(type, labels)) | set(map(type, classes))) == 1:  # then no two of them are equal and yet differ
        columns = {label: columns[_key(label)] for label in classes}
        return np.array([columns.get(label, -1) for label in labels], np.int64)
    return np.array([columns.get(_key(label), -1) for label in labels], np.int64)


def _key(label: Label | None) -> tuple[bool, Label | None]:
    return isinstance(label, bool), label


def best(segment: Segment) -> list[Label | None]:
    """Return each event's prediction: the most probable class (None before the first label), or the number."""
    if not segment.classes:
        return [None] * len(segment.rows) if segment.outputs.shape[1] == 0 else segment.outputs[:, 0].tolist()
    return [segment.classes[k] for k in segment.outputs.argmax(axis=1).tolist()]
