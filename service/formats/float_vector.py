"""An event is a bare vector of float32, little-endian: `application/x-f32`. NaN is a missing value.

The vector is the feature `vector`. What else an event has comes in headers: `id` (a text) and `label` (JSON). A late
label is a JSON object; in the events topic it has the header `content-type: application/json`.
"""

import math
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import msgspec
import numpy as np

from service.errors import DataError
from service.events import Event, LateLabel
from service.formats.json_object import JsonFormat
from service.formats.problems import NoEventError
from service.formats.wire import WireEvent, WireLabel
from service.records import Headers, Record

FEATURE = "vector"
JSON_TYPE = ("content-type", b"application/json")
_BYTES = 4
_label_decoder = msgspec.json.Decoder(bool | int | float | str | None)


class FloatVectorFormat:
    """Implements `service.formats.Format`."""

    def __init__(self) -> None:
        self._json = JsonFormat()

    def read(self, record: Record, *, labels_only: bool) -> WireEvent | WireLabel | Event | LateLabel:  # noqa: D102
        if labels_only or JSON_TYPE in record.headers:
            return self._json.read(record, labels_only=True)
        headers = dict(record.headers)
        features = _features(record.value or b"")
        return WireEvent(features, _id_of(headers.get("id")), None, _label_of(headers.get("label")))

    def read_all(self, records: Sequence[Record]) -> list[WireEvent] | None:  # noqa: D102
        rows: list[Any] | None = _matrix([record.value or b"" for record in records])
        if rows is None:
            return None
        ids: list[str | None] = [None] * len(records)
        texts = [b"null"] * len(records)
        try:
            for i, record in enumerate(records):
                for name, value in record.headers:
                    if name == "id":
                        ids[i] = value.decode()
                    elif name == "label":
                        texts[i] = value
                    elif (name, value) == JSON_TYPE:
                        return None
            labels = _label_decoder.decode_lines(b"\n".join(texts))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if len(labels) != len(rows):
            return None
        return [WireEvent({FEATURE: row}, *rest) for row, *rest in zip(rows, ids, repeat(None), labels)]

    def features_of(self, value: bytes) -> dict[str, Any]:  # noqa: D102
        return _features(value)

    def label_of(self, value: bytes) -> Any:  # noqa: D102
        return self._json.label_of(value)

    def write(self, event: dict[str, Any]) -> tuple[bytes, Headers]:  # noqa: D102
        headers = [("id", str(event["id"]).encode())] if event.get("id") is not None else []
        if event.get("label") is not None:
            headers.append(("label", msgspec.json.encode(event["label"])))
        return np.array(_numbers(event["features"]), "<f4").tobytes(), headers


def _numbers(features: dict[str, Any]) -> list[float]:
    found = features[FEATURE] if features.keys() == {FEATURE} else list(features.values())
    for name, number in zip(features, found, strict=False):
        if not isinstance(number, int | float | None):
            raise DataError(f"feature {name} is {number!r}: the format f32 has room for numbers only; take json")
    return [math.nan if number is None else number for number in found]


def _matrix(values: Sequence[bytes]) -> list[list[int | float | None]] | None:
    """Return vectors of one length as rows; None where anything is missing or wrong."""
    size = len(values[0]) if values else 0
    if not size or size % _BYTES or any(len(value) != size for value in values):
        return None
    matrix = np.frombuffer(b"".join(values), "<f4").reshape(len(values), -1)
    rows: list[list[int | float | None]] = matrix.astype(float).tolist()
    return rows if np.isfinite(matrix).all() else None


def _features(value: bytes) -> dict[str, Any]:
    if not value:
        raise NoEventError("empty", "the value is empty; an event is a vector of float32, 4 bytes a number")
    if len(value) % _BYTES:
        raise NoEventError("unreadable", f"the value has {len(value)} bytes, no multiple of the 4 of a float32")
    vector = np.frombuffer(value, "<f4").astype(float)
    infinite = np.flatnonzero(np.isinf(vector))
    if infinite.size:
        place = int(infinite[0])
        raise NoEventError("features", f"features.{FEATURE}[{place}]: Infinity is no value; NaN is a missing one")
    return {FEATURE: [None if number != number else number for number in vector.tolist()]}  # noqa: PLR0124  # NaN


def _id_of(header: bytes | None) -> str | None:
    if header is None:
        return None
    try:
        return header.decode()
    except UnicodeDecodeError as error:
        raise NoEventError("not_utf8", f"header id: not UTF-8: {error.reason} at byte {error.start}") from None


def _label_of(header: bytes | None) -> Any:
    if header is None:
        return None
    try:
        return _label_decoder.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shown = header[:40].decode(errors="replace")
        raise NoEventError(
            "label", f"header label: expected JSON, a text, a number, true or false, got {shown}"
        ) from None
