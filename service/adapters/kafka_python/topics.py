"""Topics through kafka-python: looked up and created."""

from collections.abc import Mapping, Sequence

import structlog
from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, NewTopic

from service.adapters.kafka_python.connection import connection, named
from service.settings import KafkaSettings

log = structlog.get_logger()

_LARGEST_RECORD, _DEFAULT_LARGEST_RECORD = "max.message.bytes", 1_000_000


class KafkaPythonTopics:
    """Looks topics up and creates them; implements `service.topics.TopicAdmin`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        with named("connecting", settings):
            self._admin = KafkaAdminClient(**connection(settings))

    def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """Return the number of partitions of each of these topics that exists."""
        with named("listing topics", self._settings):
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
        with named(f"creating the topic {topic}", self._settings):
            try:
                self._admin.create_topics([new], wait_for_metadata=True)
            except kafka_errors.TopicAlreadyExistsError:
                return
        log.info("topic created", topic=topic, partitions=partitions)

    def close(self) -> None:
        """Drop the connection."""
        self._admin.close()
