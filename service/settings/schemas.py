"""The schema registry of Avro and Protobuf."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator

from service.settings.section import Section


class SchemaSettings(Section):
    """The schema registry, for `topics.format` or `topics.predictions_format` `avro` and `protobuf`."""

    url: str | None = None
    """Of a registry with Confluent's interface, for example `http://registry:8081`; several with commas."""
    username: str | None = None
    """For HTTP basic authentication."""
    password: SecretStr | None = None
    """For it; better given as NNSTREAM_SCHEMAS__PASSWORD than in a file."""
    ca_file: Path | None = None
    """Certificates to trust (PEM)."""
    auto_register: bool = True
    """Register the schemas of what is published, under `<topic>-value`; false stops with an error where they are not
    there."""
    id_field: str = "id"
    """Field with the event's id."""
    ts_field: str = "ts"
    """Field with its time: ms since 1970, or any timestamp type."""
    label_field: str = "label"
    """Field with its label."""
    features_field: str = "features"
    """Record or map with the features. In a schema that has no such field, all others are features."""

    @field_validator("url")
    @classmethod
    def _holds_no_password(cls, url: str | None) -> str | None:
        for each in (url or "http://registry").split(","):
            parts = urlsplit(each.strip())
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("must begin with http:// or https://, and name a host")
            if parts.username is not None or parts.password is not None:
                raise ValueError("must hold no user and password: set schemas.username and schemas.password")
        return url

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [self.id_field, self.ts_field, self.label_field, self.features_field]
        if len(set(names)) < len(names):
            raise ValueError("id_field, ts_field, label_field and features_field must be four fields")
        return self
