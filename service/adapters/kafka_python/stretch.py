"""What a topic holds between two moments, read once and outside any group."""

from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition

from service.adapters.kafka_python.connection import connection, named
from service.errors import BrokerError
from service.records import Record
from service.settings import KafkaSettings

_POLL_MS = 500
_EMPTY_POLLS = 60


def read_stretch(settings: KafkaSettings, topic: str, from_ms: int | None, to_ms: int | None) -> Iterator[Record]:
    """Yield the committed records of a topic with a timestamp of at least `from_ms` and below `to_ms`.

    Each partition comes in its own order; what is written after the call began is left out.

    Raises:
        BrokerError: there is no such topic, or Kafka does not answer.
    """
    with named(f"connecting to read {topic}", settings):
        consumer = KafkaConsumer(**connection(settings), enable_auto_commit=False, isolation_level="read_committed")
    try:
        with named(f"looking up {topic}", settings):
            numbers = consumer.partitions_for_topic(topic)
            if not numbers:
                raise BrokerError(f"there is no topic {topic} at {settings.bootstrap_servers}; has the service run?")
            partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
            ends = consumer.end_offsets(partitions)
            consumer.assign(partitions)
            _seek(consumer, partitions, ends, from_ms)
        yield from _until(consumer, ends, settings, from_ms, to_ms)
    finally:
        consumer.close()


def _seek(
    consumer: KafkaConsumer, partitions: list[TopicPartition], ends: dict[TopicPartition, int], from_ms: int | None
) -> None:
    if from_ms is None:
        consumer.seek_to_beginning(*partitions)
        return
    found = consumer.offsets_for_times(dict.fromkeys(partitions, from_ms))
    for tp in partitions:
        consumer.seek(tp, ends[tp] if found[tp] is None else found[tp].offset)


def _until(
    consumer: KafkaConsumer,
    ends: dict[TopicPartition, int],
    settings: KafkaSettings,
    from_ms: int | None,
    to_ms: int | None,
) -> Iterator[Record]:
    empty = 0
    while any(consumer.position(tp) < end for tp, end in ends.items()):
        if empty == _EMPTY_POLLS:
            raise BrokerError(f"Kafka at {settings.bootstrap_servers} sends nothing more; try again")
        with named("reading", settings):
            batches = consumer.poll(timeout_ms=_POLL_MS, max_records=5000)
        empty = 0 if batches else empty + 1
        for tp, records in batches.items():
            for record in records:
                early = from_ms is not None and record.timestamp < from_ms
                late = to_ms is not None and record.timestamp >= to_ms
                if not early and not late and record.offset < ends[tp]:
                    yield record
