"""A consumer group from outside, through kafka-python: where it stands, who is in it, and moving it."""

from collections.abc import Mapping

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import NoError

from service.adapters.kafka_python.connection import committable, connection, named, position_of
from service.errors import BrokerError
from service.positions import Position
from service.records import Partition
from service.settings import KafkaSettings
from service.source import LogRange


class KafkaPythonGroup:
    """The group of the settings."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        with named("connecting", settings):
            self._admin = KafkaAdminClient(**connection(settings))

    def partitions(self, topic: str) -> list[Partition]:
        """Return all partitions of a topic.

        Raises:
            BrokerError: there is no such topic.
        """
        with named("listing topics", self._settings):
            if topic not in self._admin.list_topics():
                raise BrokerError(f"there is no topic {topic} at {self._settings.bootstrap_servers}")
            found = self._admin.describe_topics([topic])[0]["partitions"]
        return [Partition(topic, number) for number in range(len(found))]

    def committed(self, partition: Partition) -> Position | None:
        """Return what the group last committed for a partition."""
        group, tp = self._settings.group_id, TopicPartition(*partition)
        with named(f"reading the committed offset of {partition}", self._settings):
            return position_of(self._admin.list_group_offsets({group: [tp]})[group].get(tp))

    def log_range(self, partition: Partition) -> LogRange:
        """Return what the log of a partition holds now."""
        with named(f"reading the range of {partition}", self._settings):
            start, end = (self._offset(partition, spec) for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST))
            topic_id = self._admin.describe_topics([partition.topic])[0].get("topic_id")
        return LogRange(start, end, None if topic_id is None else str(topic_id))

    def _offset(self, partition: Partition, spec: OffsetSpec) -> int:
        tp = TopicPartition(*partition)
        return int(self._admin.list_partition_offsets({tp: spec})[tp].offset)

    def move(self, positions: Mapping[Partition, Position]) -> None:
        """Commit positions for the group, which must have no live member.

        Raises:
            BrokerError: it has one, or Kafka refuses.
        """
        group = self._settings.group_id
        with named(f"moving the group {group}", self._settings):
            for name, found in self._admin.describe_groups([group]).items():
                if found["members"]:
                    raise BrokerError(f"the group {name} has {len(found['members'])} live members; stop them first")
            for tp, refusal in self._admin.alter_group_offsets(group, committable(positions)).items():
                if refusal is not NoError:
                    raise BrokerError(f"moving the group {group} on {tp.topic}-{tp.partition}: {refusal.__name__}")

    def close(self) -> None:
        """Drop the connection."""
        self._admin.close()
