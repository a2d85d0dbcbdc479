"""The public records of a stretch of a stream: out of its topics, or out of a file that is run through the stages."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import msgspec

from service.datasets import Sample
from service.events import DEAD_LETTER_HEADER
from service.positions import Offsets, Position
from service.records import Headers, Outgoing, Partition, Record
from service.report.story import Records
from service.settings import TopicSettings

_BLOCK = 1000
_decode = msgspec.json.decode


@dataclass(frozen=True)
class Row:
    """A row of a file as a record."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None
    headers: Headers = ()


class Stages(Protocol):
    """What a file is run through."""

    def process(self, records: Sequence[Record]) -> None:
        """Take records in offset order through all stages."""


def from_topics(topics: TopicSettings, read: Callable[[str], Iterable[Record]]) -> Records:
    """Return what the topics hold.

    Args:
        topics: their names.
        read: yields the records of a topic that lie in the stretch that was asked for.
    """
    found = Records()
    found.predictions = [_decode(record.value or b"") for record in read(topics.predictions)]
    found.alerts = [_decode(record.value or b"") for record in read(topics.alerts)]
    found.dead_letters = [letter for each in read(topics.dead_letters) if (letter := _letter(each.headers))]
    if any("label" not in body for body in found.predictions):
        found.late_labels = _late_labels(read(topics.labels or topics.events))
    return found


def _late_labels(records: Iterable[Record]) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for record in records:
        try:
            body = _decode(record.value or b"")
        except msgspec.DecodeError:
            continue  # a dead letter
        if isinstance(body, dict) and "features" not in body and body.get("label") is not None:
            out.setdefault(body.get("id"), body["label"])
    return out


def _letter(headers: Headers) -> Any:
    value = next((value for name, value in reversed(headers) if name == DEAD_LETTER_HEADER), None)
    return None if value is None else _decode(value)


class Collector:
    """Keeps what is published; implements `service.publish.Publisher`, of which a task alone only sends."""

    identity: str | None = None

    def __init__(self, topics: TopicSettings) -> None:
        self.records = Records(timed=False)
        self._topics = topics

    def send(self, records: Sequence[Outgoing]) -> None:
        """Keep records by their kind."""
        for record in records:
            if record.topic == self._topics.dead_letters:
                self.records.dead_letters.append(_letter(record.headers))
            else:
                kind = self.records.alerts if record.topic == self._topics.alerts else self.records.predictions
                kind.append(_decode(record.value or b""))

    def fence(self, owner: str) -> None:
        """Do nothing: nobody else publishes here."""

    def commit(self, positions: Mapping[Partition, Position], offsets: Offsets) -> None:
        """Do nothing: everything counts at once."""

    def close(self) -> None:
        """Do nothing."""


def from_samples(
    samples: Iterable[Sample],
    stages: Stages,
    collector: Collector,
    progress: Callable[[int], None] = lambda _: None,
) -> Records:
    """Run samples through the stages of a partition, a millisecond apart; return what they published.

    Args:
        samples: features and labels.
        stages: of one partition, which publish to `collector`.
        collector: of what is published.
        progress: called with the number of samples done so far.
    """
    stream, done = iter(samples), 0
    while block := list(islice(stream, _BLOCK)):
        stages.process([_row(done + i, sample) for i, sample in enumerate(block)])
        done += len(block)
        progress(done)
    return collector.records


def _row(offset: int, sample: Sample) -> Row:
    features, label = sample
    body = {"features": features} if label is None else {"features": features, "label": label}
    return Row(offset, offset, msgspec.json.encode(body))
