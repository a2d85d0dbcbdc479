"""Stage 1: records in. What the worker needs of a Kafka client; the adapters implement it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from service.records import Partition, Position, Record


class Assignment(Protocol):
    """Who is told when partitions come and go; called from within `Source.poll` and `Source.close`."""

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Take over partitions: find each one's state and seek."""

    def revoked(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position]:
        """Hand partitions over while they are still ours; return the positions that the source must commit now."""

    def lost(self, partitions: Sequence[Partition]) -> None:
        """Drop partitions that are already somebody else's: nothing may be committed any more."""


class Source(Protocol):
    """A member of a consumer group on the events topic."""

    def subscribe(self, topic: str, listener: Assignment) -> None:
        """Join the group."""

    def poll(self, timeout_seconds: float) -> Mapping[Partition, Sequence[Record]]:
        """Return the next records of each partition, in offset order; empty when none came in time."""

    def committed(self, partition: Partition) -> Position | None:
        """Return what was last committed for a partition; None when nothing was."""

    def commit(self, positions: Mapping[Partition, Position]) -> None:
        """Commit how far partitions are done.

        Raises:
            CommitPostponedError: not now; commit again after the next poll.
            BrokerError: it could not be done; a successor will start at the last commit.
        """

    def log_range(self, partition: Partition) -> tuple[int, int]:
        """Return the oldest offset still in the log, and the one that the next record will get."""

    def seek(self, partition: Partition, offset: int) -> None:
        """Continue at `offset`."""

    def lag(self, partition: Partition) -> int | None:
        """Return how many records lie ahead of the position; None while that is not known."""

    def close(self) -> None:
        """Leave the group."""
