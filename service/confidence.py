"""Stage 6b: how sure a prediction is. Owns the conformal calibration of one partition.

A set is given by the labels before its event, in log order, and scored when its label comes: as it was published.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from nnstream.conformal import Conformal, Late, Region
from nnstream.model import Model
from nnstream.outcome import Outcome, Segment
from nnstream.schema import category_text

_decode = msgspec.json.Decoder().decode


class Entry(Protocol):
    """An event that waits, or waited, for its label."""

    @property
    def prediction(self) -> bytes | None:
        """Return what was published about it."""


class Rows(Protocol):
    """The rows of a batch, as `service.labels` gives them."""

    labels: list[Any]
    is_event: list[bool]
    again: set[int]

    @property
    def entries(self) -> Sequence[Entry | None]:
        """Return the event that waits, or waited, where a row has to do with one."""


class Confidence:
    """The sets or intervals of one partition; without a confidence to keep it gives none.

    Args:
        confidence: share of labels they are to hold; None turns them off.
        regression: whether labels are numbers.
    """

    def __init__(self, confidence: float | None, *, regression: bool) -> None:
        self.conformal = None if confidence is None else Conformal(confidence, regression=regression)
        self._lock = threading.Lock()

    def observe(self, rows: Rows, outcome: Outcome, model: Model) -> list[Region | None]:
        """Return the region of each row that is an event; learn from each label that has come."""
        if self.conformal is None:
            return [None] * len(rows.labels)
        late = self._late(self.conformal, rows, outcome, model)
        with self._lock:
            return self.conformal.observe(outcome, rows.labels, late)

    def _late(self, conformal: Conformal, rows: Rows, outcome: Outcome, model: Model) -> Mapping[int, Late | None]:
        """Return the rows that are no events, with what was published about theirs; a correction is not scored."""
        late: dict[int, Late | None] = {}
        if all(rows.is_event):
            return late
        said = {i: (segment, k) for segment in outcome.segments for k, i in enumerate(segment.rows)}
        here = {id(entry): i for i, entry in enumerate(rows.entries) if entry is not None and rows.is_event[i]}
        for i, entry in enumerate(rows.entries):
            if rows.is_event[i]:
                continue
            late[i], event = None, here.get(id(entry))
            if i in rows.again or entry is None:
                continue
            if event is not None and event in said:
                segment, k = said[event]
                one = Segment([0], segment.outputs[k : k + 1], segment.classes)
                late[i] = Late(float(conformal.residuals(one, [rows.labels[i]])[0]), event=event)
            elif event is None and entry.prediction is not None:
                late[i] = published(entry.prediction, rows.labels[i], conformal, model)
        return late

    def as_records(self, regions: Sequence[Region | None]) -> dict[int, dict[str, Any]]:
        """Return, by row, the fields of a published prediction that say how sure it is."""
        return {i: self.as_record(region) for i, region in enumerate(regions) if region is not None}

    def as_record(self, region: Region | None) -> dict[str, Any]:
        """Return those fields for one region; none where there is no region."""
        if region is None or self.conformal is None:
            return {}
        if isinstance(region, tuple):
            held: dict[str, Any] = {"interval": {"lower": region[0], "upper": region[1]}}
        else:
            held = {"prediction_set": region}
        return held | {"confidence": self.conformal.confidence}

    def region(self, segment: Segment) -> Region | None:
        """Return the region of one prediction, by what is known now."""
        if self.conformal is None:
            return None
        with self._lock:
            return self.conformal.regions(segment)[0]

    def describe(self) -> dict[str, Any] | None:
        """Return what `state` does not hold, as JSON-ready data; None where it is off."""
        return None if self.conformal is None else self.conformal.describe()

    def state(self) -> dict[str, Any]:
        """Return all arrays of state; not copies."""
        return {} if self.conformal is None else self.conformal.state()

    def restore(self, description: Mapping[str, Any] | None, arrays: Mapping[str, Any]) -> None:
        """Take over what `describe` and `state` gave; where it was off then, begin anew."""
        if self.conformal is not None and description is not None:
            self.conformal.restore(description, arrays)


def published(prediction: bytes, label: Any, conformal: Conformal, model: Model) -> Late | None:
    """Return what a published prediction is worth now that its label is known; None where nothing was predicted.

    Args:
        prediction: the record's value.
        label: that has come.
        conformal: that gave the region.
        model: that predicted; it may have met more classes since.
    """
    body = _decode(prediction)
    if body["prediction"] is None:
        return None
    covered = _held(body, label)
    shares = body.get("probabilities")
    if shares is None:
        segment = Segment([0], np.array([[body["prediction"]]], np.float64), ())
    else:
        classes = tuple(model.classes.known[: len(shares)])  # new ones come at the end
        segment = Segment([0], np.array([list(shares.values())]), classes)
    return Late(float(conformal.residuals(segment, [label])[0]), covered)


def _held(body: Mapping[str, Any], label: Any) -> bool | None:
    """Return whether the published region held the label; None where none was published."""
    if body.get("interval") is not None:
        return bool(body["interval"]["lower"] <= float(label) <= body["interval"]["upper"])
    if body.get("prediction_set") is not None:
        return category_text(label) in map(category_text, body["prediction_set"])
    return None
