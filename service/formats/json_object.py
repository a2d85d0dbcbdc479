"""An event is a JSON object. A batch in which everything is right, as most are, is read in one go."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec

from service.events import Event, LateLabel
from service.formats.problems import NoEventError, explain
from service.formats.wire import WireEvent, WireLabel
from service.records import Headers, Record

_event_decoder = msgspec.json.Decoder(WireEvent)
_decode_event, _decode_events = _event_decoder.decode, _event_decoder.decode_lines
_decode_label = msgspec.json.Decoder(WireLabel).decode
_first, _last = itemgetter(0), itemgetter(-1)
_OPENING, _CLOSING = set(b"{"), set(b"}")
_NESTED = 190  # pydantic takes 200 levels; how many msgspec takes depends on the caller's stack


class JsonFormat:
    """Implements `service.formats.Format`."""

    def read(self, record: Record, *, labels_only: bool) -> WireEvent | WireLabel | Event | LateLabel:  # noqa: D102
        return _read(record.value or b"", labels_only=labels_only)

    def read_all(self, records: Sequence[Record]) -> list[WireEvent] | None:  # noqa: D102
        return _read_all([record.value or b"" for record in records])

    def features_of(self, value: bytes) -> dict[str, Any]:  # noqa: D102
        found: Any = _read(value, labels_only=False)
        return dict(found.features)

    def label_of(self, value: bytes) -> Any:  # noqa: D102
        return _read(value, labels_only=True).label

    def write(self, event: dict[str, Any]) -> tuple[bytes, Headers]:  # noqa: D102
        return msgspec.json.encode(event), ()


def _read_all(values: Sequence[bytes]) -> list[WireEvent] | None:
    # Each value begins with { and ends with }, so none can go on in the next: within a text a line break is no JSON,
    # and elsewhere no { may follow a }. Then as many events as values means one event a value.
    apart = all(values) and set(map(_first, values)) == _OPENING and set(map(_last, values)) == _CLOSING
    if not apart or _too_deep(values):
        return None
    text = b"\n".join(values)
    try:
        if not text.isascii():
            text.decode()
        found = _decode_events(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if len(found) == len(values) and all(each.features is not msgspec.UNSET for each in found) else None


def _too_deep(values: Sequence[bytes]) -> bool:
    """Return whether any value may be nested too deep; one that is has as many brackets that close."""
    return any(value.count(b"[") + value.count(b"{") > _NESTED for value in values if len(value) > 2 * _NESTED)


def _read(value: bytes, *, labels_only: bool) -> WireEvent | WireLabel | Event | LateLabel:
    if value.count(b"[") + value.count(b"{") > _NESTED:
        return _explain(value, labels_only=labels_only)
    try:
        value.decode()  # msgspec does not look into fields that are ignored
        if labels_only:
            return _decode_label(value)
        found = _decode_event(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _explain(value, labels_only=labels_only)
    return _explain(value, labels_only=labels_only) if found.is_neither else found


def _explain(value: bytes, *, labels_only: bool) -> Event | LateLabel:
    if not value.strip():
        raise NoEventError("empty", "the value is empty; an event is a JSON object")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoEventError("not_utf8", f"not UTF-8: {error.reason} at byte {error.start}") from None
    return explain(lambda kind: kind.model_validate_json(value), labels_only=labels_only)
