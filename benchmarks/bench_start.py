"""How soon a service answers, and how much memory it takes: beside the loops that do the same with River.

    python benchmarks/bench_start.py [--json FILE] [--part imports|first|memory]

`imports`: seconds in which Python imports what each needs, its own start and end left out. `first`: from the start
of the process until a subscriber has the first prediction, on a real Kafka, kernels compiled before. `memory`: of it
after 100,000 events; what it shares with other processes, such as libraries, counts in full.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import live
import parts
import peers
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from contenders import Command, loop, running, service

ROUNDS = 5
EVENTS = 100_000
IMPORTS = {
    "nnstream serve": (sys.executable, "import gc; gc.disable(); import service.cli, service.serve"),
    "River, kafka-python": (sys.executable, "import kafka, river.linear_model, river.preprocessing"),
    "deep-river, PyTorch": (None, "import deep_river.classification"),
    "River, Quix Streams": (None, "import quixstreams, river.linear_model, river.preprocessing"),
}
CONTENDERS: dict[str, tuple[int, Command]] = {  # events, and how it is run
    "nnstream, librdkafka": (EVENTS, service("librdkafka", "ensemble")),
    "nnstream, kafka-python": (EVENTS, service("kafka-python", "ensemble")),
    "River, plain loop, librdkafka": (EVENTS, loop("river@librdkafka")),
    "River, plain loop, kafka-python": (EVENTS, loop("river@kafka-python")),
    "deep-river, plain loop, librdkafka": (EVENTS // 20, loop("deep-river@librdkafka", python=peers.interpreter)),
}


def imports() -> dict[str, float]:
    """Return the median seconds of each, its own start and end left out."""
    found = {}
    for name, (python, code) in IMPORTS.items():
        try:
            interpreter = python or str(peers.interpreter())
        except RuntimeError as error:
            print(f"{name:36} left out: {error}")
            continue
        took = [_seconds(interpreter, code) - _seconds(interpreter, "pass") for _ in range(ROUNDS + 1)][1:]
        found[name] = statistics.median(took)
        print(f"{name:36} {found[name]:6.2f} s of imports", flush=True)
    return found


def _seconds(python: str, code: str) -> float:
    start = time.perf_counter()
    subprocess.run([python, "-c", f"{code}; import os; os._exit(0)"], check=True, cwd=live.ROOT)
    return time.perf_counter() - start


def first() -> dict[str, float]:
    """Return the median seconds from the start of each to its first prediction."""
    found: dict[str, list[float]] = {}
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:
        for turn in range(ROUNDS):
            for number, (name, (_, command)) in enumerate(_present().items()):
                consumer = _prepared(servers, run := f"first-{turn}-{number}", 10)
                start = time.monotonic()
                with running(command(servers, run, "at_least_once", Path(directory))):
                    _read(consumer, 1)
                    found.setdefault(name, []).append(time.monotonic() - start)
                consumer.close()
    medians = {name: statistics.median(each) for name, each in found.items()}
    for name, median in medians.items():
        print(f"{name:36} {median:6.2f} s to the first prediction")
    return medians


def memory() -> dict[str, dict[str, float]]:
    """Return the megabytes of each, all and not shared, after its events."""
    found = {}
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:
        for number, (name, (events, command)) in enumerate(_present().items()):
            consumer = _prepared(servers, run := f"memory-{number}", events)
            with running(command(servers, run, "at_least_once", Path(directory))) as process:
                _read(consumer, events)
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            consumer.close()
            size = {line.partition(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.endswith("kB")}
            found[name] = {"resident": size["VmRSS"], "its_own": size["RssAnon"]}
            print(f"{name:36} {size['VmRSS']:6.0f} MB, of which its own {size['RssAnon']:4.0f} MB", flush=True)
    return found


def _present() -> dict[str, tuple[int, Command]]:
    try:
        peers.interpreter()
    except RuntimeError as error:
        print(f"deep-river left out: {error}")
        return {name: each for name, each in CONTENDERS.items() if "deep-river" not in name}
    return CONTENDERS


def _prepared(servers: str, name: str, events: int) -> Consumer:
    """Make the topics, fill in events; return a consumer of the predictions that is ready."""
    admin = AdminClient({"bootstrap.servers": servers})
    topics = [NewTopic(f"{name}-{kind}", 1, 1) for kind in ("events", "predictions")]
    for made in admin.create_topics(topics).values():
        made.result()
    live.produce(servers, f"{name}-events", live.events(events))
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "watch", "fetch.wait.max.ms": 10})
    consumer.assign([TopicPartition(f"{name}-predictions", 0, 0)])
    consumer.poll(1.0)
    return consumer


def _read(consumer: Consumer, count: int) -> None:
    deadline = time.monotonic() + 120
    while count > 0:
        count -= sum(message.error() is None for message in consumer.consume(count, 0.2))
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count} predictions did not come")


if __name__ == "__main__":
    parts.run({"imports": imports, "first": first, "memory": memory}, __doc__)
