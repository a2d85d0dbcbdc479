"""What each stage of an event costs, without Kafka: beside the same steps of a plain loop around River.

    python benchmarks/bench_stages.py [--json FILE] [--rounds N] [--flame FILE.svg]

µs an event, medians over interleaved rounds, of 250-byte JSON events with 8 features: in polls of 2,000, as under
full load, and of 5, as at a few thousand events a second. `rest` is what a partition does between its stages, its
metrics above all. `--flame` writes a flame graph of polls of 500 instead (py-spy).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import live
from bench_monitor import PARTITION, task_of
from river import linear_model, preprocessing

from service.records import Record
from service.serve import collect_rarely
from service.settings import settings_from
from service.telemetry import Stage, Telemetry
from service.testing import MemoryLog, MemoryPublisher

EVENTS, POLLS = 40_000, (2_000, 5)
STAGES = (Stage.DECODE, Stage.LEARN, Stage.PUBLISH, Stage.MONITOR)
Costs = dict[str, float]


class Nowhere(MemoryPublisher):
    """Keeps nothing."""

    def send(self, records: Any) -> None:
        """Forget them."""


def ours(learner: str, poll: int, records: list[Record], times: int = 1) -> Costs:
    """Return the µs an event of each stage."""
    telemetry = Telemetry("default")
    task = task_of(settings_from({"model": {"learner": learner}}), Nowhere(), telemetry)
    start = 0.0
    for turn in range(-1, times):  # the first warms up
        for first in range(0, len(records), poll):
            task.process(records[first : first + poll])
        if turn == -1:
            before, start = _stage_seconds(telemetry), time.perf_counter()
    total, after = time.perf_counter() - start, _stage_seconds(telemetry)
    per_event = 1e6 / len(records) / times
    costs = {stage.value: (after[stage] - before[stage]) * per_event for stage in STAGES}
    return costs | {"rest": total * per_event - sum(costs.values()), "all": total * per_event}


def _stage_seconds(telemetry: Telemetry) -> dict[str, float]:
    samples = [sample for family in telemetry.stage_seconds.collect() for sample in family.samples]
    return {sample.labels["stage"]: sample.value for sample in samples if sample.name.endswith("_sum")}


def river(values: list[bytes]) -> Costs:
    """Return the µs an event of each step of a plain loop."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    spent = dict.fromkeys(("decode", "learn", "publish"), 0.0)
    for value in values:
        start = time.perf_counter()
        event = json.loads(value)
        decoded = time.perf_counter()
        shares = model.predict_proba_one(event["features"])
        model.learn_one(event["features"], bool(event["label"]))
        learned = time.perf_counter()
        body = {str(int(name)): share for name, share in shares.items()}
        json.dumps({"id": event["id"], "probabilities": body, "label": event["label"]}).encode()
        spent["decode"] += decoded - start
        spent["learn"] += learned - decoded
        spent["publish"] += time.perf_counter() - learned
    costs = {name: seconds / len(values) * 1e6 for name, seconds in spent.items()}
    return costs | {"all": sum(costs.values())}


def written() -> list[Record]:
    """Return the events as records."""
    log = MemoryLog([PARTITION])
    for i, value in enumerate(live.events(EVENTS)):
        log.append(PARTITION, value, timestamp_ms=1_700_000_000_000 + i)
    return log.read(PARTITION, 0, EVENTS)


def measure(rounds: int) -> dict[str, Costs]:
    """Return the median costs of all contenders."""
    records = written()
    contenders: dict[str, Callable[[], Costs]] = {
        f"{learner}, polls of {poll:,}": partial(ours, learner, poll, records[: 20 * max(poll, 400)])
        for learner in ("network", "ensemble") for poll in POLLS
    }  # fmt: skip
    contenders["River, plain loop"] = lambda: river([record.value or b"" for record in records[:10_000]])
    taken: dict[str, list[Costs]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            taken[name].append(run())
    return {
        name: {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
        for name, runs in taken.items()
    }


def flame(path: Path) -> None:
    """Write a flame graph of a network's stages."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import bench_stages as b; "
        "b.ours('network', 500, b.written(), times=80)"
    )
    command = [Path(sys.executable).with_name("py-spy"), "record", "--rate", "500", "--output", path, "--"]
    subprocess.run([*command, sys.executable, "-c", code], check=True, cwd=live.ROOT)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flame", type=Path)
    args = parser.parse_args()
    collect_rarely()
    if args.flame:
        flame(args.flame)
        return
    found = measure(args.rounds)
    columns = [*(stage.value for stage in STAGES), "rest", "all"]
    print(f"| µs an event | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name, costs in found.items():
        print(f"| {name} | {' | '.join(f'{costs[c]:.2f}' if c in costs else '' for c in columns)} |")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
