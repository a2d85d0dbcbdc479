"""Stage 3: late labels, joined to the features they belong to.

An event without a label is predicted at once, and waits under its id as it came. When its label comes, the network
learns from those very features, and the loss that counts is that of the prediction that was published. A label that
comes first waits for its event. Time is the log's own (the largest record timestamp so far), so what expires, and
when, depends on the log alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal, Protocol, cast

import msgspec
import numpy as np
import numpy.typing as npt

from service.records import Outgoing, Record, Refused
from service.settings import LabelSettings
from service.shelf import Shelf, Waiting

_Entries = list[tuple[str, Waiting]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Entries).decode
_timestamp, _NONE = attrgetter("timestamp"), type(None)
_SHELVES = ("events", "labels", "settled")
Reason = Literal["max_wait", "max_pending", "replaced"]


class Columns(Protocol):
    """A batch, as `service.decode` gives it; features None marks a late label."""

    records: list[Record]
    ids: list[str | int]
    timestamps: list[int]
    features: list[dict[str, Any] | None]
    labels: list[Any]


@dataclass
class Joined:
    """What the learner is to do, in order: a row for each event, and one for each label that came later.

    Attributes:
        records: the record that each row came with.
        ids: of the event.
        timestamps: of that record, ms since 1970.
        features: as they were when the event came.
        labels: None where there is none yet.
        is_event: whether a row is predicted and published; the others are only learned.
        entries: the event that waits, or waited, where a row has to do with one.
        again: rows that correct a label that was learned before.
        refused: labels that could not be used, each with the offset at which that was found.
        expired: events whose label is no longer waited for, with that offset and the reason.
        plain: whether every row is an event that came with its label.
    """

    records: list[Record] = field(default_factory=list)
    ids: list[str | int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    is_event: list[bool] = field(default_factory=list)
    entries: list[Waiting | None] = field(default_factory=list)
    again: set[int] = field(default_factory=set)
    refused: list[tuple[int, Refused]] = field(default_factory=list)
    expired: list[tuple[int, Waiting, Reason]] = field(default_factory=list)
    plain: bool = False


class LabelJoin:
    """The events of one partition that wait for their labels, and the labels that wait for their events.

    Args:
        settings: how long, and how many.
        features_of: reads an event's features from its record's value.
        label_of: reads a label from its record's value.
    """

    def __init__(
        self,
        settings: LabelSettings,
        features_of: Callable[[bytes], dict[str, Any]],
        label_of: Callable[[bytes], Any],
    ) -> None:
        self._settings = settings
        self._features_of, self._label_of = features_of, label_of
        self._wait_ms = None if settings.max_wait_seconds is None else int(settings.max_wait_seconds * 1000)
        self._keep_events = settings.second == "correction"
        self._now = 0
        self._events = Shelf(settings.spill_after_bytes)
        self._labels = Shelf(settings.spill_after_bytes)
        self._settled = Shelf(settings.spill_after_bytes)

    @property
    def pending(self) -> tuple[int, int]:
        """Return how many events wait for their label, and how many labels for their event."""
        return len(self._events), len(self._labels)

    def join(self, batch: Columns) -> Joined:
        """Return what to predict and to learn, in order."""
        if self._is_plain(batch):
            self._now = max(self._now, max(map(_timestamp, batch.records), default=self._now))
            count, rows = len(batch.records), cast("list[dict[str, Any]]", batch.features)
            return Joined(
                batch.records, batch.ids, batch.timestamps, rows, batch.labels, [True] * count, [None] * count,
                plain=True,
            )  # fmt: skip
        joined = Joined()
        columns = zip(batch.records, batch.ids, batch.timestamps, batch.features, batch.labels, strict=True)
        for record, name, ts, features, label in columns:
            self._now = max(self._now, record.timestamp)
            self._expire_late(record.offset, joined)
            if features is None:
                self._take_label(joined, record, name, ts, label)
            else:
                self._take_event(joined, record, name, ts, features, label)
            self._expire_many(record.offset, joined)
        return joined

    def _is_plain(self, batch: Columns) -> bool:
        """Return whether nothing waits, and nothing will."""
        nothing = not (len(self._events) or len(self._labels) or len(self._settled) or self._keep_events)
        return nothing and None not in batch.labels and _NONE not in set(map(type, batch.features))

    def _take_event(
        self, joined: Joined, record: Record, name: str | int, ts: int, features: dict[str, Any], label: Any
    ) -> None:
        key = _key(name)
        early = self._labels.pop(key) if label is None else None
        if early is not None:
            label = self._label_of(early.value)
        entry = None
        if label is None or self._keep_events or early is not None:
            entry = self._waiting(record, ts)
        if label is None and entry is not None:
            replaced = self._events.pop(key)
            if replaced is not None:
                joined.expired.append((record.offset, replaced, "replaced"))
            self._events.put(key, entry)
        elif entry is not None:
            self._settle(key, entry)
        _add(joined, record, name, ts, features, label, is_event=True, entry=entry)

    def _take_label(self, joined: Joined, record: Record, name: str | int, ts: int, label: Any) -> None:
        key = _key(name)
        entry = self._events.pop(key)
        if entry is not None:
            self._settle(key, entry)
            _add(joined, record, name, ts, self._features_of(entry.value), label, is_event=False, entry=entry)
            return
        settled, early = self._settled.get(key), self._labels.get(key)
        if settled is None and early is None:
            self._labels.put(key, self._waiting(record, ts))
        elif not self._keep_events:
            reason = f"the event {name!r} has a label already; a second one counts with labels.second: correction"
            joined.refused.append((record.offset, Refused(record, "second_label", reason)))
        elif settled is not None:
            joined.again.add(len(joined.records))
            _add(joined, record, name, ts, self._features_of(settled.value), label, is_event=False, entry=settled)
        else:
            self._labels.pop(key)
            self._labels.put(key, self._waiting(record, ts))

    def _waiting(self, record: Record, ts: int) -> Waiting:
        headers = list(record.headers)
        return Waiting(record.offset, record.timestamp, record.key, record.value or b"", headers, self._now, ts)

    def _settle(self, key: str, entry: Waiting) -> None:
        """Remember that an event has its label, and for corrections the event too."""
        self._settled.pop(key)
        kept = entry if self._keep_events else Waiting(entry.offset, entry.timestamp, None, b"", [], 0, entry.ts)
        kept.since = self._now
        self._settled.put(key, kept)

    # -- what is waited for no longer

    def _expire_late(self, moment: int, joined: Joined) -> None:
        if self._wait_ms is None:
            return
        first = self._now - self._wait_ms
        while (oldest := self._events.oldest()) is not None and oldest[1].since < first:
            self._drop_event(oldest[0], moment, "max_wait", joined)
        while (oldest := self._labels.oldest()) is not None and oldest[1].since < first:
            self._drop_label(oldest[0], moment, joined)
        while (oldest := self._settled.oldest()) is not None and oldest[1].since < first:
            self._settled.pop(oldest[0])

    def _expire_many(self, moment: int, joined: Joined) -> None:
        limits = self._settings
        while len(self._settled) > limits.max_pending or self._settled.bytes > limits.max_pending_bytes:
            oldest = self._settled.oldest()
            assert oldest is not None  # noqa: S101  # it is not empty
            self._settled.pop(oldest[0])
        while (
            len(self._events) + len(self._labels) > limits.max_pending
            or self._events.bytes + self._labels.bytes > limits.max_pending_bytes
        ):
            event, label = self._events.oldest(), self._labels.oldest()
            if event is not None and (label is None or event[1].since <= label[1].since):
                self._drop_event(event[0], moment, "max_pending", joined)
            elif label is not None:
                self._drop_label(label[0], moment, joined)

    def _drop_event(self, key: str, moment: int, reason: Reason, joined: Joined) -> None:
        entry = self._events.pop(key)
        if entry is not None:
            joined.expired.append((moment, entry, reason))

    def _drop_label(self, key: str, moment: int, joined: Joined) -> None:
        entry = self._labels.pop(key)
        if entry is not None:
            reason = (
                f"no event with the id {key[1:]!r} came while the label waited (labels.max_wait_seconds, max_pending)"
            )
            joined.refused.append((moment, Refused(entry, "unknown_id", reason)))

    # -- what was published

    def note_predictions(self, joined: Joined, published: Sequence[Outgoing | None]) -> None:
        """Keep what was published about the events that wait; one element of `published` for each row."""
        for entry, is_event, record in zip(joined.entries, joined.is_event, published, strict=True):
            if entry is not None and is_event and record is not None:
                entry.prediction = record.value
        for shelf in (self._events, self._labels, self._settled):
            shelf.spill()

    # -- state

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that waits, oldest first, as arrays of bytes."""
        shelves = zip(_SHELVES, (self._events, self._labels, self._settled), strict=True)
        arrays: dict[str, npt.NDArray[Any]] = {
            name: np.frombuffer(_encode(list(shelf.items())), np.uint8) for name, shelf in shelves
        }
        return arrays | {"now": np.array([self._now], np.int64)}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self._now = int(arrays["now"][0])
        for name, shelf in zip(_SHELVES, (self._events, self._labels, self._settled), strict=True):
            for key, entry in _decode(arrays[name].tobytes()):
                shelf.put(key, entry)
            shelf.spill()


def _key(name: str | int) -> str:
    """Return a key under which 1 and "1" are two ids."""
    return f"s{name}" if isinstance(name, str) else f"i{name}"


def _add(
    joined: Joined, record: Record, name: str | int, ts: int, features: dict[str, Any], label: Any,
    *, is_event: bool, entry: Waiting | None,
) -> None:  # fmt: skip
    joined.records.append(record)
    joined.ids.append(name)
    joined.timestamps.append(ts)
    joined.features.append(features)
    joined.labels.append(label)
    joined.is_event.append(is_event)
    joined.entries.append(entry)
