"""What monitoring costs, and whether it keeps quiet where nothing happens.

    python benchmarks/bench_monitor.py [--json FILE] [--part quiet|cost|topics]

`quiet`: alerts, all settings at their defaults, in 100,000 events of streams that do not change. `cost`: processor
time of a partition's stages (no Kafka), with monitoring on and off, turn by turn. `topics`: the same with a real
Kafka, from the first prediction to the last.
"""

import json
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import live
import numpy as np
import parts
from river.datasets import synth

from service.formats.json_object import JsonFormat
from service.records import Outgoing, Partition, Record
from service.recovery import Checkpoints
from service.settings import Settings, settings_from
from service.task import Task
from service.telemetry import Telemetry
from service.testing import InlineExecutor, MemoryLog, MemoryPublisher, MemoryStore
from service.wiring import model_spec

BLOCK, STATIONARY, WARM = 500, 100_000, 2_000
PARTITION = Partition("events", 0)
LEARNERS = ("ensemble", "network")
Sample = tuple[dict[str, Any], Any]


# -- streams that do not change


def flipped(share: float, samples: Iterator[Sample], seed: int) -> Iterator[Sample]:
    """Return a stream of two classes with so many labels wrong."""
    rng = np.random.default_rng(seed)
    return ((x, int(y) ^ int(rng.random() < share)) for x, y in samples)


def shop(seed: int) -> Iterator[Sample]:
    """Return purchases: skewed amounts, categories, missing values, one class in fifty."""
    rng = np.random.default_rng(seed)
    while True:
        amount, country = (
            float(rng.lognormal(3, 1)),
            str(rng.choice(["NL", "BE", "DE", "FR"], p=[0.6, 0.2, 0.15, 0.05])),
        )
        age = None if rng.random() < 0.1 else int(rng.integers(18, 90))  # fmt: skip
        yield {"amount": amount, "country": country, "age": age}, bool(rng.random() < 0.01 + 0.2 * (amount > 100))


def heavy(seed: int) -> Iterator[Sample]:
    """Return a number with errors of heavy tails."""
    rng = np.random.default_rng(seed)
    while True:
        a, b, c = rng.normal(size=3).tolist()
        yield {"a": a, "b": b, "c": c}, 3 * a + b * c + float(rng.standard_t(3))


def numbers(seed: int) -> Iterator[Sample]:
    """Return the events of benchmarks/live.py."""
    for value in live.events(STATIONARY, seed):
        event = json.loads(value)
        yield event["features"], event["label"]


STREAMS: dict[str, tuple[str, Callable[[int], Iterator[Sample]]]] = {
    "eight numbers": ("classification", numbers),
    "hyperplane": ("classification", lambda s: iter(synth.Hyperplane(seed=s, mag_change=0.0, noise_percentage=0.05))),
    "SEA, 20 % of the labels wrong": ("classification", lambda s: flipped(0.2, iter(synth.SEA(1, seed=s)), s)),
    "sine": ("classification", lambda s: iter(synth.Sine(0, seed=s))),
    "LED, 10 % noise": ("classification", lambda s: iter(synth.LED(seed=s, noise_percentage=0.1))),
    "purchases, rare class": ("classification", shop),
    "friedman": ("regression", lambda s: iter(synth.Friedman(seed=s))),
    "planes 2D": ("regression", lambda s: iter(synth.Planes2D(seed=s))),
    "heavy tails": ("regression", heavy),
}


def written(samples: Iterator[Sample], count: int) -> MemoryLog:
    """Return a log of labelled events, a millisecond apart."""
    log, start = MemoryLog([PARTITION]), 1_700_000_000_000
    for i, (x, y) in enumerate(islice(samples, count)):
        features = {str(name): value for name, value in x.items()}
        event = {"id": i, "ts": start + i, "features": features, "label": y}
        log.append(PARTITION, json.dumps(event, default=_plain).encode(), timestamp_ms=start + i)
    return log


def _plain(value: Any) -> Any:
    return value.item()


class Alerts(MemoryPublisher):
    """Keeps the alerts alone."""

    def send(self, records: Sequence[Outgoing]) -> None:
        """Hand records over."""
        super().send([record for record in records if record.topic == "alerts"])


def task_of(settings: Settings, publisher: MemoryPublisher, telemetry: Telemetry | None = None) -> Task:
    """Return the stages of a partition, without Kafka."""
    metrics = (telemetry or Telemetry("default")).partition(PARTITION)
    checkpoints = Checkpoints(PARTITION, settings.checkpoint, MemoryStore(), InlineExecutor(), metrics)
    task = Task(PARTITION, settings, model_spec(settings.model), form=JsonFormat(), publisher=publisher,
                checkpoints=checkpoints, metrics=metrics)  # fmt: skip
    task.begin(0)
    return task


