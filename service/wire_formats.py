"""What reads events and writes predictions, as the settings ask for it; the codecs of a registry are an extra."""

from collections.abc import Callable
from typing import Any

from service.errors import RegistryError, SettingsError
from service.formats import Format
from service.formats.known import FORMATS, REGISTERED
from service.formats.own_schemas import Name, own_schema, own_writer
from service.formats.problems import NoEventError
from service.formats.registered import Compile, RegisteredFormat
from service.formats.shape import FieldNames
from service.formats.wire_schema import Schemas, Written
from service.settings import SchemaSettings, Settings

Write = Callable[[dict[str, Any]], bytes]


def needs_registry(settings: Settings) -> str | None:
    """Return the setting that asks for a schema registry.

    Raises:
        SettingsError: none is named.
    """
    topics = settings.topics
    asking = {"topics.format": topics.format, "topics.predictions_format": topics.written_as}
    wanted = next((f"{name}: {form}" for name, form in asking.items() if form in REGISTERED), None)
    if wanted is not None and settings.schemas.url is None:
        raise SettingsError(f"{wanted} needs a schema registry; set schemas.url")
    return wanted


def event_format(settings: Settings, schemas: Schemas | None) -> Format:
    """Return what reads and writes events."""
    name = settings.topics.format
    if name not in REGISTERED:
        return FORMATS[name]()
    found, kind = _there(schemas), REGISTERED[name]
    subject = f"{settings.topics.events}-value"
    return RegisteredFormat(
        kind, found, _compile(kind, settings.schemas), lambda: _writer("event", kind, found, subject)
    )


def prediction_writer(settings: Settings, schemas: Schemas | None) -> Write | None:
    """Return what writes predictions, whose schema is registered now; None where they stay JSON.

    Raises:
        RegistryError: the registry refuses the schema.
    """
    kind = REGISTERED.get(settings.topics.written_as)
    if kind is None:
        return None
    return _writer("prediction", kind, _there(schemas), f"{settings.topics.predictions}-value")


def check_newest(settings: Settings, newest: Callable[[str], Written | None]) -> None:
    """Look at the newest schemas of what comes in, where they have any under the topics' names.

    Args:
        settings: of the service.
        newest: returns the newest schema of a subject, or None.

    Raises:
        RegistryError: by one of them nothing could be read.
    """
    topics, kind = settings.topics, REGISTERED.get(settings.topics.format)
    if kind is None:
        return
    for topic in (topics.events, topics.labels):
        schema = None if topic is None else newest(f"{topic}-value")
        if schema is None:
            continue
        problem = _problem(schema, kind, settings.schemas)
        if problem is not None:
            raise RegistryError(
                f"by the newest schema of {topic}-value in the registry nothing can be read: {problem}; "
                "mend the schema, or set topics.format"
            )


def _problem(schema: Written, kind: str, settings: SchemaSettings) -> str | None:
    if schema.kind != kind:
        return f"it is of the type {schema.kind}, not {kind}"
    try:
        _compile(kind, settings)(schema)
    except NoEventError as error:
        return error.reason
    return None


def _there(schemas: Schemas | None) -> Schemas:
    if schemas is None:
        raise SettingsError("a format with a schema registry needs schemas.url")
    return schemas


def _writer(name: Name, kind: str, schemas: Schemas, subject: str) -> Write:
    return own_writer(name, kind, schemas.register(subject, own_schema(name, kind)))


def _compile(kind: str, settings: SchemaSettings) -> Compile:
    names = FieldNames(settings.id_field, settings.ts_field, settings.label_field, settings.features_field)
    if kind == "AVRO":
        from service.formats.avro import avro_reader  # noqa: PLC0415  # an extra

        return lambda schema: avro_reader(schema, names)
    from service.formats.protobuf import protobuf_reader  # noqa: PLC0415  # an extra

    return lambda schema: protobuf_reader(schema, names)
