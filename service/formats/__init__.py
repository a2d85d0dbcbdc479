"""What the bytes of a record hold: JSON, MessagePack, or a bare vector of float32. One file a format.

Whatever the format, `service.events.Event` and `LateLabel` (pydantic) say what an event and a late label are, and the
same things are refused for the same reasons.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from service.events import Event, LateLabel
from service.formats.wire import WireEvent, WireLabel
from service.records import Headers, Record

Found = WireEvent | WireLabel | Event | LateLabel


class Format(Protocol):
    """Reads and writes records of one format."""

    def read(self, record: Record, *, labels_only: bool) -> Found:
        """Return the event or late label that a record with a value holds.

        Args:
            record: with a value.
            labels_only: it comes from the labels topic, where there are no events.

        Raises:
            NoEventError: it holds neither.
        """

    def read_all(self, records: Sequence[Record]) -> list[WireEvent] | None:
        """Return the event of each record with a value, faster than one by one; None where any is something else."""

    def features_of(self, value: bytes) -> dict[str, Any]:
        """Return the features of an event that was read before."""

    def label_of(self, value: bytes) -> Any:
        """Return the label of an event or late label that was read before."""

    def write(self, event: dict[str, Any]) -> tuple[bytes, Headers]:
        """Return the value and the headers of an event; raises DataError where the format has no room for it."""
