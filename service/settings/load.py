"""All settings of the service: from a YAML file, then from the environment, which wins.

`NNSTREAM_KAFKA__BOOTSTRAP_SERVERS=broker:9092` sets `kafka.bootstrap_servers`. This is the only module that reads
the environment. docs/configuration.md is made from the descriptions in this package.
"""

import difflib
import os
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.errors import SettingsError
from service.settings.kafka import DeliverySettings, KafkaSettings, TopicSettings
from service.settings.model import FeatureSettings, ModelSettings, OnnxSettings
from service.settings.schemas import SchemaSettings
from service.settings.state import CheckpointSettings, LabelSettings
from service.settings.view import ExplainSettings, HttpSettings, LogSettings, MonitorSettings

ENV_PREFIX = "NNSTREAM_"
_KINDS_OF_FEATURES = ("declared", "onnx")  # pydantic names the kind in the place of a problem
_SECRET = {"kafka", "kafka.password", "schemas", "schemas.password", "schemas.url"}  # what stands there is not shown


class Settings(BaseSettings):
    """Everything `nnstream serve` can be told."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    model: ModelSettings = ModelSettings()
    """What is learned."""
    topics: TopicSettings = TopicSettings()
    """The topics."""
    kafka: KafkaSettings = KafkaSettings()
    """The connection to Kafka."""
    schemas: SchemaSettings = SchemaSettings()
    """The schema registry, for `topics.format` or `topics.predictions_format` `avro` and `protobuf`."""
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

    def of_worker(self, number: int) -> Self:
        """Return the settings of one of several workers on this machine: a port and a static member each."""
        http, kafka = self.http, self.kafka
        if http.port:
            http = http.model_copy(update={"port": http.port + number})
        if kafka.instance_id is not None:
            kafka = kafka.model_copy(update={"instance_id": f"{kafka.instance_id}-{number}"})
        return self.model_copy(update={"http": http, "kafka": kafka})

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
    path = [part for part in details["loc"] if part not in _KINDS_OF_FEATURES]
    place = ".".join(map(str, path))
    if details["type"] != "extra_forbidden":
        got = "" if not place or place in _SECRET else f" (got {str(details['input'])[:60]!r})"
        return f"{place}: {details['msg']}{got}"
    section: Any = Settings
    for part in details["loc"][:-1]:
        field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
        section = field.annotation if field is not None else None
    feature = OnnxSettings if "onnx" in details["loc"] else FeatureSettings
    names = sorted((section if hasattr(section, "model_fields") else feature).model_fields)
    return f"{place}: unknown setting{_nearest(str(details['loc'][-1]), names)}"


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; valid here: {', '.join(names)}"
