"""All settings of the service: one section of the YAML file a class, and how they are read."""

from service.settings.kafka import DeliverySettings, KafkaSettings, TopicSettings
from service.settings.load import ENV_PREFIX, Settings, load_settings, settings_from
from service.settings.model import (
    FeatureSettings,
    ModelSettings,
    NetworkSettings,
    OnnxSettings,
    OptimizerSettings,
    ResponseSettings,
)
from service.settings.schemas import SchemaSettings
from service.settings.state import CheckpointSettings, LabelSettings
from service.settings.view import ExplainSettings, HttpSettings, LogSettings, MonitorSettings

__all__ = [
    "ENV_PREFIX",
    "CheckpointSettings",
    "DeliverySettings",
    "ExplainSettings",
    "FeatureSettings",
    "HttpSettings",
    "KafkaSettings",
    "LabelSettings",
    "LogSettings",
    "ModelSettings",
    "MonitorSettings",
    "NetworkSettings",
    "OnnxSettings",
    "OptimizerSettings",
    "ResponseSettings",
    "SchemaSettings",
    "Settings",
    "TopicSettings",
    "load_settings",
    "settings_from",
]
