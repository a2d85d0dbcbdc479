"""Stage 2: bytes to events, or to a problem that has a name. Pure; a whole poll at a time.

What the bytes are, `service.formats` knows. Here they become columns, and what holds nothing of use is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnstream.errors import LabelError
from service.formats import Format, Found
from service.formats.problems import NoEventError
from service.records import Record, Refused


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

    def add(self, record: Record, found: Found, default_id: str) -> None:
        """Append an event or a label."""
        features: Any = getattr(found, "features", None)
        self.records.append(record)
        self.ids.append(default_id if found.id is None else found.id)
        self.timestamps.append(record.timestamp if found.ts is None else found.ts)
        self.features.append(features if isinstance(features, dict) else None)
        self.labels.append(found.label)


def decode(
    records: Sequence[Record],
    where: str,
    max_event_bytes: int,
    check_label: Callable[[Any], None],
    form: Format,
    *,
    labels_only: bool = False,
) -> Decoded:
    """Return what `records` hold, each record in exactly one of `records` and `refused`.

    Args:
        records: of one partition, in offset order.
        where: `topic/partition`, for default ids.
        max_event_bytes: larger values are refused unread.
        check_label: raises a LabelError when a label does not fit the task.
        form: reads their bytes.
        labels_only: they come from the labels topic, where there are no events.
    """
    if not labels_only:
        decoded = _at_once(records, where, max_event_bytes, check_label, form)
        if decoded is not None:
            return decoded
    decoded = Decoded()
    for record in records:
        try:
            _check_size(record.value, max_event_bytes)
            found = form.read(record, labels_only=labels_only)
            if found.label is not None:
                check_label(found.label)
        except NoEventError as error:
            decoded.refused.append(Refused(record, error.problem, error.reason))
        except LabelError as error:
            decoded.refused.append(Refused(record, "label", str(error)))
        else:
            decoded.add(record, found, f"{where}/{record.offset}")
    return decoded


def _check_size(value: bytes | None, max_event_bytes: int) -> None:
    if value is None:
        raise NoEventError("tombstone", "the value is null; an event has one")
    if len(value) > max_event_bytes:
        limit = "the limit delivery.max_event_bytes"
        raise NoEventError("too_large", f"the value has {len(value)} bytes, more than {limit} of {max_event_bytes}")


def _at_once(
    records: Sequence[Record], where: str, max_event_bytes: int, check_label: Callable[[Any], None], form: Format
) -> Decoded | None:
    """Return what `decode` does where each record holds an event and nothing is wrong; None to look at each."""
    values = [record.value for record in records]
    if None in values or max(map(len, values), default=0) > max_event_bytes:  # type: ignore[arg-type]
        return None
    found = form.read_all(records)
    if found is None:
        return None
    labels = [each.label for each in found]
    try:
        for _, label in set(zip(map(type, labels), labels, strict=True)):
            if label is not None:
                check_label(label)
    except LabelError:
        return None
    return Decoded(
        list(records),
        [f"{where}/{r.offset}" if each.id is None else each.id for each, r in zip(found, records, strict=True)],
        [r.timestamp if each.ts is None else each.ts for each, r in zip(found, records, strict=True)],
        [each.features for each in found],  # type: ignore[misc]
        labels,
    )
