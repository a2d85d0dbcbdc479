"""Stage 2: bytes to events, or to a problem that has a name. Pure; a whole poll at a time.

`service.events.Event` (pydantic) says what an event is; msgspec reads what is right at a fifteenth of the cost,
and pydantic is asked only about what msgspec refused, for its reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import ValidationError

from nnstream.errors import LabelError
from service.events import Event, Problem
from service.records import Record, Refused

_Value = bool | int | float | str | list[int | float | None] | None


class _WireEvent(msgspec.Struct):
    features: dict[str, _Value]
    id: str | int | None = None
    ts: int | None = None
    label: bool | int | float | str | None = None


_decoder = msgspec.json.Decoder(_WireEvent)
_NESTED = 190  # pydantic takes 200 levels; how many msgspec takes depends on the caller's stack


@dataclass
class Decoded:
    """The events of a batch in columns, in log order, and what was refused.

    Attributes:
        records: the record each event came in.
        ids: of each event; its position where it has none of its own.
        timestamps: ms since 1970 of each event.
        features: of each event.
        labels: of each event, None where it has none.
        refused: records that hold no event.
    """

    records: list[Record] = field(default_factory=list)
    ids: list[str | int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def add(self, record: Record, event: _WireEvent | Event, default_id: str) -> None:
        """Append an event."""
        self.records.append(record)
        self.ids.append(default_id if event.id is None else event.id)
        self.timestamps.append(record.timestamp if event.ts is None else event.ts)
        self.features.append(event.features)
        self.labels.append(event.label)


def decode(
    records: Sequence[Record], where: str, max_event_bytes: int, check_label: Callable[[Any], None]
) -> Decoded:
    """Return the events of `records`, each record in exactly one of `records` and `refused`.

    Args:
        records: of one partition, in offset order.
        where: `topic/partition`, for default ids.
        max_event_bytes: larger values are refused unread.
        check_label: raises a LabelError when a label does not fit the task.
    """
    decoded = Decoded()
    for record in records:
        try:
            event = _event(record.value, max_event_bytes)
            if event.label is not None:
                check_label(event.label)
        except _NoEventError as error:
            decoded.refused.append(Refused(record, error.problem, error.reason))
        except LabelError as error:
            decoded.refused.append(Refused(record, "label", str(error)))
        else:
            decoded.add(record, event, f"{where}/{record.offset}")
    return decoded


class _NoEventError(Exception):
    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem: Problem = problem
        self.reason = reason


def _event(value: bytes | None, max_event_bytes: int) -> _WireEvent | Event:
    if value is None:
        raise _NoEventError("tombstone", "the value is null; an event is a JSON object")
    if len(value) > max_event_bytes:
        limit = "the limit delivery.max_event_bytes"
        raise _NoEventError("too_large", f"the value has {len(value)} bytes, more than {limit} of {max_event_bytes}")
    if value.count(b"[") + value.count(b"{") > _NESTED:
        return _explain(value)
    try:
        value.decode()  # msgspec does not look into fields that are ignored
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _explain(value)


def _explain(value: bytes) -> Event:
    """Return the event after all, or raise the reason why this is none."""
    if not value.strip():
        raise _NoEventError("empty", "the value is empty; an event is a JSON object")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _NoEventError("not_utf8", f"not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        return Event.model_validate_json(value)
    except ValidationError as error:
        raise _no_event(error) from None


def _no_event(error: ValidationError) -> _NoEventError:
    """Return the first problem of a value, in words that name the field."""
    problems = error.errors(include_url=False)
    first: Any = problems[0]
    if first["type"] == "json_invalid":
        return _NoEventError("not_json", f"not JSON: {first['ctx']['error']}")
    if not first["loc"]:
        return _NoEventError("invalid", f"expected a JSON object, got {type(first['input']).__name__}")
    name = first["loc"][0]
    if name == "features" and len(first["loc"]) > 1:
        return _NoEventError("features", _feature_problem(str(first["loc"][1]), problems))
    if first["type"] == "missing":
        return _NoEventError("invalid", f"{name}: missing; an event needs an object of features")
    if name == "label":
        return _NoEventError(
            "label", f"label: expected a text, a number, true or false, got {_shown(first['input'])}"
        )
    expected = {"features": "an object", "id": "a text or a whole number", "ts": "a whole number (ms since 1970)"}
    return _NoEventError("invalid", f"{name}: expected {expected[str(name)]}, got {_shown(first['input'])}")


def _feature_problem(name: str, problems: Sequence[Any]) -> str:
    own = [p for p in problems if p["loc"][:2] == ("features", name)]
    if any(p["type"] == "finite_number" for p in own):
        return f"features.{name}: NaN and Infinity are no values; leave the feature out or send null"
    element = next((p for p in own if isinstance(p["loc"][-1], int) or len(p["loc"]) > 4), None)  # noqa: PLR2004
    if element is not None:
        index = next(part for part in element["loc"][2:] if isinstance(part, int))
        return f"features.{name}[{index}]: expected a number, got {_shown(element['input'])}"
    return f"features.{name}: expected a number, a text, true/false, null or a list, got {_shown(own[0]['input'])}"


def _shown(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", type(None): "null", bool: "true/false"}
    text = repr(value)
    return f"{kinds.get(type(value), type(value).__name__)} {text[:40]}{'…' if len(text) > 40 else ''}"  # noqa: PLR2004
