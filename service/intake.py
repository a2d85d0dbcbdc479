"""What a partition takes next: events in log order, labels of another topic between them, replayed or live."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from service.merge import Merge, passes
from service.positions import Position
from service.records import Record


class Batch(NamedTuple):
    """Records to take through the stages now.

    Attributes:
        records: in offset order.
        live: whether results are published; what is replayed was published before.
        labels: whether they come from the labels topic.
    """

    records: Sequence[Record]
    live: bool
    labels: bool


class Intake:
    """The next offsets of one partition, and the records that have arrived.

    Args:
        labels_topic: whether labels come from a topic of their own.

    Attributes:
        offset: of the next event.
        live_from: events before it are replayed.
    """

    def __init__(self, *, labels_topic: bool) -> None:
        self.offset = self.live_from = 0
        self._events: list[Record] = []
        self._merge = Merge() if labels_topic else None

    @property
    def caught_up(self) -> bool:
        """Return whether the replay after a restart is over."""
        return self.offset >= self.live_from and not (self._merge is not None and self._merge.replaying)

    @property
    def labels_offset(self) -> int:
        """Return the offset of the next label; 0 without a topic of their own."""
        return 0 if self._merge is None else self._merge.offset

    @property
    def history(self) -> str | None:
        """Return where labels were taken; None without a topic of their own."""
        return None if self._merge is None else self._merge.history

    @property
    def crowded(self) -> bool:
        """Return whether that has become so long that a checkpoint should cut it."""
        return self._merge is not None and self._merge.crowded

    def begin(self, offset: int, labels_offset: int) -> None:
        """Start at these offsets, live."""
        self.offset = self.live_from = offset
        if self._merge is not None:
            self._merge.begin(offset, labels_offset)

    def resume(self, offset: int, labels_offset: int, committed: Position) -> None:
        """Go on from a checkpoint, and replay up to what was committed."""
        self.offset, self.live_from = offset, committed.offset
        if self._merge is not None and committed.labels is not None:
            self._merge.resume(offset, labels_offset, committed.labels)
        elif self._merge is not None:
            self._merge.begin(offset, labels_offset)

    def forget_before(self, offset: int) -> None:
        """Note that nobody will replay from before this event."""
        if self._merge is not None:
            self._merge.forget_before(offset)

    def add(self, events: Sequence[Record]) -> None:
        """Note events that have arrived."""
        self._events.extend(events)

    def add_labels(self, labels: Sequence[Record]) -> None:
        """Note records of the labels topic that have arrived."""
        if self._merge is not None:
            self._merge.add(labels)

    def batches(self) -> Iterator[Batch]:
        """Return what may be taken now; each batch counts as done when the next one is asked for."""
        while True:
            if self._merge is not None and self._merge.next_event == self.offset:
                labels = self._merge.take_planned()
                if labels is None:
                    return
                if labels:
                    yield Batch(labels, live=False, labels=True)
            elif self._events:
                batch = self._next_events()
                yield batch
                self.offset = batch.records[-1].offset + 1
            else:
                return

    def _next_events(self) -> Batch:
        live = self._events[0].offset >= self.live_from
        stops = [] if live else [self.live_from]
        if self._merge is not None and self._merge.next_event is not None:
            stops.append(self._merge.next_event)
        count = len(self._events)
        if stops:
            count = sum(record.offset < min(stops) for record in self._events)
        taken, self._events = self._events[:count], self._events[count:]
        return Batch(taken, live, labels=False)

    def labels_now(self) -> Iterator[Batch]:
        """Return the labels that have arrived, unless others are still to be replayed."""
        if self._merge is not None and self.caught_up:
            labels = self._merge.take(self.offset)
            if labels:
                yield Batch(labels, live=True, labels=True)


def off_the_way(committed: Position, offset: int, labels_offset: int) -> str | None:
    """Return why a checkpoint at these offsets does not belong to what was committed; None where it does."""
    if committed.labels is None or passes(committed.labels, offset, labels_offset):
        return None
    return f"it was taken after label {labels_offset}, which is not where the commits since then took the labels"
