"""A whole topic, read outside any group."""

from kafka import KafkaConsumer, TopicPartition

from service.adapters.kafka_python.connection import connection, named
from service.errors import BrokerError
from service.records import Record
from service.settings import KafkaSettings


class KafkaPythonReader:
    """Reads a whole topic outside any group: for people who watch, and for the demo's own count.

    Args:
        settings: the connection.
        topic: to read.
        from_start: the whole topic, or only what comes from now on.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, from_start: bool) -> None:
        self._settings = settings
        with named(f"connecting to read {topic}", settings):
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
        with named("reading", self._settings):
            batches = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000), max_records=5000)
        return [record for records in batches.values() for record in records]

    def close(self) -> None:
        """Drop the connection."""
        self._consumer.close()
