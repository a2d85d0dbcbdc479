"""What outlives a worker."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.positions import Position
from service.records import Headers, Partition


@dataclass(frozen=True)
class MemoryRecord:
    """A record as the log keeps it; implements `service.records.Record`."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


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
