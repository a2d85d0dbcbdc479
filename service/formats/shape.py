"""Which fields of a record are an event: found by their names, whatever else its schema has."""

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any, NamedTuple

from service.formats.problems import NoEventError

Shaper = Callable[[dict[str, Any]], dict[str, Any]]


class FieldNames(NamedTuple):
    """What the fields are called.

    Attributes:
        id: of the event's id.
        ts: of its time.
        label: of its label.
        features: of a record or map that holds the features; in a schema without it, they are all other fields.
    """

    id: str = "id"
    ts: str = "ts"
    label: str = "label"
    features: str = "features"


class Fields(NamedTuple):
    """What a schema says about its records.

    Attributes:
        names: of all fields.
        nested: dotted names of fields that hold records or maps, which are taken apart.
        plain: whether all values within the features are of the types that JSON has, and no record.
        ticks_per_ms: of the field with the time; None for whole milliseconds.
    """

    names: Collection[str]
    nested: Collection[str]
    plain: bool
    ticks_per_ms: int | None = None


def shaper(names: FieldNames, fields: Fields) -> Shaper:
    """Return what makes of a record's fields what JSON would hold: `id`, `ts`, `label` and `features`."""
    apart = names.features in fields.names
    if apart and fields.plain and fields.ticks_per_ms is None and names == FieldNames():
        return _without_null
    own = {names.id, names.ts, names.label}
    others = [name for name in fields.names if name not in own]

    def shape(record: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, key in (("id", names.id), ("ts", names.ts), ("label", names.label)):
            value = record.get(key)
            if value is not None:
                out[name] = _number(value)
        if fields.ticks_per_ms is not None and type(out.get("ts")) is int:
            out["ts"] //= fields.ticks_per_ms
        if apart:
            prefix, features = f"{names.features}.", record.get(names.features)
        else:
            prefix, features = "", {name: record[name] for name in others if name in record} if others else None
        if isinstance(features, dict) and not fields.plain:
            out["features"] = {}
            _flatten(features, prefix, "", fields.nested, out["features"])
        elif features is not None:
            out["features"] = features
        return out

    return shape


def _without_null(record: dict[str, Any]) -> dict[str, Any]:
    if record.get("features") is None:
        record.pop("features", None)
    return record


def _flatten(values: dict[str, Any], place: str, prefix: str, nested: Collection[str], out: dict[str, Any]) -> None:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            _flatten(value, place, f"{name}.", nested, out)
        elif name in out:
            raise NoEventError("features", f"features.{name}: two fields would be this feature")
        elif value is not None or f"{place}{name}" not in nested:
            out[name] = _number(value)


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [float(each) if isinstance(each, Decimal) else each for each in value]
    return value
