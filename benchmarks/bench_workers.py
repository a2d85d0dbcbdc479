"""What a second worker brings: `nnstream serve --workers 2` beside one worker, two partitions, a real Kafka.

    python benchmarks/bench_workers.py [--json FILE] [--part machine|ensemble|wide]

Events a second from the first commit after a warm-up to the last, at least once; rounds in turns, medians. On two
processors the broker takes its share of what one worker leaves idle: `wide` is a network 8-256-128-1, whose learning
outweighs the broker's work by far; `ensemble` is the default learner. `machine` says what it gives two processes that
only count, since virtual processors may share a core.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import live
import parts
from contenders import running
from progress import Progress, busy_seconds

ROUNDS = 3
WARM_UP, FEW = 0.2, 4000
MODELS: dict[str, tuple[int, dict[str, Any]]] = {  # events in all, and the model
    "ensemble": (400_000, {"learner": "ensemble"}),
    "wide": (200_000, {"learner": "network", "network": {"hidden": [256, 128]}}),
}


class Bench:
    """A cluster, and the same events for everybody.

    Args:
        servers: of Kafka.
        directory: for settings.
    """

    def __init__(self, servers: str, directory: Path) -> None:
        self._servers, self._directory, self._runs = servers, directory, 0
        self._progress, self._values = Progress(servers), live.events(100_000)

    def run(self, workers: int, count: int, model: dict[str, Any]) -> tuple[float, float]:
        """Return events a second, and µs of processor time an event."""
        self._runs += 1
        name = f"workers-{self._runs}"
        self._progress.prepare(name, self._values, FEW, partitions=2)
        config = live.settings(
            self._servers, name, self._directory, model=model, kafka={"client": "librdkafka", "max_batch": 2000},
            delivery={"guarantee": "at_least_once", "commit_interval_ms": 100},
        )  # fmt: skip
        command = [sys.executable, "-m", "service", "serve", str(config), "--workers", str(workers)]
        with running(command) as process:

            def busy() -> float:
                return sum(map(busy_seconds, _pids(process.pid, workers)))

            self._progress.shared_out(name, workers)
            self._progress.wait(process, name, FEW)
            with stopped(_pids(process.pid, workers)):
                self._progress.fill(name, self._values, count, partitions=2)
            first = self._progress.wait(process, name, FEW + int(count * WARM_UP), busy)
            last = self._progress.wait(process, name, FEW + count, busy)
        done = last.done - first.done
        return done / (last.seconds - first.seconds), (last.busy - first.busy) / done * 1e6


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Stop processes for as long as the block takes."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _pids(pid: int, workers: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] if workers == 1 else [int(child) for child in children]


def measure(name: str) -> dict[str, Any]:
    """Return the medians of one and of two workers with a model."""
    count, model = MODELS[name]
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:
        bench = Bench(servers, Path(directory))
        for _ in range(ROUNDS):
            for workers, runs in found.items():
                runs.append(bench.run(workers, count, model))
    rate, cost = ({w: statistics.median(run[k] for run in runs) for w, runs in found.items()} for k in (0, 1))
    result = {"rates": rate, "costs_us": cost, "ratio": rate[2] / rate[1], "ratio_by_cost": 2 * cost[1] / cost[2]}
    one, two = (f"{rate[w]:,.0f} events/s ({cost[w]:.1f} µs each)" for w in (1, 2))
    print(f"{name}: one worker {one}, two {two}: {result['ratio']:.2f} times;"
          f" with a processor each {result['ratio_by_cost']:.2f} times", flush=True)  # fmt: skip
    return result


def machine() -> dict[str, float]:
    """Return how much more two processes count than one."""
    found = {count: statistics.median(_counted(count) for _ in range(ROUNDS)) for count in (1, 2)}
    ratio = 2 * found[1] / found[2]
    print(f"machine: two processes count {ratio:.2f} times as much as one", flush=True)
    return {"ratio": ratio}


def _counted(processes: int) -> float:
    """Return the seconds of the slowest of so many."""
    code = "import time; s = time.perf_counter()\nfor i in range(20_000_000): pass\nprint(time.perf_counter() - s)"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(processes)]
    return max(float(each.communicate()[0]) for each in running)


if __name__ == "__main__":
    parts.run({"machine": machine} | {name: partial(measure, name) for name in MODELS}, __doc__)