def alerts_of(log: MemoryLog, count: int, model: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alerts that a service of default settings raises on a log."""
    publisher = Alerts()
    stages, records = task_of(settings_from({"model": model}), publisher), log.read(PARTITION, 0, count)
    for start in range(0, count, BLOCK):
        stages.process(records[start : start + BLOCK])
    return [json.loads(record.value or b"") for record in publisher.pending]


def quiet(seeds: Sequence[int] = range(3, 6)) -> list[dict[str, Any]]:
    """Return the alerts of each stationary stream, learner and seed."""
    table = []
    for name, (task, make) in STREAMS.items():
        for seed in seeds:
            log = written(make(seed), STATIONARY)
            for learner in LEARNERS:
                alerts = alerts_of(log, STATIONARY, {"task": task, "learner": learner})
                told = [f"{a['signal']} {a.get('feature', '')} at {a['source']['offset']:,} "
                        f"({a.get('before')} -> {a.get('after')}, {a['distance']:.2f})" for a in alerts]  # fmt: skip
                table.append({"stream": name, "seed": seed, "learner": learner, "alerts": told})
                print(f"{name:30} seed {seed} {learner:9} {len(told)} alerts {'; '.join(told)}", flush=True)
    silent = sum(not row["alerts"] for row in table)
    print(f"no alert in {STATIONARY:,} events: {silent} of {len(table)} runs")
    return table


# -- what it costs


def cost(turns: int = 15) -> dict[str, float]:
    """Return the share of events a second that monitoring takes, of each learner, without Kafka."""
    count = 50_000
    records = written(numbers(0), count).read(PARTITION, 0, count)
    return {learner: compared(learner, turns, count, lambda s: _stages_seconds(s, records)) for learner in LEARNERS}


def compared(learner: str, turns: int, count: int, seconds: Callable[[Settings], float]) -> float:
    """Time both ways turn by turn, print it, and return the share of events a second that is lost.

    What is lost is the median over the turns: each turn's two times had the same neighbours on this machine.
    """
    made = {on: settings_from({"monitor": {"enabled": on}, "model": {"learner": learner}}) for on in (True, False)}
    spent: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(turns + 1):
        for on in (True, False) if turn % 2 else (False, True):
            took = seconds(made[on])
            if turn:  # the first turn warms up
                spent[on].append(took)
    lost = float(np.median([1 - off / on for on, off in zip(spent[True], spent[False], strict=True)]))
    rates = {on: count / float(np.median(each)) for on, each in spent.items()}
    print(f"{learner:9} {rates[False]:8,.0f} events/s without monitoring, {rates[True]:8,.0f} with it;"
          f" turn by turn {lost:.1%} less", flush=True)  # fmt: skip
    return lost


def _stages_seconds(settings: Settings, records: Sequence[Record]) -> float:
    stages = task_of(settings, MemoryPublisher())
    start = time.process_time()
    for first in range(0, len(records), BLOCK):
        stages.process(records[first : first + BLOCK])
    return time.process_time() - start


def topics(turns: int = 7) -> dict[str, float]:
    """Return the share of events a second that monitoring takes, of each learner, from topic to topic."""
    count, names = 60_000, iter(f"m{i}" for i in range(1000))
    values = live.events(count)
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:

        def seconds(settings: Settings) -> float:
            name = next(names)
            config = live.settings(
                servers, name, Path(directory), model={"learner": settings.model.learner},
                monitor={"enabled": settings.monitor.enabled},
            )  # fmt: skip
            service = live.serve(config)
            try:
                with closing(live.Predictions(servers, f"{name}-predictions")) as predictions:
                    live.produce(servers, f"{name}-events", values[:WARM])
                    predictions.wait(WARM)
                    service.send_signal(signal.SIGSTOP)  # it would share the processor with who produces
                    live.produce(servers, f"{name}-events", values)
                    service.send_signal(signal.SIGCONT)
                    begin = time.monotonic()
                    return predictions.wait(WARM + count) - begin
            finally:
                service.terminate()
                service.wait(60)

        return {learner: compared(learner, turns, count, seconds) for learner in LEARNERS}


PARTS: dict[str, Callable[[], Any]] = {"quiet": quiet, "cost": cost, "topics": topics}


if __name__ == "__main__":
    parts.run(PARTS, __doc__)
