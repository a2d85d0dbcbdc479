"""Records in, from memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from service.positions import Position
from service.records import Partition
from service.source import Assignment, LogRange
from service.testing.fake import Fake, Journal
from service.testing.log import MemoryLog, MemoryRecord


class MemorySource(Fake):
    """The only member of a group on a `MemoryLog`; implements `service.source.Source`.

    Args:
        log: where records and commits lie.
        batch_sizes: most records of each partition in the first, second, … poll; then `batch_size` for ever.
        batch_size: most records of each partition in a poll.
        assign_all: whether the first poll assigns all partitions.
        journal: notes ("commit", positions) and ("close",).

    Attributes:
        on_end: called by each poll that finds nothing left to give; set it to `Worker.stop`.
        at_end: whether the last poll found nothing left.
        assigned: the partitions it has now.
        positions: next offset of each of them.
    """

    def __init__(
        self,
        log: MemoryLog,
        *,
        batch_sizes: Iterable[int] = (),
        batch_size: int = 500,
        assign_all: bool = True,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(journal)
        self.on_end: Callable[[], None] = lambda: None
        self.at_end = False
        self.positions: dict[Partition, int] = {}
        self._log, self._batch_sizes, self._batch_size = log, iter(batch_sizes), batch_size
        self._listener: Assignment | None = None
        self._changes: list[Callable[[], None]] = []
        self._followed: set[Partition] = set()
        if assign_all:
            self.assign(log.partitions)

    @property
    def assigned(self) -> list[Partition]:
        """Return the partitions it has now."""
        return [partition for partition in self.positions if partition not in self._followed]

    # -- what a group coordinator would do, at the next poll

    def assign(self, partitions: Sequence[Partition]) -> None:
        """Give it partitions."""
        self._changes.append(lambda: self._assign(partitions))

    def revoke(self, partitions: Sequence[Partition]) -> None:
        """Take partitions away in good order: their positions are committed."""
        self._changes.append(lambda: self._revoke(partitions))

    def lose(self, partitions: Sequence[Partition]) -> None:
        """Take partitions away after they went to somebody else: nothing is committed."""
        self._changes.append(lambda: self._lose(partitions))

    def _assign(self, partitions: Sequence[Partition]) -> None:
        self.positions |= dict.fromkeys(partitions, 0)
        self._told().assigned(partitions)

    def _revoke(self, partitions: Sequence[Partition]) -> None:
        self._told().revoked(partitions)
        for partition in partitions:
            self.positions.pop(partition, None)

    def _lose(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            self.positions.pop(partition, None)
        self._told().lost(partitions)

    def _told(self) -> Assignment:
        if self._listener is None:
            raise RuntimeError("subscribe first, then poll")
        return self._listener

    # -- service.source.Source

    def subscribe(self, topic: str, listener: Assignment) -> None:
        """Join the group."""
        self.called("subscribe", topic)
        self._listener = listener

    def poll(self, timeout_seconds: float) -> Mapping[Partition, Sequence[MemoryRecord]]:
        """Carry out what happened to the group, then return the next records; never waits."""
        del timeout_seconds
        self.called("poll")
        changes, self._changes = self._changes, []
        for change in changes:
            change()
        size = next(self._batch_sizes, self._batch_size)
        batches = {p: self._log.read(p, offset, size) for p, offset in self.positions.items()}
        for partition, records in batches.items():
            if records:
                self.positions[partition] = records[-1].offset + 1
        self.at_end = all(offset >= self._log.end(p) for p, offset in self.positions.items())
        found = {partition: records for partition, records in batches.items() if records}
        if self.at_end and not found and not self._changes:
            self.on_end()
        return found

    def committed(self, partition: Partition) -> Position | None:
        """Return what was last committed for a partition."""
        self.called("committed", partition)
        return self._log.committed.get(partition)

    def commit(self, positions: Mapping[Partition, Position]) -> None:
        """Commit how far partitions are done."""
        self.called("commit", dict(positions))
        self._log.committed |= positions

    def partitions(self, topic: str) -> list[Partition]:
        """Return all partitions of a topic."""
        return [partition for partition in self._log.partitions if partition.topic == topic]

    def last_committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position]:
        """Return what was last committed for partitions."""
        self.called("last_committed", *partitions)
        return {
            partition: self._log.committed[partition] for partition in partitions if partition in self._log.committed
        }

    @property
    def membership(self) -> str:
        """Return what a transaction commits the positions with."""
        return "the only member"

    def log_range(self, partition: Partition) -> LogRange:
        """Return what the log of a partition holds now."""
        return LogRange(self._log.starts[partition], self._log.end(partition), self._log.topic_id)

    def seek(self, partition: Partition, offset: int) -> None:
        """Continue at `offset`."""
        self.called("seek", partition, offset)
        self.positions[partition] = offset

    def follow(self, partition: Partition, offset: int) -> None:
        """Give the records of another partition too."""
        self.called("follow", partition, offset)
        self._followed.add(partition)
        self.positions[partition] = offset

    def unfollow(self, partition: Partition) -> None:
        """Give them no longer."""
        self.called("unfollow", partition)
        self._followed.discard(partition)
        self.positions.pop(partition, None)

    def lag(self, partition: Partition) -> int | None:
        """Return how many records lie ahead of the position."""
        position = self.positions.get(partition)
        return None if position is None else self._log.end(partition) - position

    def close(self) -> None:
        """Hand everything over and leave the group."""
        if self._listener is not None:
            self._revoke(self.assigned)
        self.called("close")
