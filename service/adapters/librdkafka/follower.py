"""Partitions that are read beside the group's own, through librdkafka: a consumer that never joins or commits."""

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, TopicPartition

from service.adapters.librdkafka.connection import connection, named
from service.adapters.librdkafka.fetched import fetched
from service.records import Partition, Record
from service.settings import KafkaSettings


class Follower:
    """Reads the partitions it is told to, each from where it is told."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._followed: set[Partition] = set()
        self._consumer = Consumer(
            {
                **connection(settings),
                "group.id": settings.group_id,  # the client wants one; partitions are assigned by hand
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
            }
        )

    def follow(self, partition: Partition, offset: int) -> None:
        """Read a partition from `offset`, also where it is being read already."""
        self.unfollow(partition)
        with named("following partitions", self._settings):
            self._consumer.incremental_assign([TopicPartition(*partition, offset)])
        self._followed.add(partition)

    def unfollow(self, partition: Partition) -> None:
        """Read a partition no longer."""
        if partition in self._followed:
            with named("following partitions", self._settings):
                self._consumer.incremental_unassign([TopicPartition(*partition)])
            self._followed.remove(partition)

    def poll(self) -> Mapping[Partition, Sequence[Record]]:
        """Return what has arrived; never waits."""
        if not self._followed:
            return {}
        with named("reading labels", self._settings):
            return fetched(self._consumer.consume(self._settings.max_batch, 0), self._settings)

    def close(self) -> None:
        """Drop the connection."""
        self._consumer.close()
