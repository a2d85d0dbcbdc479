"""librdkafka's own statistics, as far as the service shows them."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from service.client_statistics import ClientStatistics

_EVERY_MS = 5_000
_MICROSECONDS = 1e-6


class _Window(msgspec.Struct):
    avg: int = 0


class _Broker(msgspec.Struct):
    rtt: _Window = msgspec.field(default_factory=_Window)


class _Partition(msgspec.Struct):
    fetchq_cnt: int = 0


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition] = msgspec.field(default_factory=dict)


class _Statistics(msgspec.Struct):
    msg_cnt: int = 0
    brokers: dict[str, _Broker] = msgspec.field(default_factory=dict)
    topics: dict[str, _Topic] = msgspec.field(default_factory=dict)


_decode = msgspec.json.Decoder(_Statistics).decode


def told(end: Literal["source", "publisher"], note: Callable[[ClientStatistics], None]) -> dict[str, Any]:
    """Return the options of a client that is to tell `note` about itself."""
    return {"statistics.interval.ms": _EVERY_MS, "stats_cb": lambda text: note(read(end, text))}


def read(end: Literal["source", "publisher"], text: str) -> ClientStatistics:
    """Return what the client's JSON says."""
    found = _decode(text)
    fetched = sum(each.fetchq_cnt for topic in found.topics.values() for each in topic.partitions.values())
    slowest = max((broker.rtt.avg for broker in found.brokers.values()), default=0)
    return ClientStatistics(end, fetched if end == "source" else found.msg_cnt, slowest * _MICROSECONDS)
