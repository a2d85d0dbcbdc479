"""An event is a MessagePack map, with the names and types of the JSON object."""

from collections.abc import Sequence
from typing import Any

import msgspec

from service.events import Event, LateLabel
from service.formats.problems import NoEventError, explain
from service.formats.wire import WireEvent, WireLabel
from service.records import Headers, Record

_decode_event = msgspec.msgpack.Decoder(WireEvent).decode
_decode_label = msgspec.msgpack.Decoder(WireLabel).decode


class MessagePackFormat:
    """Implements `service.formats.Format`."""

    def read(self, record: Record, *, labels_only: bool) -> WireEvent | WireLabel | Event | LateLabel:  # noqa: D102
        return _read(record.value or b"", labels_only=labels_only)

    def read_all(self, records: Sequence[Record]) -> list[WireEvent] | None:  # noqa: D102
        try:
            found = [_decode_event(record.value or b"") for record in records]
        except (msgspec.DecodeError, RecursionError):
            return None
        return found if all(each.features is not msgspec.UNSET for each in found) else None

    def features_of(self, value: bytes) -> dict[str, Any]:  # noqa: D102
        found: Any = _read(value, labels_only=False)
        return dict(found.features)

    def label_of(self, value: bytes) -> Any:  # noqa: D102
        return _read(value, labels_only=True).label

    def write(self, event: dict[str, Any]) -> tuple[bytes, Headers]:  # noqa: D102
        return msgspec.msgpack.encode(event), ()


def _read(value: bytes, *, labels_only: bool) -> WireEvent | WireLabel | Event | LateLabel:
    try:
        if labels_only:
            return _decode_label(value)
        found = _decode_event(value)
    except (msgspec.DecodeError, RecursionError):
        return _explain(value, labels_only=labels_only)
    return _explain(value, labels_only=labels_only) if found.is_neither else found


def _explain(value: bytes, *, labels_only: bool) -> Event | LateLabel:
    if not value:
        raise NoEventError("empty", "the value is empty; an event is a MessagePack map")
    try:
        plain = msgspec.msgpack.decode(value)
    except (msgspec.DecodeError, RecursionError, TypeError) as error:
        raise NoEventError("unreadable", f"not MessagePack: {error}") from None
    return explain(lambda kind: kind.model_validate(plain), labels_only=labels_only)
