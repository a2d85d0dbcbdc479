"""Send samples as events, at a given rate or as fast as it goes."""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Protocol

from service.datasets import Sample
from service.formats import Format
from service.records import Outgoing

_CHUNK_SECONDS = 0.05
_FAST_CHUNK = 2000


class Sender(Protocol):
    """Where events go."""

    def send(self, records: Sequence[Outgoing]) -> None:
        """Hand records over, in order."""

    def flush(self) -> None:
        """Wait until everything sent so far is durable."""


def produce(
    samples: Iterable[Sample],
    publisher: Sender,
    topic: str,
    form: Format,
    *,
    rate: float | None = None,
    prefix: str = "e",
    progress: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Send each sample as an event with the id `<prefix>-<number>`, in order; return how many were sent.

    Args:
        samples: features and labels.
        publisher: where to.
        topic: the events topic.
        form: how they are written.
        rate: events a second; None sends as fast as the broker takes them.
        prefix: of the ids.
        progress: called with the number sent so far.
        clock: seconds, monotonic.
        sleep: waits so many seconds.
    """
    stream = iter(samples)
    size = _FAST_CHUNK if rate is None else max(1, int(rate * _CHUNK_SECONDS))
    start, sent = clock(), 0
    while chunk := list(islice(stream, size)):
        now_ms = int(time.time() * 1000)
        named = ((f"{prefix}-{sent + i}", sample) for i, sample in enumerate(chunk))
        publisher.send([_event(topic, form, name, now_ms, sample) for name, sample in named])
        sent += len(chunk)
        if rate is None:
            publisher.flush()
        else:
            sleep(max(0.0, start + sent / rate - clock()))
        progress(sent)
    publisher.flush()
    return sent


def _event(topic: str, form: Format, name: str, now_ms: int, sample: Sample) -> Outgoing:
    features, label = sample
    body = {"id": name, "ts": now_ms, "features": features}
    if label is not None:
        body["label"] = label
    value, headers = form.write(body)
    return Outgoing(topic, None, name.encode(), value, headers, now_ms)
