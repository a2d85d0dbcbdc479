"""A member of a consumer group through librdkafka.

Rebalance callbacks run on the caller's thread, within `poll` and `close`: what is assigned is restored right there,
and its fetching begins where the listener said; what is revoked is handed over before the callback returns.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from service.adapters.kafka_python.committed import CommittedPositions
from service.adapters.librdkafka.connection import (
    BOOTSTRAP_SECONDS,
    PATIENCE_SECONDS,
    committable,
    connection,
    named,
)  # fmt: skip
from service.adapters.librdkafka.fetched import fetched, next_records
from service.adapters.librdkafka.follower import Follower
from service.adapters.librdkafka.statistics import told
from service.client_statistics import ClientStatistics, ignore
from service.errors import CommitPostponedError, StartOverError
from service.positions import Position
from service.records import Partition, Record
from service.settings import KafkaSettings
from service.source import Assignment, LogRange

# The second: the group has done so, and the client is about to hear of it. Who was thrown out is no member at all.
_SHARING_OUT = {KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION}


class LibrdkafkaSource:
    """Events of the group's partitions, and whatever other partitions it is told to follow.

    Implements `service.source.Source`.
    """

    def __init__(self, settings: KafkaSettings, note: Callable[[ClientStatistics], None] = ignore) -> None:
        self._settings = settings
        self._next: dict[Partition, int] = {}
        self._assigning = False
        self._membership: Any = None
        self._raised: BaseException | None = None
        self._follower: Follower | None = None
        self._reader = CommittedPositions(settings)
        options: dict[str, Any] = {
            **connection(settings),
            **told("source", note),
            "group.id": settings.group_id,
            "session.timeout.ms": settings.session_timeout_ms,
            "heartbeat.interval.ms": max(settings.session_timeout_ms // 3, 1),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # a silent jump over what retention took is a hole in what was learned
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "cooperative-sticky",
            "max.partition.fetch.bytes": 2**20,
            "queued.max.messages.kbytes": 2 * 2**10,  # back-pressure: what is fetched ahead of the learner
            "fetch.wait.max.ms": 100,
            "fetch.queue.backoff.ms": 10,  # at the default, a second, a full queue once drained stays empty
        }
        if settings.instance_id is not None:
            options["group.instance.id"] = settings.instance_id
        self._consumer = Consumer(options)
        self._admin = AdminClient(connection(settings))
        with named("connecting the consumer", settings):
            self._consumer.list_topics(timeout=BOOTSTRAP_SECONDS)

    def subscribe(self, topic: str, listener: Assignment) -> None:  # noqa: D102
        def assigned(fresh: list[Partition]) -> None:
            self._next.update(dict.fromkeys(fresh, 0))
            self._assigning = True
            try:
                listener.assigned(fresh)
            finally:
                self._assigning = False
            self._consumer.incremental_assign([TopicPartition(*each, self._next[each]) for each in fresh])

        def revoked(gone: list[Partition]) -> None:
            listener.revoked(gone)
            self._forget(gone)

        def lost(gone: list[Partition]) -> None:
            listener.lost(gone)
            self._forget(gone)

        with named(f"joining the group on {topic}", self._settings):
            self._consumer.subscribe(
                [topic],
                on_assign=self._called_back(assigned),
                on_revoke=self._called_back(revoked),
                on_lost=self._called_back(lost),
            )

    def _called_back(self, action: Callable[[list[Partition]], None]) -> Callable[[Any, list[TopicPartition]], None]:
        """Return a callback that keeps what went wrong: the client may lose it on its way out."""

        def call(_: Any, partitions: list[TopicPartition]) -> None:
            try:
                action(sorted(Partition(each.topic, each.partition) for each in partitions))
            except BaseException as error:  # noqa: BLE001  # it is raised once the client has returned
                self._raised = error

        return call

    def _raise(self) -> None:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def _forget(self, gone: Sequence[Partition]) -> None:
        for partition in gone:
            self._next.pop(partition, None)
        self._consumer.incremental_unassign([TopicPartition(*partition) for partition in gone])

    def poll(self, timeout_seconds: float) -> Mapping[Partition, Sequence[Record]]:  # noqa: D102
        polled: dict[Partition, Sequence[Record]] = {}
        with named("reading events", self._settings):
            messages = next_records(self._consumer, self._settings.max_batch, timeout_seconds)
            self._raise()
        for partition, records in fetched(messages, self._settings).items():
            if partition in self._next:  # not handed over within this very call
                polled[partition] = records
                self._next[partition] = records[-1].offset + 1
        if self._follower is not None:
            polled |= self._follower.poll()
        return polled

    def partitions(self, topic: str) -> list[Partition]:  # noqa: D102
        with named(f"looking up {topic}", self._settings):
            found = self._consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic]
        return [Partition(topic, number) for number in sorted(found.partitions)]

    # kafka-python reads commits: confluent-kafka 2.16 reads their metadata beyond the end where no zero byte follows

    def last_committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position]:  # noqa: D102
        return self._reader.last_committed(partitions)

    def committed(self, partition: Partition) -> Position | None:  # noqa: D102
        return self._reader.committed(partition)

    def commit(self, positions: Mapping[Partition, Position]) -> None:  # noqa: D102
        with named("committing offsets", self._settings):
            error = self._refused(committable(positions))
            if error is None:
                return
            if error.code() in _SHARING_OUT:
                raise CommitPostponedError("the group is sharing out its partitions anew")
            raise KafkaException(error)

    def _refused(self, offsets: list[TopicPartition]) -> KafkaError | None:
        """Commit; return why that was refused, for one partition or for all."""
        try:
            done = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            refusal: KafkaError = error.args[0]
            return refusal
        return next((each.error for each in done or () if each.error is not None), None)

    @property
    def membership(self) -> Any:  # noqa: D102
        try:
            self._membership = self._consumer.consumer_group_metadata()
        except RuntimeError as error:  # while leaving the client may know no longer: what it knew last is as good
            if self._membership is None:
                raise StartOverError("committing: this worker is no member of its group any more") from error
        return self._membership

    def log_range(self, partition: Partition) -> LogRange:  # noqa: D102
        with named(f"reading the range of {partition}", self._settings):
            start, end = self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=PATIENCE_SECONDS)
            topics = TopicCollection([partition.topic])
            [future] = self._admin.describe_topics(topics, request_timeout=PATIENCE_SECONDS).values()
            found = future.result().topic_id
        high, low = (bits % 2**64 for bits in (found.get_most_significant_bits(), found.get_least_significant_bits()))
        number = uuid.UUID(int=high << 64 | low)
        return LogRange(start, end, str(number) if number.int else None)

    def seek(self, partition: Partition, offset: int) -> None:  # noqa: D102
        self._next[partition] = offset
        if not self._assigning:  # else fetching begins there
            with named(f"going to {offset} of {partition}", self._settings):
                self._consumer.seek(TopicPartition(*partition, offset))

    def follow(self, partition: Partition, offset: int) -> None:  # noqa: D102
        if self._follower is None:
            self._follower = Follower(self._settings)
        self._follower.follow(partition, offset)

    def unfollow(self, partition: Partition) -> None:  # noqa: D102
        if self._follower is not None:
            self._follower.unfollow(partition)

    def lag(self, partition: Partition) -> int | None:  # noqa: D102
        if partition not in self._next or self._assigning:
            return None
        with named(f"reading the end of {partition}", self._settings):
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
        return None if end < 0 else max(0, end - self._next[partition])

    def close(self) -> None:  # noqa: D102
        with named("leaving the group", self._settings):
            self._consumer.close()
        self._reader.close()
        if self._follower is not None:
            self._follower.close()
        with named("handing over", self._settings):
            self._raise()
