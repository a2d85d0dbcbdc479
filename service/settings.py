"""All settings of the service: from a YAML file, then from the environment, which wins.

`NNSTREAM_KAFKA__BOOTSTRAP_SERVERS=broker:9092` sets `kafka.bootstrap_servers`. This is the only module that reads
the environment. docs/configuration.md is made from the descriptions here.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from nnstream.drift.detectors import DetectorSpec
from nnstream.optimizers import OPTIMIZERS
from nnstream.responses import ResponseSpec
from service.errors import SettingsError

ENV_PREFIX = "NNSTREAM_"

Positive = Annotated[int, Field(gt=0)]
Label = bool | int | float | str


def _known_optimizer(name: str) -> str:
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer; choose one of: {', '.join(sorted(OPTIMIZERS))}")
    return name


class _Section(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FeatureSettings(_Section):
    """One declared feature."""

    kind: Literal["number", "category", "hashed", "vector"]
    """`number` (also true/false), `category` (one column a value), `hashed`, or `vector` (a list of numbers)."""
    max_categories: Positive = 32
    """Columns of a category; values beyond them share `buckets` hashed columns."""
    buckets: Positive = 16
    """Hashed columns."""
    size: int = 0
    """Length of a vector."""


class OptimizerSettings(_Section):
    """How the network's parameters move."""

    name: Annotated[str, AfterValidator(_known_optimizer)] = "sgd"
    """`sgd`, `momentum`, `nesterov`, `adagrad`, `rmsprop`, `adam`, `adamw`, `nadam`, `amsgrad`, `ftrl` or `cocob`."""
    learning_rate: float | None = None
    """Step length; null takes the optimiser's default. `cocob` has none."""


class NetworkSettings(_Section):
    """The network. Inputs and outputs follow the stream."""

    hidden: tuple[Positive, ...] = (32,)
    """Units of each hidden layer; [] is a linear model."""
    activation: str = "relu"
    """`relu`, `tanh`, `sigmoid`, `identity`, `leaky_relu`, `elu`, `gelu`, `softplus` or `step`."""
    optimizer: OptimizerSettings = OptimizerSettings()
    """How the parameters move."""
    loss: Literal["squared", "absolute", "huber", "quantile"] = "squared"
    """Loss of a regression; a classification uses the log loss."""
    loss_shape: float = 1.0
    """Huber's δ (in standard deviations of the label) or the quantile τ."""
    l1: float = 0.0
    """L1 penalty on the weights."""
    l2: float = 0.0
    """L2 penalty on the weights."""
    dropout: float = 0.0
    """Share of hidden units left out while learning."""
    max_norm: float = 0.0
    """Longest incoming weight vector of a unit; 0 for no limit."""
    clip_norm: float = 5.0
    """Longest gradient; 0 for no limit. Without one a regression can run away."""
    seed: int = 0
    """Of the initial weights and of dropout."""


class ResponseSettings(_Section):
    """What the model does when its loss jumps."""

    policy: Literal["auto", "none", "faster", "rebirth", "background"] = "background"
    """`background`: a second learner begins at a warning and takes over once it is the better one. `rebirth`: the
    ensemble's quick members (or the one network) begin anew. `faster`: a higher learning rate for a while. `auto`:
    the ensemble begins its quick members anew when 512 events went badly; one network does nothing. `none`."""
    detector: Literal["adwin", "page_hinkley", "kswin", "ddm", "eddm", "hddm_a", "hddm_w"] = "page_hinkley"
    """The algorithm that notices the jump."""
    false_alarm_every: Annotated[float, Field(ge=2000)] = 100_000
    """Learned events of a stream that does not change, in which there is one needless response on average."""
    warning_every: Annotated[float, Field(ge=2000)] = 10_000
    """Likewise for needless warnings: they cost time, and change nothing."""
    factor: Annotated[float, Field(gt=0, le=100)] = 4.0
    """On the learning rate, of `faster`."""
    lasts: Positive = 1000
    """Learned events that `faster` lasts, and that the learner in the background has to become the better one."""

    @model_validator(mode="after")
    def _response_can_be(self) -> Self:
        ResponseSpec(**self.model_dump())
        return self


