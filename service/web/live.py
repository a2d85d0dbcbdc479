"""The page's read model: what the metrics were and what was published, kept for a while, told as it changes.

Only metrics and public records come in; no stage of the service knows that somebody looks.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

import msgspec

from nnstream import __version__
from service.settings import Settings
from service.web.recent import Recent
from service.web.samples import History, sample
from service.worker import Worker

SAMPLE_SECONDS = 0.5
_CAPACITY = 1200  # moments kept: ten minutes
_PROBE_SECONDS = 2.0
_encode = msgspec.json.Encoder().encode


class Live:
    """Samples a worker twice a second from a thread of its own; a context manager.

    Args:
        worker: to look at.
        settings: of the service.
        recent: what it published.
        broker_reachable: whether Kafka can be reached now; may take a second to answer.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        worker: Worker,
        settings: Settings,
        recent: Recent,
        *,
        broker_reachable: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._worker, self._settings, self._recent, self._clock = worker, settings, recent, clock
        self._broker_reachable = broker_reachable
        self._histories: dict[int, History] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._every, args=(SAMPLE_SECONDS, self.sample), name="samples", daemon=True),
            threading.Thread(target=self._every, args=(_PROBE_SECONDS, self.probe), name="probe", daemon=True),
        ]
        self._now: dict[str, Any] = {}
        self._number = 0
        self.sample()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the sampling and every open stream of events; each tells the last state first."""
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=5)
        self.sample()

    def _every(self, seconds: float, action: Callable[[], None]) -> None:
        while not self._closing.is_set():
            action()
            self._closing.wait(seconds)

    def probe(self) -> None:
        """Note in the metrics whether Kafka can be reached."""
        reachable = self._broker_reachable()
        self._worker.telemetry.broker_reachable.labels(self._worker.telemetry.model).set(reachable)

    def sample(self) -> None:
        """Note what the metrics are now."""
        worker, partitions = sample(self._worker.telemetry.registry)
        owned = sorted(partition.number for partition in self._worker.tasks.copy())
        moment = round(self._clock(), 3)
        with self._lock:
            for number in owned:
                history = self._histories.setdefault(number, History(_CAPACITY))
                history.add(moment, partitions.get(number, {}))
            self._now = {"t": moment, "state": self._worker.state, "worker": worker, "owned": owned,
                         "partitions": {number: partitions.get(number, {}) for number in owned}}  # fmt: skip
            self._number += 1

    # -- what a page is told

    def hello(self, partition: int | None) -> dict[str, Any]:
        """Return what a page needs once: names, and the past of a partition (by default the first one owned)."""
        with self._lock:
            chosen = self._chosen(partition)
            history = self._histories.get(chosen) if chosen is not None else None
            past = history.describe() if history is not None else {"t": []}
        model, topics = self._settings.model, self._settings.topics
        return {
            "version": __version__,
            "model": {"name": model.name, "task": model.task, "learner": model.learner},
            "topic": topics.events,
            "group": self._settings.kafka.group_id,
            "servers": self._settings.kafka.bootstrap_servers,
            "window": self._settings.monitor.window,
            "checkpoint_every_seconds": self._settings.checkpoint.every_seconds,
            "seconds": SAMPLE_SECONDS,
            "capacity": _CAPACITY,
            "partition": chosen,
            "history": past,
        }

    def news(self, partition: int | None) -> dict[str, Any]:
        """Return the newest sample, reduced to the worker's totals and one partition."""
        with self._lock:
            now = self._now
            chosen = self._chosen(partition)
        totals = {
            name: sum(_total(values.get(name)) for values in now["partitions"].values())
            for name in ("events", "lag", "dead_letters")
        }
        return {
            "t": now["t"],
            "state": now["state"],
            "owned": now["owned"],
            "partition": chosen,
            "worker": now["worker"],
            "totals": totals,
            "values": now["partitions"].get(chosen, {}),
        }

    def _chosen(self, partition: int | None) -> int | None:
        owned = self._now["owned"]
        return partition if partition in owned else next(iter(owned), None)

    async def events(self, partition: int | None) -> AsyncIterator[bytes]:
        """Yield server-sent events: a `hello`, then a `sample` each half second, and what was published since."""
        chosen, told, seen = -1, -1, -1
        while True:
            last = self._closing.is_set() and not any(thread.is_alive() for thread in self._threads)
            number, version = self._number, self._recent.version
            if number != told:
                news = self.news(partition)
                if told == -1 or news["partition"] != chosen:  # or a rebalance took it away
                    yield _event("hello", self.hello(partition))
                    chosen, seen = news["partition"], -1
                yield _event("sample", news)
                if chosen is not None and version != seen:
                    yield _event("recent", self._recent.describe(news["partition"]))
                told, seen = number, version
            if last:
                return
            await asyncio.sleep(SAMPLE_SECONDS / 4)


def _total(value: Any) -> float:
    """Return a number, or the sum over the labels of one that has some; nothing counts as 0."""
    return sum(each or 0 for each in value.values()) if isinstance(value, dict) else value or 0


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _encode(data) + b"\n\n"
