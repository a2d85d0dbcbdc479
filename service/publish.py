"""Stage 7: predictions, alerts and dead letters out. Encoding is pure; the adapters implement `Publisher`."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import repeat, starmap
from typing import Any, Literal, Protocol

import msgspec

from nnstream.outcome import Outcome, Segment, as_index, best
from nnstream.schema import category_text
from service.events import DEAD_LETTER_HEADER, EXPIRED_HEADER, DeadLetter, Expired, Source
from service.positions import Offsets, Position
from service.records import Outgoing, Partition, Record, Refused

_NO_FIELDS: Mapping[str, Any] = {}
_ENVELOPE_BYTES = 5_000  # our header, and what Kafka adds to a record
_outgoing = partial(tuple.__new__, Outgoing)  # as Outgoing(*fields), without a call of Python for each
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode


class Publisher(Protocol):
    """Where results go, and what makes them and the input positions durable together.

    Attributes:
        identity: the transactional id; None where results are published at least once.
    """

    identity: str | None

    def fence(self, owner: str) -> None:
        """End whatever transaction the worker `owner` left open; if it still lives, it can commit nothing more.

        Raises:
            StartOverError: it could not be done now.
        """

    def send(self, records: Sequence[Outgoing]) -> None:
        """Hand records over, in order; they count after the next `commit`."""

    def commit(self, positions: Mapping[Partition, Position], offsets: Offsets) -> None:
        """Make everything sent so far durable, and with it (or right after it) the positions of the group.

        Raises:
            CommitPostponedError: not now; commit again after the next poll.
            FencedError: another worker has taken over; nothing since the last commit counts.
            StartOverError: nothing since the last commit may count.
            BrokerError: Kafka refuses.
        """

    def close(self) -> None:
        """Drop the connection; what was not committed does not count."""


class Columns(Protocol):
    """The rows of a batch, as `service.labels` gives them."""

    records: list[Record]
    ids: list[str | int]
    timestamps: list[int]
    labels: list[Any]
    is_event: list[bool]


class _Source(msgspec.Struct, gc=False):
    topic: str
    partition: int
    offset: int


class _Model(msgspec.Struct, gc=False):
    name: str
    version: int


class _Prediction(msgspec.Struct, gc=False):
    """`service.events.Prediction`, as fast as it can be written; UNSET fields are left out."""

    id: str | int
    ts: int
    prediction: Any
    probabilities: Any
    model: _Model
    label: Any
    loss: float | msgspec.UnsetType
    source: _Source
    interval: Any = msgspec.UNSET
    prediction_set: Any = msgspec.UNSET
    confidence: Any = msgspec.UNSET
    explanation: Any = msgspec.UNSET


def predictions(
    rows: Columns, outcome: Outcome, model: str, source: Partition, topic: str, more: Mapping[int, Mapping[str, Any]]
) -> list[Outgoing | None]:
    """Return the record of each row in log order; None for one that is no event, or could not be predicted.

    Args:
        rows: of a batch.
        outcome: what the model made of them.
        model: its name.
        source: partition of the events.
        topic: of the predictions.
        more: further fields of some rows.
    """
    out: list[Outgoing | None] = [None] * len(rows.records)
    for segment in outcome.segments:
        kept = [k for k, i in enumerate(segment.rows) if rows.is_event[i]]
        index = [segment.rows[k] for k in kept]
        values = _bodies(rows, segment, kept, index, outcome, model, source, more)
        records = _taken(rows.records, index)
        stamps = list(map(stamp, _taken(rows.timestamps, index), records))
        keys = [record.key for record in records]
        columns = zip(repeat(topic), repeat(source.number), keys, values, repeat(()), stamps, strict=False)
        made = list(map(_outgoing, columns))
        if len(made) == len(out):
            return list(made)
        for i, each in zip(index, made, strict=True):
            out[i] = each
    return out


def _bodies(
    rows: Columns,
    segment: Segment,
    kept: list[int],
    index: list[int],
    outcome: Outcome,
    model: str,
    source: Partition,
    more: Mapping[int, Mapping[str, Any]],
) -> list[bytes]:
    """Return the JSON of these rows of a segment, `index` in the batch; written in one go, a line each."""
    at, offsets = as_index(index), [record.offset for record in _taken(rows.records, index)]
    bodies = list(
        map(
            _Prediction,
            _taken(rows.ids, index),
            _taken(rows.timestamps, index),
            _taken(best(segment), kept),
            _probabilities(segment, kept),
            map(_Model, repeat(model), outcome.versions[at].tolist()),
            [msgspec.UNSET if label is None else label for label in _taken(rows.labels, index)],
            # NaN, which is not itself, where there is no label or nothing was predicted
            [loss if loss == loss else msgspec.UNSET for loss in outcome.losses[at].tolist()],  # noqa: PLR0124
            map(_Source, repeat(source.topic), repeat(source.number), offsets),
        )
    )
    if more:
        for i, body in zip(index, bodies, strict=True):
            for name, value in more.get(i, _NO_FIELDS).items():
                setattr(body, name, value)
    return _encoder.encode_lines(bodies).split(b"\n")[:-1]


def _taken(column: list[Any], index: list[int]) -> list[Any]:
    """Return these elements of a column."""
    at = as_index(index)
    return column[at] if isinstance(at, slice) else [column[i] for i in at]


def _probabilities(segment: Segment, kept: list[int]) -> list[Any]:
    """Return an object for each row that is written as `{class: probability}`; UNSET for a regression."""
    if not segment.classes:
        return [msgspec.UNSET] * len(kept)
    kind = _shares(tuple(map(category_text, segment.classes)))
    return list(starmap(kind, segment.outputs[as_index(kept)].tolist()))


@lru_cache(maxsize=128)
def _shares(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return a maker of objects with these names, which msgspec writes faster than it would a dict."""
    if len(set(names)) < len(names):
        return lambda *shares: dict(zip(names, shares, strict=True))
    fields = [(f"class_{k}", float) for k in range(len(names))]
    return msgspec.defstruct(
        "Probabilities", fields, gc=False, rename={f"class_{k}": name for k, name in enumerate(names)}
    )


