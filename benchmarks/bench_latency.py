"""From an event to its prediction at a given load, on a real Kafka: open loop, so that nobody waits for the slow one.

Events are due at fixed moments, whatever became of those before them, and their latency counts from the moment they
were due until a subscriber has the prediction: coordinated omission cannot hide a pause. One worker, one partition,
250-byte JSON events with 8 features; percentiles from HdrHistogram.

    python benchmarks/bench_latency.py [--json FILE] [--rate N] [--seconds N] [--only TEXT]
"""

import argparse
import json
import multiprocessing
import re
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import live
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from contenders import Command, loop, running, service
from hdrh.histogram import HdrHistogram

WARM_UP_SECONDS = 5.0
TICK_SECONDS = 0.001
LONGEST_US = 60_000_000
PERCENTILES = (50, 99, 99.9, 100)
NUMBER = re.compile(rb'"id":\s?"e-0-(\d+)"')


class Contender(NamedTuple):
    """What is run.

    Attributes:
        name: as printed.
        guarantee: of delivery.
        command: that runs it.
    """

    name: str
    guarantee: str
    command: Command


prompt = partial(service, profile="latency")
CONTENDERS = [
    Contender("nnstream, librdkafka, at least once", "at_least_once", prompt("librdkafka")),
    Contender(
        "nnstream, librdkafka, exactly once, commits every 50 ms", "exactly_once", prompt("librdkafka", commit_ms=50)
    ),
    Contender("nnstream, kafka-python, at least once", "at_least_once", prompt("kafka-python")),
    Contender("echo, librdkafka, at least once", "at_least_once", loop("echo@librdkafka", linger_ms=0)),
    Contender("River, plain loop, librdkafka, at least once", "at_least_once", loop("river@librdkafka", linger_ms=0)),
    Contender(
        "River, plain loop, kafka-python, at least once", "at_least_once", loop("river@kafka-python", linger_ms=0)
    ),
]

WARM_UP = loop("echo@librdkafka", linger_ms=0)


def send(servers: str, topic: str, start: float, rate: float, count: int) -> None:
    """Send each event when it is due; `start` is on the machine's monotonic clock."""
    values = live.events(count)
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0, "acks": 1})
    sent = 0
    while sent < count:
        due = min(count, int((time.monotonic() - start) * rate))
        while sent < due:
            producer.produce(topic, values[sent], None, 0)
            sent += 1
        producer.poll(0)
        time.sleep(TICK_SECONDS)
    producer.flush()


def subscriber(servers: str, topic: str) -> Consumer:
    """Return a consumer of the predictions from their first."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers, "group.id": "watch", "isolation.level": "read_committed",
            "enable.auto.commit": False, "fetch.wait.max.ms": 10, "fetch.queue.backoff.ms": 1,
        }
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, 0, 0)])
    return consumer


def latencies(servers: str, name: str, command: list[str], rate: float, seconds: float) -> HdrHistogram:
    """Return the latencies in µs of all events after the warm-up.

    Raises:
        RuntimeError: not every event was answered.
    """
    admin = AdminClient({"bootstrap.servers": servers})
    for made in admin.create_topics(
        [NewTopic(f"{name}-{kind}", 1, 1) for kind in ("events", "predictions")]
    ).values():
        made.result()
    histogram = HdrHistogram(1, LONGEST_US, 3)
    count, warm = int(rate * (WARM_UP_SECONDS + seconds)), int(rate * WARM_UP_SECONDS)
    with running(command):
        consumer = subscriber(servers, f"{name}-predictions")
        live.produce(servers, f"{name}-events", [b'{"id": "first", "features": {"feature_0": 1.0}, "label": 0}'])
        if consumer.poll(60) is None:
            raise RuntimeError("nothing came within a minute")
        start = time.monotonic() + 3.0
        sender = multiprocessing.Process(target=send, args=(servers, f"{name}-events", start, rate, count))
        sender.start()
        seen, deadline = 0, start + WARM_UP_SECONDS + seconds + 30
        while seen < count and time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            found = NUMBER.search(message.value())
            seen += 1
            if found is not None and int(found[1]) >= warm:
                histogram.record_value(max(1, int((time.monotonic() - start - int(found[1]) / rate) * 1e6)))
        sender.join()
        consumer.close()
    admin.delete_topics([f"{name}-events", f"{name}-predictions"])
    if seen < count:
        raise RuntimeError(f"{seen} predictions for {count} events")
    return histogram


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rate", type=float, default=5_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", default="", help="contenders with this in their name")
    args = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    missing: dict[str, str] = {}
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:
        warm_up = WARM_UP(servers, "warm-up", "at_least_once", Path(directory))
        latencies(servers, "warm-up", warm_up, args.rate, args.seconds)  # of the broker, whose code Java compiles now
        for number, (name, guarantee, command) in enumerate(each for each in CONTENDERS if args.only in each.name):
            run = f"run-{number}"
            try:
                line = command(servers, run, guarantee, Path(directory))
                found = latencies(servers, run, line, args.rate, args.seconds)
            except RuntimeError as error:
                missing[name] = str(error)
                continue
            results[name] = {f"p{p:g}": found.get_value_at_percentile(p) / 1000 for p in PERCENTILES}
    print(f"| ms at {args.rate:,.0f} events/s | p50 | p99 | p99.9 | longest |\n|---|---:|---:|---:|---:|")
    for name, row in results.items():
        print(f"| {name} | {' | '.join(f'{value:,.1f}' for value in row.values())} |")
    for name, reason in missing.items():
        print(f"\nleft out: {name} ({reason})")
    if args.json:
        args.json.write_text(json.dumps({"rate": args.rate, "ms": results, "left_out": missing}, indent=1) + "\n")


if __name__ == "__main__":
    main()
