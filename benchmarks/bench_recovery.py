"""From SIGKILL of a worker to its successor's first live prediction, on a real Kafka, 3 s session timeout.

A checkpoint of about 5 MB (the default learner, and 11,000 events that wait for their label) lies 100,000 events
behind the commit. With a standby the bar is 5 s, for a restart of a
single worker 10 s; of both, the session timeout alone takes up to 3.

    python benchmarks/bench_recovery.py [--json] [--repetitions N]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import live

REPLAYED = 100_000
BARS = {"standby": 5.0, "restart": 10.0}
WAITING = 11_000
BEFORE = REPLAYED + 5_000  # events up to the checkpoint; fewer follow, so that there is no other


def seconds(servers: str, name: str, directory: Path, how: str) -> tuple[float, int]:
    """Return how long the takeover took, and the size of the checkpoint."""
    config = live.settings(
        servers, name, directory,
        kafka={"session_timeout_ms": 3_000, "max_batch": 2000},
        delivery={"commit_interval_ms": 100},
        checkpoint={"url": str(directory / "checkpoints" / name), "every_events": BEFORE, "every_seconds": 1e9},
    )  # fmt: skip
    workers: list[subprocess.Popen[bytes]] = [live.serve(config)]
    try:
        predictions = live.Predictions(servers, f"{name}-predictions")
        live.produce(servers, f"{name}-events", live.events(WAITING, 1, labelled=False))
        live.produce(servers, f"{name}-events", live.events(BEFORE - WAITING, 2))
        predictions.wait(BEFORE)
        time.sleep(1)  # the checkpoint is named by the next commit
        live.produce(servers, f"{name}-events", live.events(REPLAYED))
        predictions.wait(BEFORE + REPLAYED)
        if how == "standby":
            workers.append(live.serve(config))
            time.sleep(12)  # it has joined, and owns nothing
        size = max(path.stat().st_size for path in (directory / "checkpoints" / name).rglob("*.safetensors"))
        start = time.monotonic()
        workers[0].kill()
        if how == "restart":
            workers.append(live.serve(config))
        live.produce(servers, f"{name}-events", live.events(1))
        end = predictions.wait(BEFORE + REPLAYED + 1)
        predictions.close()
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait(60)
    return end - start, size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {how: [] for how in BARS}
    size = 0
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:
        for repetition in range(arguments.repetitions):
            for how, each in found.items():
                took, size = seconds(servers, f"{how}-{repetition}", Path(directory), how)
                each.append(took)
    medians = {how: statistics.median(each) for how, each in found.items()}
    if arguments.json:
        print(json.dumps({"seconds": medians, "bars": BARS, "checkpoint_bytes": size, "replayed": REPLAYED}))
    else:
        for how, median in medians.items():
            print(f"{how:10} {median:6.2f} s (bar: {BARS[how]:.0f} s)")
        print(f"checkpoint of {size:,} bytes, {REPLAYED:,} events replayed")
    return int(any(median > BARS[how] for how, median in medians.items()))


if __name__ == "__main__":
    sys.exit(main())
