"""What exactly-once costs beside at-least-once, on a real Kafka: one partition, 100 ms between commits.

Both services are fed the same events by turns; the table shows medians of events a second, from the first prediction
to the last. Bar: exactly-once costs at most 25 %.

    python benchmarks/bench_delivery.py [--json] [--events N] [--repetitions N]
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import live

MOST_COST = 0.25


def rate(servers: str, name: str, directory: Path, guarantee: str, values: list[bytes]) -> float:
    """Return events a second of one service on `values`, which lie in its topic before it starts."""
    delivery = {"guarantee": guarantee, "commit_interval_ms": 100}
    config = live.settings(
        servers, name, directory, delivery=delivery, model={"learner": "network"}, kafka={"max_batch": 2000}
    )
    process = live.serve(config)
    try:
        predictions = live.Predictions(servers, f"{name}-predictions")
        live.produce(servers, f"{name}-events", values[:1000])
        start = predictions.wait(1000)
        live.produce(servers, f"{name}-events", values)
        end = predictions.wait(1000 + len(values))
        predictions.close()
    finally:
        process.terminate()
        process.wait(60)
    return len(values) / (end - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    values = live.events(arguments.events)
    rates: dict[str, list[float]] = {"at_least_once": [], "exactly_once": []}
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:
        for repetition in range(arguments.repetitions):
            for guarantee, found in rates.items():
                name = f"{guarantee.replace('_', '-')}-{repetition}"
                found.append(rate(servers, name, Path(directory), guarantee, values))
    medians = {guarantee: statistics.median(found) for guarantee, found in rates.items()}
    cost = 1 - medians["exactly_once"] / medians["at_least_once"]
    result = {"events_per_second": medians, "cost": cost, "bar": MOST_COST}
    if arguments.json:
        print(json.dumps(result))
    else:
        for guarantee, median in medians.items():
            print(f"{guarantee:15} {median:10,.0f} events/s")
        print(f"exactly-once costs {100 * cost:.0f} % (bar: at most {100 * MOST_COST:.0f} %)")
    return int(cost > MOST_COST)


if __name__ == "__main__":
    sys.exit(main())
