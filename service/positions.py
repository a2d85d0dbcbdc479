"""How far a partition is done, and the text that says it in the metadata of its committed offset."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from service.records import Partition


@dataclass(frozen=True)
class Position:
    """How far a partition is done.

    Attributes:
        offset: of the next record to process.
        checkpoint: name of the newest durable checkpoint; None where there is none.
        owner: transactional id of the worker that has the partition; None once it was handed over, or where there
            are no transactions.
        topic_id: of the events topic; another id under the same name is another log.
        labels: where labels of a topic of their own were taken, as `service.merge` writes it; None without one.
    """

    offset: int
    checkpoint: int | None
    owner: str | None = None
    topic_id: str | None = None
    labels: str | None = None


class Offsets(Protocol):
    """A member of a group, as far as committing goes."""

    def commit(self, positions: Mapping[Partition, Position]) -> None:
        """Commit how far partitions are done.

        Raises:
            CommitPostponedError: not now; commit again after the next poll.
            BrokerError: it could not be done; a successor will start at the last commit.
        """

    @property
    def membership(self) -> Any:
        """Return what tells Kafka that this member may still commit."""


def encode(position: Position) -> str:
    """Return what goes beside the offset into Kafka: JSON, less than the 4,096 characters that it may have."""
    fields = asdict(position)
    del fields["offset"]
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def decode(offset: int, text: str | None) -> Position:
    """Return the position that was committed; metadata of other programs say nothing about a checkpoint."""
    try:
        found: Any = json.loads((text or "{}").rstrip("\0"))  # confluent-kafka commits C's end of text with it
    except ValueError:
        found = {}
    if not isinstance(found, dict):
        found = {}
    return Position(offset, found.get("checkpoint"), found.get("owner"), found.get("topic_id"), found.get("labels"))
