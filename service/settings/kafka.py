"""Topics, the connection to Kafka, and what is promised about delivery."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from service.errors import SettingsError
from service.settings.section import Positive, Section


class TopicSettings(Section):
    """The topics and how they are created when they are missing."""

    events: str = "events"
    """Labelled events in."""
    format: Literal["json", "msgpack", "f32", "avro", "protobuf"] = "json"
    """Of what comes in: `json` objects, the same as `msgpack` maps, bare vectors of float32 (`f32`) with id and label
    in headers, or `avro` and `protobuf` with the schema registry `schemas.url`. Dead letters are as they came, alerts
    are JSON."""
    predictions: str = "predictions"
    """One prediction an event out, in the partition of the event."""
    predictions_format: Literal["json", "avro", "protobuf"] | None = None
    """Of the predictions; null: that of the events where it has a schema registry, else `json`."""
    labels: str | None = None
    """Late labels, where they have a topic of their own: as many partitions as `events`, each label with the key of
    its event. null: they come in the events topic."""
    expired: str | None = None
    """Events whose label is waited for no longer; null publishes none of them."""
    dead_letters: str = "dead-letters"
    """Events that could not be used, with the reason."""
    checkpoints: str = "checkpoints"
    """The model's state, where `checkpoint.url` names no other place; several models and groups may share it."""
    alerts: str = "alerts"
    """Drift alerts."""
    create: bool = True
    """Create missing topics; false stops with an error instead."""
    partitions: Positive = 1
    """Partitions of created topics."""
    replication: Positive = 1
    """Replicas of created topics."""
    retention_hours: Annotated[float, Field(gt=0)] | None = None
    """How long created topics keep records; null takes the broker's default."""

    @property
    def written_as(self) -> Literal["json", "avro", "protobuf"]:
        """Return the format of the predictions."""
        if self.predictions_format is not None:
            return self.predictions_format
        return self.format if self.format in {"avro", "protobuf"} else "json"

    def must_write_json(self) -> None:
        """Raise a SettingsError where predictions cannot be read by our own commands."""
        if self.written_as != "json":
            raise SettingsError(
                f"predictions are {self.written_as}, which this command cannot read; use a deserializer of the "
                "schema registry, or set topics.predictions_format to json"
            )


class KafkaSettings(Section):
    """The connection to Kafka."""

    bootstrap_servers: str = "localhost:9092"
    """host:port, several with commas."""
    client: Literal["auto", "kafka-python", "librdkafka"] = "auto"
    """Of the events and results; `auto`: librdkafka where the extra `nnstream[librdkafka]` is installed."""
    profile: Literal["latency", "throughput"] = "throughput"
    """`throughput`: a prediction waits up to 5 ms for others, so that they travel together. `latency`: it goes at
    once."""
    group_id: str = "nnstream"
    """Consumer group; workers of one group share the partitions."""
    instance_id: str | None = None
    """Static membership: a worker that comes back under the same name within the session timeout keeps its
    partitions."""
    session_timeout_ms: Positive = 10_000
    """Silence after which a worker's partitions go to others."""
    start_from: Literal["earliest", "latest"] = "earliest"
    """Where a group that never committed begins."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to speak to the brokers."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How to log in."""
    username: str | None = None
    """For SASL."""
    password: SecretStr | None = None
    """For SASL; better given as NNSTREAM_KAFKA__PASSWORD than in a file."""
    ca_file: Path | None = None
    """Certificates to trust (PEM)."""
    standby_partitions: Annotated[int, Field(ge=0)] = 8
    """Partitions of which a worker that owns none keeps a warm copy, so that it can take over at once; 0: none."""
    max_batch: Positive = 500
    """Most records taken in one poll."""
    idle_sleep_ms: Annotated[int, Field(ge=0)] = 0
    """Pause after an empty poll, for brokers whose fetch does not wait."""
    compression: Literal["gzip"] | None = None
    """Of what is produced."""


class DeliverySettings(Section):
    """What is promised about predictions and offsets."""

    guarantee: Literal["auto", "exactly_once", "at_least_once"] = "auto"
    """`exactly_once`: predictions and input offsets in one transaction. `at_least_once`: for brokers without
    transactions; after a crash some events are predicted twice. `auto`: the first where the broker has it."""
    transaction_timeout_ms: Annotated[int, Field(ge=1000)] = 30_000
    """Silence after which the broker ends a worker's transaction."""
    commit_interval_ms: Annotated[int, Field(ge=0)] = 200
    """Time between commits; predictions of a transaction are visible to `read_committed` readers after it."""
    max_event_bytes: Positive = 1_048_576
    """Larger events go to the dead letters unread."""
