"""An event is a record of a schema that lies in a registry: Confluent's wire format, Avro or Protobuf.

The id before each value names the schema that it was written with, so each record is read by its own, and a stream
goes on when its schema changes. Which of its fields are the event, `service.formats.shape` says.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import msgspec

from service.events import Event, LateLabel
from service.formats.problems import NoEventError, explain
from service.formats.wire import WireEvent, WireLabel
from service.formats.wire_schema import HEADER_BYTES, Schemas, Written, schema_id_of
from service.records import Headers, Record

Read = Callable[[bytes], dict[str, Any]]
Compile = Callable[[Written], Read]
Write = Callable[[dict[str, Any]], bytes]
_convert = msgspec.convert


class RegisteredFormat:
    """Implements `service.formats.Format`; every method raises RegistryAwayError where the registry is.

    Args:
        kind: of schemas, as registries call it.
        schemas: the registry.
        compiled: makes a reader of a schema, or raises NoEventError.
        writer: makes what writes events; called before the first.
    """

    def __init__(self, kind: str, schemas: Schemas, compiled: Compile, writer: Callable[[], Write]) -> None:
        self._kind, self._schemas, self._compile, self._new_writer = kind, schemas, compiled, writer
        self._readers: dict[int, Read] = {}
        self._write: Write | None = None

    def read(self, record: Record, *, labels_only: bool) -> WireEvent | WireLabel | Event | LateLabel:  # noqa: D102
        return self._read(record.value or b"", labels_only=labels_only)

    def read_all(self, records: Sequence[Record]) -> list[WireEvent] | None:  # noqa: D102
        try:
            found = _convert([self._plain(record.value or b"") for record in records], list[WireEvent])
        except (NoEventError, msgspec.ValidationError):
            return None
        return found if all(each.features is not msgspec.UNSET for each in found) else None

    def features_of(self, value: bytes) -> dict[str, Any]:  # noqa: D102
        found: Any = self._read(value, labels_only=False)
        return dict(found.features)

    def label_of(self, value: bytes) -> Any:  # noqa: D102
        return self._read(value, labels_only=True).label

    def write(self, event: dict[str, Any]) -> tuple[bytes, Headers]:  # noqa: D102
        if self._write is None:
            self._write = self._new_writer()
        return self._write(event), ()

    def _read(self, value: bytes, *, labels_only: bool) -> WireEvent | WireLabel | Event | LateLabel:
        plain = self._plain(value)
        try:
            if labels_only:
                return _convert(plain, WireLabel)
            found = _convert(plain, WireEvent)
        except msgspec.ValidationError:
            pass
        else:
            if not found.is_neither:
                return found
        return explain(lambda kind: kind.model_validate(plain), labels_only=labels_only)

    def _plain(self, value: bytes) -> dict[str, Any]:
        name = schema_id_of(value)
        read = self._readers.get(name) or self._new_reader(name)
        try:
            return read(value[HEADER_BYTES:])
        except NoEventError as error:
            raise NoEventError(error.problem, f"schema {name}: {error.reason}") from None

    def _new_reader(self, name: int) -> Read:
        """Return a reader; of a schema that can be none, one that says so. What is not there may come later."""
        schema = self._schemas.fetch(name)
        if schema is None:
            raise NoEventError("unreadable", f"there is no schema {name} in the registry")
        if schema.kind != self._kind:
            reader = _refusing(NoEventError("unreadable", f"it is of the type {schema.kind}, not {self._kind}"))
        else:
            try:
                reader = self._compile(schema)
            except NoEventError as error:
                reader = _refusing(error)
        self._readers[name] = reader
        return reader


def _refusing(error: NoEventError) -> Read:
    def read(value: bytes) -> NoReturn:
        del value
        raise NoEventError(error.problem, error.reason)

    return read
