"""A member of a consumer group through kafka-python.

Rebalance callbacks run on the client's I/O thread while `poll` blocks the caller: what is revoked is handed over
right there, what is assigned stays paused, and is restored and released after `poll` has returned.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from service.adapters.kafka_python.committed import CommittedPositions
from service.adapters.kafka_python.connection import committable, connection, in_silence, named
from service.adapters.kafka_python.follower import Follower
from service.adapters.kafka_python.stall import Stall
from service.errors import CommitPostponedError
from service.positions import Position
from service.records import Partition, Record
from service.settings import KafkaSettings
from service.source import Assignment, LogRange

log = structlog.get_logger()

_METADATA_MS = 10_000  # how late new partitions are noticed


class KafkaPythonSource:
    """Events of the group's partitions, and whatever other partitions it is told to follow.

    Implements `service.source.Source`.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._assigned: list[Partition] = []
        self._assignment: Assignment | None = None
        self._handover: dict[Partition, Position] | None = None
        self._follower: Follower | None = None
        self._leaving = False
        with named("connecting the consumer", settings):
            self._admin = KafkaAdminClient(**connection(settings))
            self._group = CommittedPositions(settings, self._admin)
            self._consumer = KafkaConsumer(
                **connection(settings),
                group_id=settings.group_id,
                group_instance_id=settings.instance_id,
                session_timeout_ms=settings.session_timeout_ms,
                heartbeat_interval_ms=max(settings.session_timeout_ms // 3, 1),
                max_poll_records=settings.max_batch,
                max_partition_fetch_bytes=4 * 2**20,
                enable_auto_commit=False,
                auto_offset_reset="none",  # a silent jump over what retention took is a hole in what was learned
                metadata_max_age_ms=_METADATA_MS,
                isolation_level="read_committed",
                partition_assignment_strategy=(CooperativeStickyAssignor(),),
            )
        self._stall = Stall(self._consumer)

    def subscribe(self, topic: str, listener: Assignment) -> None:  # noqa: D102
        self._assignment = listener
        # A leader that joins before it knows the topic assigns nothing, and may not try again for minutes.
        with named(f"looking up {topic}", self._settings):
            self._consumer.partitions_for_topic(topic)
        self._consumer.subscribe([topic], listener=_Listener(self))

    def poll(self, timeout_seconds: float) -> Mapping[Partition, Sequence[Record]]:  # noqa: D102
        with named("reading events", self._settings):
            batches = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000))
            self._finish_joining()
            self._stall.look()
        fresh = list(self._assigned)
        if fresh and self._assignment is not None:
            del self._assigned[: len(fresh)]
            self._assignment.assigned(fresh)
            self._consumer.resume(*(TopicPartition(*partition) for partition in fresh))
        polled: dict[Partition, Sequence[Record]] = {
            Partition(tp.topic, tp.partition): r for tp, r in batches.items()
        }
        if self._follower is not None:
            polled |= self._follower.poll()
        return polled

    def _finish_joining(self) -> None:
        """Join again where the client has forgotten that it is about to.

        A leader that shares out the partitions after `poll` has given up waiting takes the group for joined, and
        never sends a heartbeat: the broker would throw it out after the session timeout.
        """
        coordinator = self._consumer._coordinator  # noqa: SLF001  # nothing public tells
        if coordinator.rejoining and not coordinator.need_rejoin():
            coordinator.request_rejoin()

    def partitions(self, topic: str) -> list[Partition]:  # noqa: D102
        with named(f"looking up {topic}", self._settings):
            return [Partition(topic, number) for number in sorted(self._consumer.partitions_for_topic(topic) or ())]

    def last_committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position]:  # noqa: D102
        return self._group.last_committed(partitions)

    def committed(self, partition: Partition) -> Position | None:  # noqa: D102
        return self._group.settled(partition, self._consumer)

    def commit(self, positions: Mapping[Partition, Position]) -> None:  # noqa: D102
        if self._handover is not None:  # within a callback: nothing may block the thread it runs on
            self._handover |= positions
            return
        with named("committing offsets", self._settings):
            try:
                self._consumer.commit(committable(positions))
            except kafka_errors.RebalanceInProgressError as error:
                raise CommitPostponedError("the group is sharing out its partitions anew") from error

    @property
    def membership(self) -> Any:  # noqa: D102
        return self._consumer.group_metadata()

    def log_range(self, partition: Partition) -> LogRange:  # noqa: D102
        tp = TopicPartition(*partition)
        with named(f"reading the range of {partition}", self._settings):
            start, end = self._consumer.beginning_offsets([tp])[tp], self._consumer.end_offsets([tp])[tp]
            topic_id = self._admin.describe_topics([partition.topic])[0].get("topic_id")
        return LogRange(start, end, None if topic_id is None else str(topic_id))

    def seek(self, partition: Partition, offset: int) -> None:  # noqa: D102
        self._consumer.seek(TopicPartition(*partition), offset)

    def follow(self, partition: Partition, offset: int) -> None:  # noqa: D102
        if self._follower is None:
            self._follower = Follower(self._settings)
        self._follower.follow(partition, offset)

    def unfollow(self, partition: Partition) -> None:  # noqa: D102
        if self._follower is not None:
            self._follower.unfollow(partition)

    def lag(self, partition: Partition) -> int | None:  # noqa: D102
        tp = TopicPartition(*partition)
        if tp not in self._consumer.assignment():
            return None
        end, position = self._consumer.highwater(tp), self._consumer.position(tp, timeout_ms=1000)
        return None if end is None or position is None else max(0, end - position)

    def close(self) -> None:  # noqa: D102
        self._leaving = True
        with named("leaving the group", self._settings), in_silence():
            self._admin.close()
            self._consumer.close(autocommit=False, timeout_ms=10_000)
            if self._follower is not None:
                self._follower.close()

    # -- on the client's I/O thread, for the listener

    def pause_until_restored(self, added: Sequence[Partition]) -> None:
        """Give nothing of these before the listener has said where each of them continues."""
        for partition in added:
            tp = TopicPartition(*partition)
            self._consumer.seek(tp, 0)  # any place is one: without, the client would complain that it knows none
            self._consumer.pause(tp)
        self._assigned.extend(added)

    async def hand_over(self, revoked: Sequence[Partition]) -> None:
        """Let the listener finish with partitions, and commit what it commits meanwhile."""
        self._never_mind(revoked)
        self._handover = {}
        try:
            self._told().revoked(revoked)
            if self._handover:
                await self._consumer.commit_async(committable(self._handover))
        except kafka_errors.RebalanceInProgressError as error:
            if not self._leaving:
                raise
            log.info(
                "left without the last commit; whoever comes next goes on from the one before", reason=str(error)
            )
        finally:
            self._handover = None

    def forget(self, lost: Sequence[Partition]) -> None:
        """Tell the listener that partitions are already somebody else's."""
        self._never_mind(lost)
        self._told().lost(lost)

    def _never_mind(self, gone: Sequence[Partition]) -> None:
        """Forget what came and went within one `poll`: a group may be shared out twice while it waits."""
        self._assigned = [partition for partition in self._assigned if partition not in gone]

    def _told(self) -> Assignment:
        assert self._assignment is not None, "partitions come after subscribe"  # noqa: S101
        return self._assignment


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python ships no types
    def __init__(self, source: KafkaPythonSource) -> None:
        self._source = source

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._source.pause_until_restored(_sorted(assigned))

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._source.hand_over(_sorted(revoked))

    async def on_partitions_lost(self, lost: Any) -> None:
        self._source.forget(_sorted(lost))


def _sorted(partitions: Any) -> list[Partition]:
    return sorted(Partition(tp.topic, tp.partition) for tp in partitions)
