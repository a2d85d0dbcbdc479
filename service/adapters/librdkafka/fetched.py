"""What librdkafka fetches, as records: a message's methods are called once, its fields are read many times."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from service.adapters.librdkafka.connection import translated
from service.records import Headers, Partition
from service.settings import KafkaSettings


class Fetched(NamedTuple):
    """A `service.records.Record`."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def fetched(messages: Sequence[Any], settings: KafkaSettings) -> dict[Partition, list[Fetched]]:
    """Return messages as records by partition, in the order in which they came.

    Raises:
        BrokerError: one of them is an error.
    """
    for message in messages:
        if (error := message.error()) is not None:
            raise translated(error, "reading", settings.bootstrap_servers)
    by_place: dict[tuple[str, int], list[Any]] = {}
    for message in messages:
        by_place.setdefault((message.topic(), message.partition()), []).append(message)
    return {
        Partition(*place): [
            Fetched(m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers() or ()) for m in found
        ]
        for place, found in by_place.items()
    }


def next_records(consumer: Any, most: int, timeout_seconds: float) -> list[Any]:
    """Return up to `most` messages, without waiting for company: `consume` alone would wait for the last of them."""
    first = consumer.poll(timeout_seconds)
    if first is None:
        return []
    return [first, *consumer.consume(most - 1, 0)] if most > 1 else [first]
