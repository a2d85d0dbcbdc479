"""Events a second from topic to topic, on a real Kafka: the service beside bare echo loops and other ways to do it.

Each contender is a process of its own, one worker on one partition, and finds the same 250-byte JSON events with 8
features in its topic. Time is counted from its first commit after a warm-up to the one after the last event, and
every event must then have its prediction. Processor time is that of the whole process, threads of its client too:
what else runs on the machine slows events down, but costs the process nothing. Rounds are interleaved; medians.

    python benchmarks/bench_throughput.py [--json FILE] [--plot FILE] [--rounds N] [--only TEXT]
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import live
import peers
from confluent_kafka import Consumer, TopicPartition
from contenders import OURS, Command, loop, running, service
from progress import Progress

GUARANTEES = ("at_least_once", "exactly_once")


class Contender(NamedTuple):
    """What is run.

    Attributes:
        name: as printed.
        events: how many it is given after the warm-up.
        command: that runs it.
        guarantees: that it knows.
        commits: whether it commits the offsets of a group; its predictions are watched otherwise.
    """

    name: str
    events: int
    command: Command
    guarantees: Sequence[str] = GUARANTEES
    commits: bool = True


class Measured(NamedTuple):
    """What one run gave.

    Attributes:
        rate: events a second.
        cost: µs of processor time an event.
    """

    rate: float
    cost: float


Results = dict[str, dict[str, Measured]]


rapid = partial(service, max_batch=2000)
CONTENDERS = [
    Contender(f"{OURS}, one network 8-32-1, librdkafka", 400_000, rapid("librdkafka", "network")),
    Contender(f"{OURS}, default ensemble, librdkafka", 300_000, rapid("librdkafka", "ensemble")),
    Contender("echo, librdkafka", 600_000, loop("echo@librdkafka")),
    Contender(f"{OURS}, one network 8-32-1, kafka-python", 100_000, rapid("kafka-python", "network")),
    Contender(f"{OURS}, default ensemble, kafka-python", 100_000, rapid("kafka-python", "ensemble")),
    Contender("echo, kafka-python", 100_000, loop("echo@kafka-python")),
    Contender("River, plain loop, librdkafka", 60_000, loop("river@librdkafka")),
    Contender("River, plain loop, kafka-python", 40_000, loop("river@kafka-python")),
    Contender("River, Quix Streams", 30_000, loop("quix", python=peers.interpreter)),
    Contender("River, Bytewax", 40_000, loop("bytewax", python=peers.interpreter), ("at_least_once",), commits=False),
    Contender("deep-river, plain loop, librdkafka", 6_000, loop("deep-river@librdkafka", python=peers.interpreter)),
]  # fmt: skip
WARM_UP = Contender("echo, to warm up", 1_000_000, loop("echo@librdkafka"))


class Bench:
    """The cluster, and the events that everybody gets.

    Args:
        servers: of Kafka.
        directory: for settings.
    """

    def __init__(self, servers: str, directory: Path) -> None:
        self._servers, self._directory = servers, directory
        self._progress = Progress(servers)
        self._values = live.events(100_000)
        self._runs = 0

    def run(self, contender: Contender, guarantee: str) -> Measured:
        """Measure one run.

        Raises:
            RuntimeError: it ended, stood still, or did not answer everything.
        """
        self._runs += 1
        name = f"run-{self._runs}"
        warm = contender.events // 5
        self._progress.prepare(name, self._values, warm + contender.events)
        with running(contender.command(self._servers, name, guarantee, self._directory)) as process:
            done = None if contender.commits else partial(self._progress.written, f"{name}-predictions")
            first = self._progress.wait(process, name, warm, done=done)
            last = self._progress.wait(process, name, warm + contender.events, done=done)
        found = self._count(f"{name}-predictions", warm + contender.events)
        self._progress.admin.delete_topics([f"{name}-events", f"{name}-predictions"])
        if found < warm + contender.events:
            raise RuntimeError(f"{contender.name}: {found} predictions for {warm + contender.events} events")
        count = last.done - first.done
        return Measured(count / (last.seconds - first.seconds), (last.busy - first.busy) / count * 1e6)

    def _count(self, topic: str, most: int) -> int:
        """Return how many records a topic holds for those who read committed ones."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._servers, "group.id": "count", "enable.partition.eof": True,
                "isolation.level": "read_committed", "enable.auto.commit": False,
            }
        )  # fmt: skip
        consumer.assign([TopicPartition(topic, 0, 0)])
        count, at_end = 0, False
        while count < most and not at_end:
            for message in consumer.consume(10_000, 1.0):
                at_end |= message.error() is not None
                count += message.error() is None
        consumer.close()
        return count


def measure(rounds: int, only: str) -> tuple[Results, dict[str, str]]:
    """Return the medians by guarantee and contender, and why some were left out."""
    taken: dict[str, dict[str, list[Measured]]] = {guarantee: {} for guarantee in GUARANTEES}
    missing: dict[str, str] = {}
    contenders = [each for each in CONTENDERS if only in each.name]
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:
        bench = Bench(servers, Path(directory))
        bench.run(WARM_UP, "at_least_once")  # of the broker, whose code Java compiles now
        for _ in range(rounds):
            for contender in contenders:
                for guarantee in contender.guarantees if contender.name not in missing else ():
                    try:
                        found = bench.run(contender, guarantee)
                    except RuntimeError as error:
                        missing[contender.name] = str(error)
                        break
                    taken[guarantee].setdefault(contender.name, []).append(found)
                    print(
                        f"{contender.name:45} {guarantee:14} {found.rate:10,.0f} {found.cost:8.1f}", file=sys.stderr
                    )
    medians = {
        guarantee: {name: Measured(*map(statistics.median, zip(*runs, strict=True))) for name, runs in by.items()}
        for guarantee, by in taken.items()
    }
    return medians, missing


def table(results: Results) -> str:
    """Return the results as Markdown."""
    lines = [
        "| from topic to topic | at least once, events/s | processor, µs | exactly once, events/s | processor, µs |",
        "|---|---:|---:|---:|---:|",
    ]
    first = results[GUARANTEES[0]]
    for name in sorted(first, key=lambda name: first[name].cost):
        found = [results[guarantee].get(name) for guarantee in GUARANTEES]
        cells = [" | " if each is None else f"{each.rate:,.0f} | {each.cost:,.1f}" for each in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(results: Results, path: Path) -> None:
    """Draw the rates as bars."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    first = results[GUARANTEES[0]]
    names = sorted(first, key=lambda name: first[name].rate)
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for shift, guarantee, colour in ((0.2, "at_least_once", "#3b6fb6"), (-0.2, "exactly_once", "#9db8dc")):
        axes.barh(
            [i + shift for i in range(len(names))],
            [results[guarantee][name].rate if name in results[guarantee] else 0 for name in names],
            0.4,
            label=guarantee.replace("_", " "),
            color=colour,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xscale("log")
    axes.set_xlabel("events a second, logarithmic")
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="contenders with this in their name")
    args = parser.parse_args()
    results, missing = measure(args.rounds, args.only)
    print(table(results))
    for name, reason in missing.items():
        print(f"\nleft out: {name} ({reason})")
    if args.json:
        data = {g: {name: each._asdict() for name, each in by.items()} for g, by in results.items()}
        args.json.write_text(json.dumps({"results": data, "left_out": missing}, indent=1) + "\n")
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    main()
