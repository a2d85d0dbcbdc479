"""Protobuf: a message type becomes a reader of messages as plain data.

A field that is not set is a missing value where Protobuf can tell: `optional`, messages, `oneof`. A message that
consists of one `oneof` is whatever is set in it, as a union is in Avro.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import DecodeError

from service.formats.descriptors import file_of, message_at
from service.formats.problems import NoEventError
from service.formats.shape import FieldNames, Fields, shaper
from service.formats.wire_schema import Written

_Convert = Callable[[Any], Any]
_MOST_INDEXES = 16
_LONGEST_VARINT = 10
_MESSAGE, _ENUM = 11, 14  # descriptor.proto, FieldDescriptorProto.Type
_WRAPPERS = {f"google.protobuf.{name}Value" for name in (
    "Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes",
)}  # fmt: skip


def protobuf_reader(schema: Written, names: FieldNames) -> Callable[[bytes], dict[str, Any]]:
    """Return what reads message indexes and message as JSON would hold them.

    Raises:
        NoEventError: it is no Protobuf file.
    """
    file = file_of(schema)
    readers: dict[tuple[int, ...], Callable[[bytes], dict[str, Any]]] = {}

    def read(value: bytes) -> dict[str, Any]:
        path, start = message_path(value)
        if path not in readers:
            readers[path] = _message_reader(message_at(file, path), names)
        return readers[path](value[start:])

    read_first = readers[(0,)] = _message_reader(message_at(file, (0,)), names)
    return lambda value: read_first(value[1:]) if value[:1] == b"\0" else read(value)


def message_path(value: bytes) -> tuple[tuple[int, ...], int]:
    """Return which message of its file a value is, and where it begins: zigzag varints, their number first."""
    numbers: list[int] = []
    place, wanted = 0, 1
    while len(numbers) < wanted:
        number = shift = 0
        while True:
            if place >= len(value) or shift >= 7 * _LONGEST_VARINT:
                raise NoEventError("unreadable", "the value ends before the message, or its indexes are damaged")
            byte = value[place]
            number |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:  # noqa: PLR2004  # the last of a varint
                break
        numbers.append((number >> 1) ^ -(number & 1))
        if len(numbers) == 1:
            wanted = 1 + numbers[0]
            if not 0 <= numbers[0] <= _MOST_INDEXES:
                raise NoEventError("unreadable", f"{numbers[0]} can be no number of message indexes")
    return tuple(numbers[1:]) or (0,), place


def _message_reader(kind: Any, names: FieldNames) -> Callable[[bytes], dict[str, Any]]:
    make: Any = message_factory.GetMessageClass(kind)
    fields = Fields([field.name for field in kind.fields], (), plain=_is_plain(kind, names))
    convert, shape = Converters().record(kind), shaper(names, fields)
    unset = {field.name: _unset(field) for field in kind.fields if not field.has_presence}
    absent = [(name, unset[name]) for name in (names.id, names.ts) if unset.get(name) in {"", 0}]
    absent = [(name, none) for name, none in absent if name == names.ts or none == ""]

    def read(value: bytes) -> dict[str, Any]:
        try:
            found = convert(make.FromString(value))
        except DecodeError as error:
            raise NoEventError("unreadable", f"not Protobuf of its schema: {error}") from None
        for name, none in absent:
            if found[name] == none:
                found[name] = None
        return shape(found)

    return read


def _unset(field: Any) -> Any:
    return None if field.is_repeated or field.type == _MESSAGE else field.default_value


def _is_record(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and not _is_union(kind) and not kind.full_name.startswith("google.protobuf.")


def _is_plain(kind: Any, names: FieldNames) -> bool:
    """Return whether the features are in a map or message of their own, without others in it."""
    features = kind.fields_by_name.get(names.features)
    if features is None:
        own = {names.id, names.ts, names.label}
        return not any(field.message_type and not _is_leaf(field) for field in kind.fields if field.name not in own)
    inner = features.message_type
    if inner is None:
        return True
    fields = [inner.fields_by_name["value"]] if _is_map(features) else inner.fields
    return all(field.message_type is None or _is_leaf(field) for field in fields)


def _is_leaf(field: Any) -> bool:
    return not _is_record(field) and field.message_type.full_name not in {
        "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.Any", "google.protobuf.FieldMask",
    }  # fmt: skip


def _is_map(field: Any) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def _is_union(kind: Any) -> bool:
    return len(kind.oneofs) == 1 and len(kind.fields) == len(kind.oneofs[0].fields) and not _optional(kind.fields[0])


def _optional(field: Any) -> bool:
    """Return whether a field stands in a `oneof` only because it is `optional`."""
    return field.containing_oneof is not None and field.containing_oneof.name == f"_{field.name}"


class Converters:
    """Makes functions that turn messages into plain data, one a message type."""

    def __init__(self) -> None:
        self._made: dict[str, _Convert] = {}

    def message(self, kind: Any) -> _Convert:
        """Return what makes a dict of a message, or of a union what is set in it."""
        known = _well_known(kind.full_name)
        if known is not None:
            return known
        if kind.full_name not in self._made:
            # a message may hold others of its own type, which are made by the time that they are met
            self._made[kind.full_name] = lambda message: self._made[kind.full_name](message)  # noqa: PLW0108
            self._made[kind.full_name] = self._union(kind) if _is_union(kind) else self.record(kind)
        return self._made[kind.full_name]

    def _union(self, kind: Any) -> _Convert:
        name = kind.oneofs[0].name
        values = {field.name: self._value(field) for field in kind.fields}

        def convert(message: Any) -> Any:
            which = message.WhichOneof(name)
            return None if which is None else values[which](getattr(message, which))

        return convert

    def record(self, kind: Any) -> _Convert:
        """Return what makes a dict of a message, whatever it consists of."""
        fields = [
            (field.name, field.has_presence, _is_record(field) and not field.is_repeated, self._field(field))
            for field in kind.fields
        ]

        def convert(message: Any) -> dict[str, Any]:
            return {
                name: value(getattr(message, name)) if not optional or message.HasField(name) else None
                for name, optional, nested, value in fields
                if not nested or message.HasField(name)  # its fields would be features; it is none
            }

        return convert

    def _field(self, field: Any) -> _Convert:
        if _is_map(field):
            value = self._value(field.message_type.fields_by_name["value"])
            # in the order of the keys: the order in memory is another in each process
            return lambda found: {str(key): value(found[key]) for key in sorted(found)}
        value = self._value(field)
        return (lambda found: [value(each) for each in found]) if field.is_repeated else value

    def _value(self, field: Any) -> _Convert:
        if field.type == _ENUM:
            names = {each.number: each.name for each in field.enum_type.values}
            return lambda number: names.get(number, str(number))
        return self.message(field.message_type) if field.message_type is not None else _same


def _same(value: Any) -> Any:
    return value


def _well_known(name: str) -> _Convert | None:
    if name in _WRAPPERS:
        return lambda message: message.value
    return {
        "google.protobuf.Timestamp": lambda message: message.seconds * 1000 + message.nanos // 1_000_000,
        "google.protobuf.Duration": lambda message: message.seconds + message.nanos / 1e9,
        "google.protobuf.Struct": _struct,
        "google.protobuf.Value": _json_value,
        "google.protobuf.ListValue": lambda message: [_json_value(each) for each in message.values],
    }.get(name)


def _struct(message: Any) -> dict[str, Any]:
    return {key: _json_value(message.fields[key]) for key in sorted(message.fields)}


def _json_value(message: Any) -> Any:
    match message.WhichOneof("kind"):
        case None | "null_value":
            return None
        case "struct_value":
            return _struct(message.struct_value)
        case "list_value":
            return [_json_value(each) for each in message.list_value.values]
        case kind:
            return getattr(message, kind)
