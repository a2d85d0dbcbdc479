"""Partitions that are read beside the group's own, through kafka-python: a group-less consumer."""

from collections.abc import Sequence

from kafka import KafkaConsumer, TopicPartition

from service.adapters.kafka_python.connection import connection, named
from service.records import Partition, Record
from service.settings import KafkaSettings


class Follower:
    """Reads the partitions it is told to, each from where it is told."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        with named("connecting a second consumer", settings):
            self._consumer = KafkaConsumer(
                **connection(settings),
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                max_poll_records=settings.max_batch,
            )

    def follow(self, partition: Partition, offset: int) -> None:
        """Read a partition from `offset`, also where it is being read already."""
        self._assign({**self._places(), TopicPartition(*partition): offset})

    def unfollow(self, partition: Partition) -> None:
        """Read a partition no longer."""
        places = self._places()
        places.pop(TopicPartition(*partition), None)
        self._assign(places)

    def _places(self) -> dict[TopicPartition, int]:
        return {tp: self._consumer.position(tp) for tp in self._consumer.assignment()}

    def _assign(self, places: dict[TopicPartition, int]) -> None:
        with named("following partitions", self._settings):
            self._consumer.assign(list(places))
            for tp, offset in places.items():
                self._consumer.seek(tp, offset)

    def poll(self) -> dict[Partition, Sequence[Record]]:
        """Return what has arrived; never waits."""
        if not self._consumer.assignment():
            return {}
        with named("reading labels", self._settings):
            batches = self._consumer.poll(timeout_ms=0)
        return {Partition(tp.topic, tp.partition): records for tp, records in batches.items()}

    def close(self) -> None:
        """Drop the connection."""
        self._consumer.close()
