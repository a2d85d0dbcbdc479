"""Avro: a schema becomes a reader of records, or a reason why it is none."""

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import SchemaParseException, UnknownType

from service.formats.problems import NoEventError
from service.formats.shape import FieldNames, Fields, shaper
from service.formats.wire_schema import Written

# whatever a reader that was given other bytes may come upon
_WRONG_BYTES = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, TypeError,
    ValueError,
)  # fmt: skip
_TICKS_PER_MS = {
    f"{local}timestamp-{unit}": ticks
    for local in ("", "local-")
    for unit, ticks in (("micros", 1_000), ("nanos", 1_000_000))
}
_Named = dict[str, Any]


def parsed(schema: Written) -> Any:
    """Return a schema for fastavro, by which times and the like are the whole numbers that were written.

    Raises:
        NoEventError: it is no Avro schema.
    """
    return _parse(schema, _raw)[0]


def avro_reader(schema: Written, names: FieldNames) -> Callable[[bytes], dict[str, Any]]:
    """Return what reads records of a schema as JSON would hold them.

    Raises:
        NoEventError: it is no Avro schema, or its records can be no events.
    """
    fields = _fields(schema, names)
    plain, shape = parsed(schema), shaper(names, fields)

    def read(value: bytes) -> dict[str, Any]:
        stream = BytesIO(value)
        try:
            found: Any = schemaless_reader(stream, plain, None)
        except _WRONG_BYTES as error:
            said = "the value ends too early" if isinstance(error, EOFError) else type(error).__name__
            raise NoEventError("unreadable", f"not Avro of its schema: {said}") from None
        if stream.tell() != len(value):
            rest = len(value) - stream.tell()
            raise NoEventError("unreadable", f"not Avro of its schema: {rest} bytes are left at the end")
        return shape(found)

    return read


def _parse(schema: Written, prepare: Callable[[Any], Any]) -> tuple[Any, _Named]:
    named: _Named = {}
    try:
        for text in schema.references.values():
            parse_schema(prepare(_json(text)), named)
        return parse_schema(prepare(_json(schema.text)), named), named
    except (SchemaParseException, UnknownType, LookupError, TypeError, ValueError, RecursionError) as error:
        said = str(error) or type(error).__name__
        raise NoEventError("unreadable", f"its schema is no Avro schema: {said[:200]}") from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # the name of a primitive type needs no quotes


def _raw(schema: Any) -> Any:
    """Return a schema without the logical types of numbers and texts; decimals stay, they are bytes otherwise."""
    if isinstance(schema, list):
        return [_raw(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = schema.get("logicalType") == "decimal"
    parts = {"type", "items", "values", "fields"}
    return {
        key: _raw(value) if key in parts else value for key, value in schema.items() if kept or key != "logicalType"
    }


def _fields(schema: Written, names: FieldNames) -> Fields:
    top, named = _parse(schema, lambda each: each)
    top = _resolved(top, named)
    if not isinstance(top, dict) or top["type"] not in {"record", "error"}:
        raise NoEventError("unreadable", "its schema is no record; an event is a record with features")
    scan = _Scan(named)
    for field in top["fields"]:
        scan.field(field["name"], field["type"], (top["name"],))
    found = {field["name"]: field["type"] for field in top["fields"]}
    nested = [name for name in scan.nested if name != names.features]
    apart = names.features in found
    inner = [name for name in nested if name.startswith(f"{names.features}.") or not apart]
    ticks = next(
        (_TICKS_PER_MS[kind] for kind in _logical(found.get(names.ts), named) if kind in _TICKS_PER_MS), None
    )
    return Fields(list(found), frozenset(nested), plain=not inner and not scan.decimals, ticks_per_ms=ticks)


def _resolved(schema: Any, named: _Named) -> Any:
    return named.get(schema, schema) if isinstance(schema, str) else schema


def _branches(schema: Any, named: _Named) -> Iterable[Any]:
    schema = _resolved(schema, named)
    return [_resolved(each, named) for each in schema] if isinstance(schema, list) else [schema]


def _logical(schema: Any, named: _Named) -> Iterable[str]:
    return [str(each.get("logicalType")) for each in _branches(schema, named) if isinstance(each, dict)]


class _Scan:
    """Looks through a schema for what has to be taken apart, and for what must not be read at all.

    Args:
        named: its named types.

    Attributes:
        nested: dotted names of fields with records or maps.
        decimals: dotted names of fields with decimals.
    """

    def __init__(self, named: _Named) -> None:
        self.nested: set[str] = set()
        self.decimals: set[str] = set()
        self._named = named

    def field(self, place: str, schema: Any, within: tuple[str, ...]) -> None:
        """Look at the type of a field; `within`: the records around it."""
        for each in _branches(schema, self._named):
            kind = each["type"] if isinstance(each, dict) else each
            if isinstance(each, dict) and each.get("logicalType") == "decimal":
                self.decimals.add(place)
            if kind in {"record", "error"}:
                if each["name"] in within:
                    raise NoEventError("unreadable", f"its schema has the record {each['name']} within itself")
                self.nested.add(place)
                for inner in each["fields"]:
                    self.field(f"{place}.{inner['name']}", inner["type"], (*within, each["name"]))
            elif kind == "map":
                self.nested.add(place)
                self.field(f"{place}.*", each["values"], within)
            elif kind == "array":
                self.field(f"{place}[]", each["items"], within)
                if self._weightless(each["items"]):
                    raise NoEventError("unreadable", f"its schema has, in {place}, a list of what takes no bytes")

    def _weightless(self, schema: Any) -> bool:
        """Return whether values of a type take no bytes: of them a few bytes may announce any number."""
        schema = _resolved(schema, self._named)
        if isinstance(schema, list):
            return False
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind == "fixed":
            return not schema["size"]
        fields = schema["fields"] if kind in {"record", "error"} else ()
        return kind == "null" or (kind in {"record", "error"} and all(self._weightless(f["type"]) for f in fields))
