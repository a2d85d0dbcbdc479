"""What a group committed, read without joining it; connects when first asked."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from service.adapters import words
from service.adapters.kafka_python.connection import PATIENCE_SECONDS, connection, named, position_of
from service.positions import Position
from service.records import Partition
from service.settings import KafkaSettings

_COORDINATOR_SECONDS, _COORDINATOR_PAUSE_SECONDS = 20.0, 0.1
_NO_COORDINATOR = (
    kafka_errors.CoordinatorNotAvailableError,
    kafka_errors.CoordinatorLoadInProgressError,
    kafka_errors.NotCoordinatorError,
)


class CommittedPositions:
    """Of the group of the settings.

    Args:
        settings: the connection.
        admin: to ask; None connects one when first asked.
    """

    def __init__(self, settings: KafkaSettings, admin: KafkaAdminClient | None = None) -> None:
        self._settings, self._admin = settings, admin

    def last_committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position]:
        """Return what was last committed; its owner may have a transaction open."""
        if not partitions:
            return {}
        with named("asking how far the partitions are done", self._settings):
            if self._admin is None:
                self._admin = KafkaAdminClient(**connection(self._settings))
            found = self._ask(self._admin, [TopicPartition(*each) for each in partitions])
        done = {Partition(tp.topic, tp.partition): position_of(each) for tp, each in found.items()}
        return {partition: position for partition, position in done.items() if position is not None}

    def _ask(self, admin: KafkaAdminClient, wanted: list[TopicPartition]) -> Any:
        """Ask the group's coordinator, which a broker that has just started may not have yet: the client gives up."""
        group, deadline = self._settings.group_id, time.monotonic() + _COORDINATOR_SECONDS
        while True:
            try:
                return admin.list_group_offsets({group: wanted})[group]
            except _NO_COORDINATOR:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_COORDINATOR_PAUSE_SECONDS)

    def committed(self, partition: Partition) -> Position | None:
        """Return what was last committed, once no transaction is open; None when nothing was."""
        with (
            named("connecting to read what was committed", self._settings),
            closing(
                KafkaConsumer(
                    **connection(self._settings),
                    group_id=self._settings.group_id,
                    enable_auto_commit=False,
                    isolation_level="read_committed",
                )
            ) as consumer,
        ):
            return self.settled(partition, consumer)

    def settled(self, partition: Partition, consumer: KafkaConsumer) -> Position | None:
        """Return the same, asking through a consumer of the group."""
        action = f"reading the committed offset of {partition}"
        with named(action, self._settings):
            try:
                found = consumer.committed(
                    TopicPartition(*partition), metadata=True, timeout_ms=int(1000 * PATIENCE_SECONDS)
                )
            except kafka_errors.KafkaTimeoutError as error:
                self.last_committed([partition])  # says so where Kafka gives no answer at all
                raise words.held_open(action, PATIENCE_SECONDS) from error
        return position_of(found)

    def close(self) -> None:
        """Drop the connection."""
        if self._admin is not None:
            self._admin.close()
