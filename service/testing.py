"""Kafka and the checkpoint store in memory, for tests of whatever is built on the service. No broker, no threads.

    log = MemoryLog([Partition("events", 0)])
    log.append(Partition("events", 0), b'{"features": {"x": 1.0}, "label": 1}')
    source, publisher, store = MemorySource(log), MemoryPublisher(), MemoryStore()
    worker = Worker(settings, connect=lambda: Connection(source, publisher, store), ...)
    source.on_end = worker.stop
    worker.run()
    publisher.durable

What a crash leaves behind is the log and the store: give both to the next worker. Each fake writes what is asked of
it into a journal, which may be shared to see the order, and fails when told to.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from service.checkpoint import Stored
from service.errors import CheckpointError
from service.positions import Offsets, Position
from service.records import Headers, Outgoing, Partition
from service.source import Assignment, LogRange

Journal = list[tuple[Any, ...]]


@dataclass(frozen=True)
class MemoryRecord:
    """A record as the log keeps it; implements `service.records.Record`."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class FakeClock:
    """Seconds that pass only when told to.

    Args:
        now: seconds at the start.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class InlineExecutor(Executor):
    """Runs what it is given at once, on the caller's thread."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the result, or the error, as a future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # any error belongs to whoever asks for the result
            future.set_exception(error)
        return future


class MemoryLog:
    """What outlives a worker: the records of each partition, and what its group committed.

    Args:
        partitions: of the events topic.

    Attributes:
        committed: newest position of each partition.
        starts: oldest offset still there; raise it to play retention.
        topic_id: of the topic; change it to play one that was created anew.
    """

    def __init__(self, partitions: Iterable[Partition]) -> None:
        self._records: dict[Partition, list[MemoryRecord]] = {partition: [] for partition in partitions}
        self.committed: dict[Partition, Position] = {}
        self.starts = dict.fromkeys(self._records, 0)
        self.topic_id: str | None = None

    def copy(self) -> "MemoryLog":
        """Return the same records, nothing of them committed."""
        other = MemoryLog(self.partitions)
        other._records = {partition: list(records) for partition, records in self._records.items()}
        return other

    @property
    def partitions(self) -> list[Partition]:
        """Return all partitions."""
        return list(self._records)

    def append(
        self,
        partition: Partition,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        timestamp_ms: int | None = None,
    ) -> MemoryRecord:
        """Add a record at the end of a partition; its timestamp is its offset where none is given."""
        offset = len(self._records[partition])
        stamp = offset if timestamp_ms is None else timestamp_ms
        record = MemoryRecord(offset, stamp, key, value, headers)
        self._records[partition].append(record)
        return record

    def read(self, partition: Partition, offset: int, count: int) -> list[MemoryRecord]:
        """Return up to `count` records from `offset`, or from the oldest one where `offset` is gone."""
        first = max(offset, self.starts[partition])
        return self._records[partition][first : first + count]

    def end(self, partition: Partition) -> int:
        """Return the offset that the next record will get."""
        return len(self._records[partition])


class _Fake:
    """Notes what is asked of it, and fails when told to."""

    def __init__(self, journal: Journal | None) -> None:
        self.journal: Journal = [] if journal is None else journal
        self._errors: dict[str, tuple[int, BaseException]] = {}

    def fail(self, call: str, error: BaseException, *, after: int = 0) -> None:
        """Let a method raise `error` once, before it has done anything.

        Args:
            call: name of the method.
            error: what it raises.
            after: how many calls succeed before.
        """
        self._errors[call] = (after, error)

    def _called(self, call: str, *details: Any) -> None:
        after, error = self._errors.get(call, (0, None))
        if error is not None:
            self._errors[call] = (after - 1, error)
            if after == 0:
                del self._errors[call]
                raise error
        self.journal.append((call, *details))


