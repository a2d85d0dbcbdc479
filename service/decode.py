"""Stage 2: bytes to events, or to a problem that has a name. Pure; a whole poll at a time.

`service.events.Event` (pydantic) says what an event is; msgspec reads what is right at a fifteenth of the cost,
and pydantic is asked only about what msgspec refused, for its reason. A batch in which everything is right, as most
are, is read in one go.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import ValidationError

from nnstream.errors import LabelError
from service.events import Event, LateLabel, Problem
from service.records import Record, Refused

_Value = bool | int | float | str | list[int | float | None] | None


class _WireEvent(msgspec.Struct, gc=False):
    features: dict[str, _Value] | msgspec.UnsetType = msgspec.UNSET
    id: str | int | None = None
    ts: int | None = None
    label: bool | int | float | str | None = None


class _WireLabel(msgspec.Struct):
    id: str | int
    label: bool | int | float | str
    ts: int | None = None


_event_decoder = msgspec.json.Decoder(_WireEvent)
_decode_event, _decode_events = _event_decoder.decode, _event_decoder.decode_lines
_decode_label = msgspec.json.Decoder(_WireLabel).decode
_NESTED = 190  # pydantic takes 200 levels; how many msgspec takes depends on the caller's stack


@dataclass
class Decoded:
    """The events and late labels of a batch in columns, in log order, and what was refused.

    Attributes:
        records: the record each came in.
        ids: of each event, its position where it has none of its own; for a late label, of the event it is for.
        timestamps: ms since 1970 of each.
        features: of each event; None marks a late label.
        labels: of each, None where an event has none.
        refused: records that hold neither.
    """

    records: list[Record] = field(default_factory=list)
    ids: list[str | int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    features: list[dict[str, Any] | None] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def add(self, record: Record, found: Event | LateLabel | _WireEvent | _WireLabel, default_id: str) -> None:
        """Append an event or a label."""
        features = getattr(found, "features", None)
        self.records.append(record)
        self.ids.append(default_id if found.id is None else found.id)
        self.timestamps.append(record.timestamp if found.ts is None else found.ts)
        self.features.append(None if features is msgspec.UNSET else features)
        self.labels.append(found.label)


def decode(
    records: Sequence[Record],
    where: str,
    max_event_bytes: int,
    check_label: Callable[[Any], None],
    *,
    labels_only: bool = False,
) -> Decoded:
    """Return what `records` hold, each record in exactly one of `records` and `refused`.

    Args:
        records: of one partition, in offset order.
        where: `topic/partition`, for default ids.
        max_event_bytes: larger values are refused unread.
        check_label: raises a LabelError when a label does not fit the task.
        labels_only: they come from the labels topic, where there are no events.
    """
    if not labels_only:
        decoded = _at_once(records, where, max_event_bytes, check_label)
        if decoded is not None:
            return decoded
    decoded = Decoded()
    for record in records:
        try:
            found = _read(record.value, max_event_bytes, labels_only=labels_only)
            if found.label is not None:
                check_label(found.label)
        except _NoEventError as error:
            decoded.refused.append(Refused(record, error.problem, error.reason))
        except LabelError as error:
            decoded.refused.append(Refused(record, "label", str(error)))
        else:
            decoded.add(record, found, f"{where}/{record.offset}")
    return decoded


def _at_once(
    records: Sequence[Record], where: str, max_event_bytes: int, check_label: Callable[[Any], None]
) -> Decoded | None:
    """Return what `decode` does where each record holds an event and nothing is wrong; None to look at each."""
    values = [record.value for record in records]
    if None in values or max(map(len, values), default=0) > max_event_bytes:  # type: ignore[arg-type]
        return None
    text = b"\n".join(values)  # type: ignore[arg-type]
    # Each value begins with { and ends with } on one line, so none can go on in the next: within a text a line break
    # is no JSON, and elsewhere no { may follow a }. Then as many events as values means one event a value.
    lines = len(values) - 1
    apart = text[:1] == b"{" and text[-1:] == b"}" and text.count(b"}\n{") == text.count(b"\n") == lines
    if not apart or _too_deep(text, values):
        return None
    try:
        text.decode()
        found = _decode_events(text)
        for label in {(type(each.label), each.label) for each in found}:
            if label[1] is not None:
                check_label(label[1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LabelError):
        return None
    if len(found) != len(values) or any(each.features is msgspec.UNSET for each in found):
        return None
    return Decoded(
        list(records),
        [f"{where}/{r.offset}" if each.id is None else each.id for each, r in zip(found, records, strict=True)],
        [r.timestamp if each.ts is None else each.ts for each, r in zip(found, records, strict=True)],
        [each.features for each in found],  # type: ignore[misc]
        [each.label for each in found],
    )


def _too_deep(text: bytes, values: Sequence[bytes | None]) -> bool:
    """Return whether any value may be nested too deep; an event has two brackets at least."""
    surplus = text.count(b"[") + text.count(b"{") - 2 * (len(values) - 1)
    return surplus > _NESTED and any(
        value is not None and value.count(b"[") + value.count(b"{") > _NESTED for value in values
    )


def features_of(value: bytes) -> dict[str, Any]:
    """Return the features of an event that was decoded before."""
    found: Any = _read(value, len(value), labels_only=False)
    return dict(found.features)


def label_of(value: bytes) -> Any:
    """Return the label of an event or late label that was decoded before."""
    return _read(value, len(value), labels_only=True).label


class _NoEventError(Exception):
    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem: Problem = problem
        self.reason = reason


def _read(
    value: bytes | None, max_event_bytes: int, *, labels_only: bool
) -> _WireEvent | _WireLabel | Event | LateLabel:
    if value is None:
        raise _NoEventError("tombstone", "the value is null; an event is a JSON object")
    if len(value) > max_event_bytes:
        limit = "the limit delivery.max_event_bytes"
        raise _NoEventError("too_large", f"the value has {len(value)} bytes, more than {limit} of {max_event_bytes}")
    if value.count(b"[") + value.count(b"{") > _NESTED:
        return _explain(value, labels_only=labels_only)
    try:
        value.decode()  # msgspec does not look into fields that are ignored
        if labels_only:
            return _decode_label(value)
        found = _decode_event(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _explain(value, labels_only=labels_only)
    if found.features is msgspec.UNSET and (found.id is None or found.label is None):
        return _explain(value, labels_only=labels_only)
    return found


def _explain(value: bytes, *, labels_only: bool) -> Event | LateLabel:
    """Return the event or label after all, or raise the reason why this is none."""
    if not value.strip():
        raise _NoEventError("empty", "the value is empty; an event is a JSON object")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _NoEventError("not_utf8", f"not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        return LateLabel.model_validate_json(value) if labels_only else Event.model_validate_json(value)
    except ValidationError as error:
        if labels_only or not _without_features(error):
            raise _no_event(error) from None
        problem = _no_event(error)
    try:
        return LateLabel.model_validate_json(value)
    except ValidationError as error:
        missing = {each["loc"][0] for each in error.errors(include_url=False) if each["type"] == "missing"}
        raise (problem if "label" in missing else _no_event(error)) from None


def _without_features(error: ValidationError) -> bool:
    return any(each["type"] == "missing" and each["loc"] == ("features",) for each in error.errors(include_url=False))


_NEEDED = {
    "features": "an event needs an object of features (a late label, an id and a label)",
    "id": "a label without features needs the id of its event",
    "label": "a late label needs a label",
}


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
        return _NoEventError("invalid", f"{name}: missing; {_NEEDED[str(name)]}")
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
