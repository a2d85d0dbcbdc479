"""Stage 7: predictions, alerts and dead letters out. Encoding is pure; the adapters implement `Publisher`."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from nnstream.model import Outcome, best
from nnstream.schema import category_text
from service.events import DEAD_LETTER_HEADER, DeadLetter, Source
from service.records import Outgoing, Partition, Record, Refused

_encode = msgspec.json.Encoder().encode


class Publisher(Protocol):
    """Where results go."""

    def send(self, records: Sequence[Outgoing]) -> None:
        """Hand records over, in order; they are durable after the next `commit`."""

    def flush(self) -> None:
        """Wait until everything sent so far is durable.

        Raises:
            BrokerError: it could not be done; nothing since the last commit counts.
        """

    def close(self) -> None:
        """Drop the connection."""


class Columns(Protocol):
    """The events of a batch, as `service.decode` gives them."""

    records: list[Record]
    ids: list[str | int]
    timestamps: list[int]
    labels: list[Any]


def predictions(
    events: Columns, outcome: Outcome, model: str, source: Partition, topic: str, partition: int
) -> list[Outgoing]:
    """Return one record for each event that was predicted, in log order."""
    out: list[Outgoing | None] = [None] * len(events.records)
    losses, versions = outcome.losses.tolist(), outcome.versions.tolist()
    for segment in outcome.segments:
        names = [category_text(label) for label in segment.classes]
        for i, prediction, outputs in zip(segment.rows, best(segment), segment.outputs.tolist(), strict=True):
            record = events.records[i]
            body = {"id": events.ids[i], "ts": events.timestamps[i], "prediction": prediction}
            if segment.classes:
                body["probabilities"] = dict(zip(names, outputs, strict=True))
            body["model"] = {"name": model, "version": versions[i]}
            if events.labels[i] is not None:
                body["label"] = events.labels[i]
                if losses[i] == losses[i]:  # NaN is not itself
                    body["loss"] = losses[i]
            body["source"] = {"topic": source.topic, "partition": source.number, "offset": record.offset}
            out[i] = Outgoing(topic, partition, record.key, _encode(body), (), events.timestamps[i])
    return [record for record in out if record is not None]


def dead_letters(refused: Sequence[Refused], source: Partition, topic: str) -> list[Outgoing]:
    """Return each refused record as it came, with a header that says why."""
    out = []
    for each in refused:
        letter = DeadLetter(
            problem=each.problem,
            reason=each.reason,
            source=Source(topic=source.topic, partition=source.number, offset=each.record.offset),
            ts=each.record.timestamp,
        )
        header = (DEAD_LETTER_HEADER, letter.model_dump_json(exclude_none=True).encode())
        headers = (*each.record.headers, header)
        out.append(Outgoing(topic, None, each.record.key, each.record.value, headers, each.record.timestamp))
    return out


def truncated(letter: Outgoing, keep_bytes: int = 100_000) -> Outgoing:
    """Return a dead letter that the broker found too large, cut to `keep_bytes`, with its size in the header."""
    value = letter.value or b""
    name, text = letter.headers[-1]
    header = DeadLetter.model_validate_json(text).model_copy(update={"truncated_from_bytes": len(value)})
    headers = (*letter.headers[:-1], (name, header.model_dump_json(exclude_none=True).encode()))
    return letter._replace(value=value[:keep_bytes], headers=headers)


def alert(body: Mapping[str, Any], topic: str, timestamp_ms: int) -> Outgoing:
    """Return a drift alert as a record, keyed by the model's name."""
    return Outgoing(topic, None, str(body["model"]).encode(), _encode(body), (), timestamp_ms)
