"""What librdkafka fetches, as records: a batch is turned around by the column, in C, not message by message."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import Message

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


_record = partial(tuple.__new__, Fetched)  # as Fetched(*fields), without a call of Python for each


def fetched(messages: Sequence[Any], settings: KafkaSettings) -> dict[Partition, list[Fetched]]:
    """Return messages as records by partition, in the order in which they came.

    Raises:
        BrokerError: one of them is an error.
    """
    error = next((error for error in map(Message.error, messages) if error is not None), None)
    if error is not None:
        raise translated(error, "reading", settings.bootstrap_servers)
    places: list[Any] = list(zip(map(Message.topic, messages), map(Message.partition, messages), strict=True))
    records = list(
        map(
            _record,
            zip(
                map(Message.offset, messages),
                [timestamp for _, timestamp in map(Message.timestamp, messages)],
                map(Message.key, messages),
                map(Message.value, messages),
                [headers or () for headers in map(Message.headers, messages)],
                strict=True,
            ),
        )
    )
    if len(set(places)) == 1:
        return {Partition(*places[0]): records}
    found: dict[Partition, list[Fetched]] = {}
    for place, record in zip(places, records, strict=True):
        found.setdefault(Partition(*place), []).append(record)
    return found


def next_records(consumer: Any, most: int, timeout_seconds: float) -> list[Any]:
    """Return up to `most` messages, without waiting for company: `consume` alone would wait for the last of them."""
    first = consumer.poll(timeout_seconds)
    if first is None:
        return []
    return [first, *consumer.consume(most - 1, 0)] if most > 1 else [first]