class MemorySource(_Fake):
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
        self._called("subscribe", topic)
        self._listener = listener

    def poll(self, timeout_seconds: float) -> Mapping[Partition, Sequence[MemoryRecord]]:
        """Carry out what happened to the group, then return the next records; never waits."""
        del timeout_seconds
        self._called("poll")
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
        self._called("committed", partition)
        return self._log.committed.get(partition)

    def commit(self, positions: Mapping[Partition, Position]) -> None:
        """Commit how far partitions are done."""
        self._called("commit", dict(positions))
        self._log.committed |= positions

    def owners(self, partitions: Sequence[Partition]) -> set[str]:
        """Return who committed last for these partitions."""
        before = [self._log.committed.get(partition) for partition in partitions]
        return {position.owner for position in before if position is not None and position.owner is not None}

    @property
    def membership(self) -> str:
        """Return what a transaction commits the positions with."""
        return "the only member"

    def log_range(self, partition: Partition) -> LogRange:
        """Return what the log of a partition holds now."""
        return LogRange(self._log.starts[partition], self._log.end(partition), self._log.topic_id)

    def seek(self, partition: Partition, offset: int) -> None:
        """Continue at `offset`."""
        self._called("seek", partition, offset)
        self.positions[partition] = offset

    def follow(self, partition: Partition, offset: int) -> None:
        """Give the records of another partition too."""
        self._called("follow", partition, offset)
        self._followed.add(partition)
        self.positions[partition] = offset

    def unfollow(self, partition: Partition) -> None:
        """Give them no longer."""
        self._called("unfollow", partition)
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
        self._called("close")


class MemoryPublisher(_Fake):
    """Keeps what it is given; implements `service.publish.Publisher`.

    Args:
        journal: notes ("fence", owner), ("send", count), ("flush",) and ("close_publisher",).
        identity: of a publisher with transactions: a commit that fails loses what was sent. None flushes first, and
            what was flushed stays.

    Attributes:
        pending: sent since the last commit; a crash loses it.
        durable: everything that counts, in order.
    """

    def __init__(self, journal: Journal | None = None, identity: str | None = None) -> None:
        super().__init__(journal)
        self.identity = identity
        self.pending: list[Outgoing] = []
        self.durable: list[Outgoing] = []

    def fence(self, owner: str) -> None:
        """End what a predecessor left open."""
        self._called("fence", owner)

    def send(self, records: Sequence[Outgoing]) -> None:
        """Hand records over."""
        self._called("send", len(records))
        self.pending += records

    def commit(self, positions: Mapping[Partition, Position], offsets: Offsets) -> None:
        """Make them durable, with the positions or before them."""
        self._called("flush")
        if self.identity is None:
            self._settle()
        offsets.commit(positions)
        self._settle()

    def _settle(self) -> None:
        self.durable += self.pending
        self.pending = []

    def close(self) -> None:
        """Drop the connection."""
        self._called("close_publisher")

    def topic(self, topic: str) -> list[Outgoing]:
        """Return the durable records of one topic."""
        return [record for record in self.durable if record.topic == topic]


class MemoryStore(_Fake):
    """Checkpoints in a dict; implements `service.checkpoint.CheckpointStore`.

    Args:
        journal: notes ("save", partition, offset), ("load", …), ("delete", …) and ("offsets", partition).

    Attributes:
        data: bytes of each checkpoint by partition and offset; may be changed to play damage.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.data: dict[tuple[Partition, int], bytes] = {}

    def save(self, partition: Partition, offset: int, data: bytes) -> None:
        """Store a checkpoint."""
        self._called("save", partition, offset)
        self.data[partition, offset] = data

    def offsets(self, partition: Partition) -> list[int]:
        """Return the offsets of all checkpoints of a partition, newest first."""
        self._called("offsets", partition)
        return sorted((offset for owner, offset in self.data if owner == partition), reverse=True)

    def describe(self, partition: Partition, offset: int) -> Stored:
        """Return the size of a checkpoint."""
        return Stored(len(self.load(partition, offset)), None)

    def load(self, partition: Partition, offset: int) -> bytes:
        """Return a checkpoint."""
        self._called("load", partition, offset)
        if (partition, offset) not in self.data:
            raise CheckpointError(f"there is no checkpoint of {partition} at offset {offset}")
        return self.data[partition, offset]

    def delete(self, partition: Partition, offset: int) -> None:
        """Remove a checkpoint; one that is gone already is as good."""
        self._called("delete", partition, offset)
        self.data.pop((partition, offset), None)

    def close(self) -> None:
        """Drop the connection."""
        self._called("close_store")
