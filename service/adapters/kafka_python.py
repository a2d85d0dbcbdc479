"""Kafka through kafka-python: source, publisher and topics.

Two things of its own shape this file. Rebalance callbacks run on the client's I/O thread while `poll` blocks the
caller: what is revoked is handed over right there, what is assigned is restored after `poll` has returned, and
records that the same poll brought for it are dropped and fetched again from the right place. And a `send` answers
with a future: they are kept, and `flush` looks at every one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, NewTopic
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import OffsetAndMetadata

from service.errors import BrokerError, CommitPostponedError
from service.records import Outgoing, Partition, Position, Record
from service.settings import KafkaSettings
from service.source import Assignment

log = structlog.get_logger()

_BOOTSTRAP_MS = 20_000
_METADATA_MS = 10_000  # how late new partitions are noticed
_LARGEST_REQUEST = 64 * 2**20
_LARGEST_RECORD, _DEFAULT_LARGEST_RECORD = "max.message.bytes", 1_000_000


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """Return the options that all of kafka-python's clients share."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "bootstrap_timeout_ms": _BOOTSTRAP_MS,
        "security_protocol": settings.security_protocol,
    }
    if settings.sasl_mechanism is not None:
        password = settings.password.get_secret_value() if settings.password is not None else None
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": password,
        }
    if settings.ca_file is not None:
        options["ssl_cafile"] = str(settings.ca_file)
    return options


@contextmanager
def _named(action: str, settings: KafkaSettings) -> Iterator[None]:
    """Turn the client's errors into one that says what could not be done, and what to do."""
    try:
        yield
    except kafka_errors.KafkaTimeoutError as error:
        raise BrokerError(
            f"{action}: no answer from Kafka at {settings.bootstrap_servers} ({error}); "
            "check that it runs and that kafka.bootstrap_servers is right"
        ) from error
    except kafka_errors.KafkaError as error:
        raise BrokerError(f"{action}: Kafka at {settings.bootstrap_servers} says {error!r}") from error


class KafkaPythonSource:
    """A member of a consumer group; implements `service.source.Source`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._assigned: list[Partition] = []
        self._assignment: Assignment | None = None
        with _named("connecting the consumer", settings):
            self._consumer = KafkaConsumer(
                **connection(settings),
                group_id=settings.group_id,
                group_instance_id=settings.instance_id,
                session_timeout_ms=settings.session_timeout_ms,
                heartbeat_interval_ms=max(settings.session_timeout_ms // 3, 1),
                max_poll_records=settings.max_batch,
                max_partition_fetch_bytes=4 * 2**20,
                enable_auto_commit=False,
                auto_offset_reset=settings.start_from,
                metadata_max_age_ms=_METADATA_MS,
                isolation_level="read_committed",
                partition_assignment_strategy=(CooperativeStickyAssignor(),),
            )

    def subscribe(self, topic: str, listener: Assignment) -> None:  # noqa: D102
        self._assignment = listener
        # A leader that joins before it knows the topic assigns nothing, and may not try again for minutes.
        with _named(f"looking up {topic}", self._settings):
            self._consumer.partitions_for_topic(topic)
        self._consumer.subscribe([topic], listener=_Listener(self._consumer, listener, self._assigned))

    def poll(self, timeout_seconds: float) -> Mapping[Partition, Sequence[Record]]:  # noqa: D102
        with _named("reading events", self._settings):
            batches = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000))
        fresh = list(self._assigned)
        if fresh and self._assignment is not None:
            del self._assigned[: len(fresh)]
            self._assignment.assigned(fresh)
        polled = {Partition(tp.topic, tp.partition): records for tp, records in batches.items()}
        return {partition: records for partition, records in polled.items() if partition not in fresh}

    def committed(self, partition: Partition) -> Position | None:  # noqa: D102
        with _named(f"reading the committed offset of {partition}", self._settings):
            found = self._consumer.committed(TopicPartition(*partition), metadata=True)
        if found is None or found.offset < 0:
            return None
        try:
            checkpoint = json.loads(found.metadata)["checkpoint"]
        except (ValueError, TypeError, KeyError):
            checkpoint = None
        return Position(found.offset, checkpoint)

    def commit(self, positions: Mapping[Partition, Position]) -> None:  # noqa: D102
        with _named("committing offsets", self._settings):
            try:
                self._consumer.commit(_offsets(positions))
            except kafka_errors.RebalanceInProgressError as error:
                raise CommitPostponedError("the group is sharing out its partitions anew") from error

    def log_range(self, partition: Partition) -> tuple[int, int]:  # noqa: D102
        tp = TopicPartition(*partition)
        with _named(f"reading the range of {partition}", self._settings):
            return self._consumer.beginning_offsets([tp])[tp], self._consumer.end_offsets([tp])[tp]

    def seek(self, partition: Partition, offset: int) -> None:  # noqa: D102
        self._consumer.seek(TopicPartition(*partition), offset)

    def lag(self, partition: Partition) -> int | None:  # noqa: D102
        tp = TopicPartition(*partition)
        if tp not in self._consumer.assignment():
            return None
        end, position = self._consumer.highwater(tp), self._consumer.position(tp, timeout_ms=1000)
        return None if end is None or position is None else max(0, end - position)

    def close(self) -> None:  # noqa: D102
        self._consumer.close(autocommit=False, timeout_ms=10_000)


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python ships no types
    """Hands partitions over on the I/O thread, and notes what is to be taken over."""

    def __init__(self, consumer: Any, assignment: Assignment, assigned: list[Partition]) -> None:
        self._consumer, self._assignment, self._assigned = consumer, assignment, assigned

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._assigned.extend(sorted(Partition(tp.topic, tp.partition) for tp in assigned))

    async def on_partitions_revoked(self, revoked: Any) -> None:
        partitions = sorted(Partition(tp.topic, tp.partition) for tp in revoked)
        positions = self._assignment.revoked(partitions)
        if positions:
            await self._consumer.commit_async(_offsets(positions))

    async def on_partitions_lost(self, lost: Any) -> None:
        self._assignment.lost(sorted(Partition(tp.topic, tp.partition) for tp in lost))


class KafkaPythonPublisher:
    """An idempotent producer; implements `service.publish.Publisher`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._sent: list[tuple[Any, Outgoing]] = []
        with _named("connecting the producer", settings):
            self._producer = KafkaProducer(
                **connection(settings),
                linger_ms=5,
                batch_size=256 * 1024,
                max_request_size=_LARGEST_REQUEST,
                compression_type=settings.compression,
            )

    def send(self, records: Sequence[Outgoing]) -> None:  # noqa: D102
        with _named("publishing", self._settings):
            self._sent.extend((self._send(record), record) for record in records)

    def _send(self, record: Outgoing) -> Any:
        return self._producer.send(
            record.topic,
            value=record.value,
            key=record.key,
            headers=list(record.headers),
            partition=record.partition,
            timestamp_ms=record.timestamp_ms,
        )

    def flush(self) -> None:  # noqa: D102
        with _named("waiting for acknowledgements", self._settings):
            self._producer.flush()
            sent, self._sent = self._sent, []
            for future, record in sent:
                if future.exception is not None:
                    log.error("not acknowledged", topic=record.topic, bytes=len(record.value or b""))
                    raise future.exception

    def close(self) -> None:  # noqa: D102
        self._producer.close(timeout=10)