def stamp(ts: int, record: Record) -> int:
    """Return an event's ts as a timestamp for Kafka, which refuses one that lies ahead of its own clock."""
    return ts if 0 <= ts <= record.timestamp else record.timestamp


def dead_letters(refused: Sequence[Refused], source: Partition, topic: str, largest_bytes: int) -> list[Outgoing]:
    """Return each refused record as it came, with a header that says why.

    Args:
        refused: of one partition.
        source: that partition.
        topic: of the dead letters.
        largest_bytes: what the topic takes; a larger record loses the end of its value, and the header says so.
    """
    out = []
    for each in refused:
        record, value = each.record, each.record.value
        rest = len(record.key or b"") + sum(len(name) + len(data or b"") for name, data in record.headers)
        room = max(0, largest_bytes - rest - _ENVELOPE_BYTES)
        too_long = value is not None and len(value) > room
        letter = DeadLetter(
            problem=each.problem,
            reason=each.reason,
            source=Source(topic=source.topic, partition=source.number, offset=record.offset),
            ts=record.timestamp,
            truncated_from_bytes=len(value) if too_long and value is not None else None,
        )
        header = (DEAD_LETTER_HEADER, letter.model_dump_json(exclude_none=True).encode())
        kept = value[:room] if value is not None else None
        out.append(Outgoing(topic, None, record.key, kept, (*record.headers, header), record.timestamp))
    return out


def expired(
    event: Record, ts: int, reason: Literal["max_wait", "max_pending", "replaced"], source: Partition, topic: str
) -> Outgoing:
    """Return an event whose label is waited for no longer as it came, with a header that says why."""
    place = Source(topic=source.topic, partition=source.number, offset=event.offset)
    said = Expired(reason=reason, source=place, ts=ts).model_dump_json().encode()
    return Outgoing(topic, None, event.key, event.value, (*event.headers, (EXPIRED_HEADER, said)), event.timestamp)


def alert(body: Mapping[str, Any], topic: str, timestamp_ms: int) -> Outgoing:
    """Return a drift alert as a record, keyed by the model's name."""
    return Outgoing(topic, None, str(body["model"]).encode(), _encode(body), (), timestamp_ms)
