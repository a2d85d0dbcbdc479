"""The topics the service needs: found, created, or refused before the first event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.errors import TopicMissingError
from service.settings import TopicSettings

_DEAD_LETTER_BYTES = 64 * 2**20  # a bad event must fit whatever its size


_CHECKPOINTS = {
    "cleanup.policy": "compact,delete",  # `delete` only allows to cut off what is not needed: nothing is too old
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "segment.bytes": str(64 * 2**20),
    "min.cleanable.dirty.ratio": "0.1",
    "message.timestamp.type": "LogAppendTime",  # the broker refuses those of a worker whose clock is an hour ahead
}


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


def ensure_topics(admin: TopicAdmin, settings: TopicSettings, *, with_checkpoints: bool) -> Topics:
    """Create what is missing, and return what the service must know.

    Args:
        admin: of the cluster.
        settings: names and sizes.
        with_checkpoints: whether checkpoints lie in a topic.

    Raises:
        TopicMissingError: a topic is missing and `topics.create` is false, or predictions or labels have another
            number of partitions than events.
    """
    wanted = _wanted(settings)
    if with_checkpoints:
        wanted[settings.checkpoints] = (True, _CHECKPOINTS)
    existing = admin.partitions(list(wanted))
    missing = [name for name in wanted if name not in existing]
    if missing and not settings.create:
        raise TopicMissingError(
            f"missing topics: {', '.join(missing)}; create them, or set topics.create to true to have it done"
        )
    retention: dict[str, str] = {}
    if settings.retention_hours is not None:
        retention["retention.ms"] = str(int(settings.retention_hours * 3_600_000))
    events = existing.get(settings.events, settings.partitions)
    for name in missing:
        as_many, config = wanted[name]
        admin.create(name, events if as_many else 1, settings.replication, retention | config)
    _check_partitions(settings, existing, events)
    return Topics(events, admin.largest_record_bytes(settings.dead_letters))


def _wanted(settings: TopicSettings) -> dict[str, tuple[bool, dict[str, str]]]:
    """Return of each topic whether it has as many partitions as the events (or one), and its own configuration."""
    wanted: dict[str, tuple[bool, dict[str, str]]] = {
        settings.events: (True, {}),
        settings.predictions: (True, {}),
        settings.dead_letters: (False, {"max.message.bytes": str(_DEAD_LETTER_BYTES)}),
        settings.alerts: (False, {}),
    }
    if settings.labels is not None:
        wanted[settings.labels] = (True, {})
    if settings.expired is not None:
        wanted[settings.expired] = (False, {})
    return wanted


def _check_partitions(settings: TopicSettings, existing: Mapping[str, int], events: int) -> None:
    if existing.get(settings.predictions, events) < events:
        raise TopicMissingError(
            f"topic {settings.predictions} has {existing[settings.predictions]} partitions, {settings.events} has "
            f"{events}; add partitions to {settings.predictions}: each prediction goes to the partition of its event"
        )
    if existing.get(settings.checkpoints, events) < events:
        raise TopicMissingError(
            f"topic {settings.checkpoints} has {existing[settings.checkpoints]} partitions, {settings.events} has "
            f"{events}; add partitions to {settings.checkpoints}, or set checkpoint.url to keep checkpoints elsewhere"
        )
    if settings.labels is not None and existing.get(settings.labels, events) != events:
        raise TopicMissingError(
            f"topic {settings.labels} has {existing[settings.labels]} partitions, {settings.events} has {events}; "
            "both must have as many: a label goes to the partition of its event, by the same key"
        )
