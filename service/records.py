"""What goes through the stages: records in, records out, and where they lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from service.events import Problem

Headers = Sequence[tuple[str, bytes]]


class Partition(NamedTuple):
    """One partition of a topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.number}"

    def beside(self, topic: str | None) -> "Partition | None":
        """Return the partition of another topic with the same number; None without a topic."""
        return None if topic is None else Partition(topic, self.number)


class Record(Protocol):
    """A record as a Kafka client hands it over."""

    @property
    def offset(self) -> int:
        """Return its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Return ms since 1970."""

    @property
    def key(self) -> bytes | None:
        """Return the key."""

    @property
    def value(self) -> bytes | None:
        """Return the payload; None is a tombstone."""

    @property
    def headers(self) -> Headers:
        """Return the headers."""


class Outgoing(NamedTuple):
    """A record to publish."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


@dataclass(frozen=True)
class Refused:
    """A record that could not be used.

    Attributes:
        record: as it came.
        problem: kind of problem.
        reason: what was wrong, and where.
    """

    record: Record
    problem: Problem
    reason: str
