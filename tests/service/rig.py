"""Shared by the service's tests: a worker of fakes, and streams of events to feed it."""

import json
from functools import partial

import msgspec
import numpy as np

from service.connection import Connection
from service.formats.known import FORMATS
from service.records import Partition
from service.recovery import Checkpoints
from service.settings import settings_from
from service.standby import Standby
from service.task import Task
from service.telemetry import Telemetry
from service.testing import FakeClock, InlineExecutor, MemoryLog, MemoryPublisher, MemorySource, MemoryStore
from service.wiring import model_spec
from service.worker import Worker

P0 = Partition("events", 0)
P1 = Partition("events", 1)
NETWORK = {"learner": "network", "network": {"hidden": [4]}}


def make_settings(**sections):
    """Settings with a small network that commits after every poll."""
    data = {"model": NETWORK, "delivery": {"commit_interval_ms": 0}}
    for section, values in sections.items():
        data[section] = data.get(section, {}) | values
    return settings_from(data)


COUNT = 90
PATIENT = make_settings(delivery={"commit_interval_ms": 1000})
OFTEN = make_settings(checkpoint={"every_events": 10, "keep": 3})


def kinds(journal, *wanted):
    """The calls of some kinds, in order."""
    return [entry[0] for entry in journal if entry[0] in wanted]


def events(count, seed=0):
    """JSON values of events: features and classes that come, missing values, bad ones, some without a label."""
    rng = np.random.default_rng(seed)
    out = []
    for i in range(count):
        features = {"x": float(rng.normal()), "y": float(rng.normal())}
        if i > count // 3:
            features["kind"] = "abc"[rng.integers(3)]
        if rng.random() < 0.1:
            features["y"] = None
        event = {"id": f"e-{i}", "features": features}
        if rng.random() < 0.9:
            event["label"] = "up" if features["x"] > 0 else "down" if i < count // 2 else "away"
        out.append(b"no JSON" if i % 17 == 5 else json.dumps(event).encode())
    return out


def filled_log(count, partitions=(P0,)):
    log = MemoryLog(partitions)
    for partition in partitions:
        for value in events(count, seed=partition.number):
            log.append(partition, value, key=b"key")
    return log


class Rig:
    """A worker on fakes; `again` is the worker that comes after a crash, with what a crash leaves."""

    def __init__(
        self,
        log,
        settings=None,
        store=None,
        journal=None,
        clock=None,
        identity=None,
        watcher=None,
        start=None,
        **source,
    ):
        self.settings = settings or make_settings()
        self.journal = [] if journal is None else journal
        self.log, self.store = log, store or MemoryStore(self.journal)
        self.source = MemorySource(log, journal=self.journal, **source)
        self.publisher = MemoryPublisher(self.journal, identity)
        self.clock = clock or FakeClock()
        self.watcher, self.start = watcher, start
        self.telemetry = Telemetry(self.settings.model.name)
        self.spec = model_spec(self.settings.model)
        self.worker = Worker(
            self.settings, connect=self.connect, new_task=self.new_task, standby=self.standby(),
            telemetry=self.telemetry, clock=self.clock,
        )  # fmt: skip
        self.source.on_end = self.worker.stop

    def standby(self):
        unseen = Telemetry(self.settings.model.name)
        return Standby(self.settings, partial(self.new_task, telemetry=unseen), self.telemetry, self.clock)

    def reconnect_with(self, **source):
        """Let the second connection have a source of its own, as a new client would."""
        once = iter([self.source])
        fresh = lambda: MemorySource(self.log, journal=self.journal, **source)  # noqa: E731

        def connect():
            self.source = next(once, None) or fresh()
            self.source.on_end = self.worker.stop
            self.publisher.pending.clear()
            return Connection(self.source, self.publisher, self.store)

        self.worker._connect = connect

    def connect(self):
        return Connection(self.source, self.publisher, self.store)

    def new_task(self, partition, connection, telemetry=None):
        metrics = (telemetry or self.telemetry).partition(partition)
        checkpoints = Checkpoints(
            partition, self.settings.checkpoint, connection.store, InlineExecutor(), metrics, self.clock
        )
        return Task(
            partition, self.settings, self.spec, start=self.start and self.start(),
            form=FORMATS[self.settings.topics.format](), publisher=connection.publisher, checkpoints=checkpoints,
            metrics=metrics, watcher=self.watcher,
        )  # fmt: skip

    def run(self):
        self.worker.run()
        return self

    def started(self, steps=1):
        """Go a few polls without leaving the group."""
        self.worker.begin(self.connect())
        for _ in range(steps):
            self.worker.step()
        return self

    def again(self, settings=None, **source):
        return Rig(self.log, settings or self.settings, self.store, **source)

    def final(self, partition=P0):
        """The bytes of the checkpoint at the end of the log."""
        return self.store.data[partition, self.log.end(partition)]

    def published(self):
        """Durable records by topic: between topics there is no order."""
        return {topic: self.publisher.topic(topic) for topic in ("predictions", "dead-letters", "alerts")}

    def predictions(self):
        """Durable prediction records by partition and offset."""
        out = {}
        for record in self.publisher.topic(self.settings.topics.predictions):
            source = msgspec.json.decode(record.value)["source"]
            out.setdefault((source["partition"], source["offset"]), []).append(record)
        return out


def table(rows):
    """A CSV file of rows with the columns a, b, kind and y."""
    return "a,b,kind,y\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n"


def two_classes(count):
    """A CSV file with the classes up and down, which follow from a."""
    return table([(i % 7, (i * 5) % 11, "xy"[i % 2], "up" if i % 7 > 3 else "down") for i in range(count)])