class ModelSettings(_Section):
    """What is learned."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "default"
    """Name in predictions, metrics and checkpoints. A new name starts a new model."""
    task: Literal["classification", "regression"] = "classification"
    """`classification` (two or more classes) or `regression` (one number)."""
    classes: tuple[Label, ...] = ()
    """Classes known from the start; others are added as they appear."""
    features: dict[str, FeatureSettings] | None = None
    """Declared features; other names are then ignored. null infers them from the stream."""
    memory: Annotated[float, Field(ge=2)] | None = None
    """Events that running means and spreads look back; null takes all alike."""
    confidence: Annotated[float, Field(gt=0, le=0.998)] | None = None
    """Publish with each prediction an interval or a set of classes that holds the label so often; 0.9 is nine times
    of ten. null publishes none."""
    learner: Literal["ensemble", "network"] = "ensemble"
    """`ensemble`: many small networks, mixed by what they are worth; nothing to tune. `network`: the one below."""
    network: NetworkSettings = NetworkSettings()
    """The network of `learner: network`; of the ensemble only the seed."""
    response: ResponseSettings = ResponseSettings()
    """What it does when its loss jumps."""


class TopicSettings(_Section):
    """The topics and how they are created when they are missing."""

    events: str = "events"
    """Labelled events in."""
    predictions: str = "predictions"
    """One prediction an event out, in the partition of the event."""
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


class KafkaSettings(_Section):
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


class DeliverySettings(_Section):
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


class LabelSettings(_Section):
    """Labels that come after their event."""

    max_wait_seconds: Annotated[float, Field(gt=0)] | None = 86_400.0
    """How long an event waits for its label, and a label for its event, by the log's timestamps; null: for ever."""
    max_pending: Positive = 100_000
    """Most events and labels of a partition that wait at a time; beyond it the oldest are given up."""
    max_pending_bytes: Positive = 256 * 2**20
    """Most bytes of them."""
    spill_after_bytes: Positive | None = None
    """Beyond so many bytes the oldest of them lie in a temporary file (SQLite); null keeps all in memory."""
    second: Literal["dead_letter", "correction"] = "dead_letter"
    """What a second label for the same event is: a dead letter, or a correction, which is learned too."""


