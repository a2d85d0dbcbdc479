"""Stage 1: records in. What the worker needs of a Kafka client; the adapters implement it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from service.positions import Offsets, Position
from service.records import Partition, Record


class LogRange(NamedTuple):
    """What a partition's log holds.

    Attributes:
        start: oldest offset still there.
        end: offset of the record that comes next.
        topic_id: tells a topic from another that was created under the same name later; None where Kafka has none.
    """

    start: int
    end: int
    topic_id: str | None


class Assignment(Protocol):
    """Who is told when partitions come and go; called from within `Source.poll` and `Source.close`."""

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Take over partitions: find each one's state and seek."""

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Hand partitions over while they are still ours."""

    def lost(self, partitions: Sequence[Partition]) -> None:
        """Drop partitions that are already somebody else's: nothing may be committed any more."""


class Source(Offsets, Protocol):
    """A member of a consumer group on the events topic."""

    def subscribe(self, topic: str, listener: Assignment) -> None:
        """Join the group."""

    def poll(self, timeout_seconds: float) -> Mapping[Partition, Sequence[Record]]:
        """Return the next records of each partition, in offset order; empty when none came in time."""

    def partitions(self, topic: str) -> list[Partition]:
        """Return all partitions of a topic."""

    def last_committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position]:
        """Return what was last committed for partitions, whoever has them; its owner may have a transaction open."""

    def committed(self, partition: Partition) -> Position | None:
        """Return what was last committed for a partition, once no transaction is open; None when nothing was."""

    def log_range(self, partition: Partition) -> LogRange:
        """Return what the log of a partition holds now."""

    def seek(self, partition: Partition, offset: int) -> None:
        """Continue at `offset`."""

    def follow(self, partition: Partition, offset: int) -> None:
        """Give the records of another partition too, from `offset`; the group knows nothing of it."""

    def unfollow(self, partition: Partition) -> None:
        """Give them no longer."""

    def lag(self, partition: Partition) -> int | None:
        """Return how many records lie ahead of the position; None while that is not known."""

    def close(self) -> None:
        """Leave the group."""