def _offsets(positions: Mapping[Partition, Position]) -> dict[Any, Any]:
    return {
        TopicPartition(*partition): OffsetAndMetadata(
            position.offset, json.dumps({"checkpoint": position.checkpoint}), -1
        )
        for partition, position in positions.items()
    }


class KafkaPythonTopics:
    """Looks topics up and creates them; implements `service.topics.TopicAdmin`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        with _named("connecting", settings):
            self._admin = KafkaAdminClient(**connection(settings))

    def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """Return the number of partitions of each of these topics that exists."""
        with _named("listing topics", self._settings):
            existing = set(self._admin.list_topics())
            wanted = [topic for topic in topics if topic in existing]
            described = self._admin.describe_topics(wanted) if wanted else []
        return {each["name"]: len(each["partitions"]) for each in described}

    def largest_record_bytes(self, topic: str) -> int:
        """Return the size of the largest record that a topic takes; Kafka's default where the broker does not say."""
        wanted = ConfigResource("TOPIC", topic, [_LARGEST_RECORD])
        try:
            found = self._admin.describe_configs([wanted], config_filter="all")
            return int(found["topic"][topic][_LARGEST_RECORD]["value"])
        except (kafka_errors.KafkaError, KeyError, TypeError, ValueError) as error:
            log.warning("broker does not tell the largest record of a topic", topic=topic, reason=repr(error))
            return _DEFAULT_LARGEST_RECORD

    def create(self, topic: str, partitions: int, replication: int, config: Mapping[str, str]) -> None:
        """Create a topic; one that somebody else creates at the same moment is as good."""
        new = NewTopic(topic, num_partitions=partitions, replication_factor=replication, topic_configs=dict(config))
        with _named(f"creating the topic {topic}", self._settings):
            try:
                self._admin.create_topics([new], wait_for_metadata=True)
            except kafka_errors.TopicAlreadyExistsError:
                return
        log.info("topic created", topic=topic, partitions=partitions)

    def close(self) -> None:
        """Drop the connection."""
        self._admin.close()


class KafkaPythonReader:
    """Reads a whole topic outside any group: for people who watch, and for the demo's own count.

    Args:
        settings: the connection.
        topic: to read.
        from_start: the whole topic, or only what comes from now on.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, from_start: bool) -> None:
        self._settings = settings
        with _named(f"connecting to read {topic}", settings):
            self._consumer = KafkaConsumer(
                **connection(settings), enable_auto_commit=False, isolation_level="read_committed"
            )
            numbers = self._consumer.partitions_for_topic(topic)
            if not numbers:
                self._consumer.close()
                raise BrokerError(
                    f"there is no topic {topic} at {settings.bootstrap_servers}; is the service running?"
                )
            partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
            self._consumer.assign(partitions)
            if from_start:
                self._consumer.seek_to_beginning(*partitions)
            else:
                self._consumer.seek_to_end(*partitions)

    def poll(self, timeout_seconds: float) -> list[Record]:
        """Return the next records of all partitions."""
        with _named("reading", self._settings):
            batches = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000), max_records=5000)
        return [record for records in batches.values() for record in records]

    def close(self) -> None:
        """Drop the connection."""
        self._consumer.close()