class CheckpointSettings(_Section):
    """Where the model survives a restart."""

    url: str | None = None
    """A directory, or any fsspec URL (`s3://bucket/path`, …) that all workers of the group can reach. null: the topic
    `topics.checkpoints`."""
    every_events: Positive = 100_000
    """Events between checkpoints of a partition."""
    every_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Seconds between checkpoints of a partition that learned something."""
    keep: Annotated[int, Field(ge=2)] = 3
    """Checkpoints kept a partition."""


class ExplainSettings(_Section):
    """Explanations of predictions."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the events whose prediction is published with its explanation; which ones follows from their offsets
    and `model.network.seed`. 0 explains none."""
    method: Literal["integrated_gradients", "gradient_x_input"] = "integrated_gradients"
    """`integrated_gradients`: contributions that add up to the prediction. `gradient_x_input`: a fifth of the time,
    and only the direction at that point."""


class MonitorSettings(_Section):
    """How the model is watched."""

    window: Positive = 1000
    """Events that rolling scores look back."""
    enabled: bool = True
    """Keep scores and look for drift; false saves their time."""
    signals: tuple[Literal["loss", "error", "prediction", "features", "missing", "delay"], ...] = (
        "loss", "error", "prediction", "features", "missing", "delay",
    )  # fmt: skip
    """What may drift: the loss, the error, the distributions of what is predicted and of each feature, the share of
    missing values, and how late labels come. [] looks for no drift."""
    detector: Literal["adwin", "page_hinkley", "kswin", "ddm", "eddm", "hddm_a", "hddm_w"] = "adwin"
    """The algorithm that notices drift (River's). It sees one number for each 32 events: how their mean ranks among
    the blocks before."""
    false_alarm_every: Annotated[float, Field(ge=2000)] = 10_000_000
    """Events of a stream that does not change, in which all signals together give one false alarm on average."""
    detector_parameters: dict[str, bool | int | float | str] = {}
    """River's own parameters of the detector, instead of `false_alarm_every`."""
    cool_down_events: Annotated[int, Field(ge=0)] = 5_000
    """Events after an alert in which further detections count as the same change."""
    max_features: Annotated[int, Field(ge=0)] = 50
    """Features that are looked at; those that come later are not."""

    @model_validator(mode="after")
    def _detector_can_be(self) -> Self:
        DetectorSpec(self.detector, self.false_alarm_every, self.detector_parameters)
        return self


class HttpSettings(_Section):
    """The HTTP server."""

    enabled: bool = True
    """Serve health, metrics and predictions over HTTP."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port; 0 takes a free one and logs it."""
    ready_lag: Positive = 10_000
    """Events a partition may lie behind and still count as caught up."""


class LogSettings(_Section):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is written."""
    format: Literal["json", "console"] = "json"
    """`json`, one object a line, or `console` for people."""


class Settings(BaseSettings):
    """Everything `nnstream serve` can be told."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__", use_attribute_docstrings=True
    )

    model: ModelSettings = ModelSettings()
    """What is learned."""
    topics: TopicSettings = TopicSettings()
    """The topics."""
    kafka: KafkaSettings = KafkaSettings()
    """The connection to Kafka."""
    delivery: DeliverySettings = DeliverySettings()
    """What is promised about predictions and offsets."""
    labels: LabelSettings = LabelSettings()
    """Labels that come after their event."""
    checkpoint: CheckpointSettings = CheckpointSettings()
    """Where the model survives a restart."""
    explain: ExplainSettings = ExplainSettings()
    """Explanations of predictions."""
    monitor: MonitorSettings = MonitorSettings()
    """How the model is watched."""
    http: HttpSettings = HttpSettings()
    """The HTTP server."""
    log: LogSettings = LogSettings()
    """The log."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load_settings(path: Path | None) -> Settings:
    """Return the settings from a YAML file (None: defaults) and the environment.

    Raises:
        SettingsError: the file cannot be read, or a value is wrong; the message lists each with its place.
    """
    return settings_from(_read_yaml(path) if path is not None else {}, str(path) if path else "the settings")


def settings_from(data: dict[str, Any], origin: str = "the settings") -> Settings:
    """Return the settings from plain data and the environment; raises SettingsError like `load_settings`."""
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith(ENV_PREFIX) and name.partition("__")[0] not in known:
            raise SettingsError(f"environment variable {name} is no setting{_nearest(name, sorted(known))}")
    try:
        return Settings(**data)
    except ValidationError as error:
        lines = "\n".join(f"  {_problem(details)}" for details in error.errors(include_url=False))
        raise SettingsError(f"{origin} cannot be used:\n{lines}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}; give the path of a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise SettingsError(f"{path} must hold a mapping of sections such as `kafka:`, not {type(data).__name__}")
    return data


def _problem(details: Any) -> str:
    place = ".".join(str(part) for part in details["loc"])
    if details["type"] != "extra_forbidden":
        got = "" if place == "kafka.password" else f" (got {str(details['input'])[:60]!r})"
        return f"{place}: {details['msg']}{got}"
    section: Any = Settings
    for part in details["loc"][:-1]:
        field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
        section = field.annotation if field is not None else None
    names = sorted(section.model_fields) if hasattr(section, "model_fields") else sorted(FeatureSettings.model_fields)
    return f"{place}: unknown setting{_nearest(str(details['loc'][-1]), names)}"


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; valid here: {', '.join(names)}"
