"""The service's own schemas: events as `nnstream produce` writes them, and predictions."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, Literal

from service.errors import DataError
from service.formats.wire_schema import Written, header

Name = Literal["event", "prediction"]
_SUFFIXES = {"AVRO": "avsc", "PROTOBUF": "proto"}
_LARGEST = 2**63
_NO_ROOM = (ValueError, TypeError, OverflowError, LookupError)


@cache
def own_schema(name: Name, kind: str) -> Written:
    """Return one of the service's own schemas."""
    path = files("service.formats") / "schemas" / f"{name}.{_SUFFIXES[kind]}"
    return Written(kind, path.read_text(encoding="utf-8"))


def own_writer(name: Name, kind: str, schema_id: int) -> Callable[[dict[str, Any]], bytes]:
    """Return what writes events or predictions, given as JSON would hold them, by the own schema of that id.

    It raises DataError where the schema has no room for a value.
    """
    encode = _avro_encoder(name) if kind == "AVRO" else _protobuf_encoder(name)
    before = header(schema_id)

    def write(record: dict[str, Any]) -> bytes:
        try:
            return before + encode(record)
        except _NO_ROOM as error:
            raise DataError(f"{name} {record.get('id')!r} does not fit the schema: {error}; take json") from None

    return write


def _avro_encoder(name: Name) -> Callable[[dict[str, Any]], bytes]:
    from fastavro import schemaless_writer  # noqa: PLC0415  # an extra

    from service.formats.avro import parsed  # noqa: PLC0415

    schema = parsed(own_schema(name, "AVRO"))

    def encode(record: dict[str, Any]) -> bytes:
        out = BytesIO()
        schemaless_writer(out, schema, record)
        return out.getvalue()

    return encode


def _protobuf_encoder(name: Name) -> Callable[[dict[str, Any]], bytes]:
    from google.protobuf import message_factory  # noqa: PLC0415  # an extra

    from service.formats.descriptors import file_of  # noqa: PLC0415

    file = file_of(own_schema(name, "PROTOBUF"))
    types = {kind: message_factory.GetMessageClass(each) for kind, each in file.message_types_by_name.items()}

    def event(record: dict[str, Any]) -> bytes:
        fields = record | {key: _value(record[key]) for key in ("id", "label") if key in record}
        if "features" not in record:
            return b"\2\2" + bytes(types["LateLabel"](**fields).SerializeToString())  # the message with index 1
        fields["features"] = {key: _value(each) for key, each in record["features"].items()}
        return b"\0" + bytes(types["Event"](**fields).SerializeToString(deterministic=True))

    def prediction(record: dict[str, Any]) -> bytes:
        fields = record | {key: _value(record[key]) for key in ("id", "prediction", "label") if key in record}
        if "prediction_set" in record:
            fields["prediction_set"] = {"values": [_value(each) for each in record["prediction_set"]]}
        if "label" in record.get("explanation", ()):
            fields["explanation"] = record["explanation"] | {"label": _value(record["explanation"]["label"])}
        return b"\0" + bytes(types["Prediction"](**fields).SerializeToString(deterministic=True))

    return event if name == "event" else prediction


def _value(value: Any) -> dict[str, Any]:
    """Return the fields of a message Value."""
    match value:
        case None:
            return {}
        case bool():
            return {"flag": value}
        case int():
            return {"whole": value}
        case float():
            return {"number": value}
        case str():
            return {"text": value}
    return {"numbers": {"values": [_element(each) for each in value]}}


def _element(number: float | None) -> dict[str, Any]:
    return {"null_value": 0} if number is None else {"number_value": number}


def within_reach(record: dict[str, Any]) -> dict[str, Any]:
    """Return a prediction in which whole numbers beyond 64 bits, which JSON has, are texts."""

    def fits(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fits(each) for key, each in value.items()}
        if isinstance(value, list):
            return [fits(each) for each in value]
        return str(value) if isinstance(value, int) and not -_LARGEST <= value < _LARGEST else value

    return {key: fits(value) for key, value in record.items()}
