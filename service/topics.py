"""The topics the service needs: found, created, or refused before the first event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.errors import TopicMissingError
from service.settings import TopicSettings

_DEAD_LETTER_BYTES = 64 * 2**20  # a bad event must fit whatever its size


class TopicAdmin(Protocol):
    """What it takes to look topics up and create them."""

    def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """Return the number of partitions of each of these topics that exists."""

    def largest_record_bytes(self, topic: str) -> int:
        """Return the size of the largest record that a topic takes."""

    def create(self, topic: str, partitions: int, replication: int, config: Mapping[str, str]) -> None:
        """Create a topic unless it exists."""


@dataclass(frozen=True)
class Topics:
    """What the service must know of its topics.

    Attributes:
        partitions: of the events topic.
        largest_dead_letter_bytes: what the dead-letter topic takes; larger ones are cut.
    """

    partitions: int
    largest_dead_letter_bytes: int


def ensure_topics(admin: TopicAdmin, settings: TopicSettings) -> Topics:
    """Create what is missing, and return what the service must know.

    Raises:
        TopicMissingError: a topic is missing and `topics.create` is false, or predictions has fewer partitions than
            events, so that the order in a partition could not be kept.
    """
    names = [settings.events, settings.predictions, settings.dead_letters, settings.alerts]
    existing = admin.partitions(names)
    missing = [name for name in names if name not in existing]
    if missing and not settings.create:
        raise TopicMissingError(
            f"missing topics: {', '.join(missing)}; create them, or set topics.create to true to have it done"
        )
    retention = {}
    if settings.retention_hours is not None:
        retention["retention.ms"] = str(int(settings.retention_hours * 3_600_000))
    events = existing.get(settings.events, settings.partitions)
    for name in missing:
        config = dict(retention)
        if name == settings.dead_letters:
            config["max.message.bytes"] = str(_DEAD_LETTER_BYTES)
        single = name in (settings.dead_letters, settings.alerts)
        admin.create(name, 1 if single else events, settings.replication, config)
    if existing.get(settings.predictions, events) < events:
        raise TopicMissingError(
            f"topic {settings.predictions} has {existing[settings.predictions]} partitions, {settings.events} has "
            f"{events}; add partitions to {settings.predictions}: each prediction goes to the partition of its event"
        )
    return Topics(events, admin.largest_record_bytes(settings.dead_letters))
