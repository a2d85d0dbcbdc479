"""How long a checkpoint keeps the loop from its work: a network of a million parameters, with Adam's two slots each.

Taking the copy stops the loop; hashing and writing run on a thread beside it. Both are timed, and so is the longest
time that a pulse of one millisecond in the main thread was late while they ran. Bar: 50 ms.

    python benchmarks/bench_checkpoint.py [--json] [--repetitions N]
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nnstream.model import Model, ModelSpec
from nnstream.optimizers import Adam
from nnstream.snapshot import capture
from nnstream.spec import NetworkSpec
from service.adapters.fsspec_store import FsspecStore
from service.records import Partition

MOST_SECONDS = 0.050
PULSE_SECONDS = 0.001


def big_model() -> Model:
    """Return a model of about a million parameters that has learned something."""
    model = Model(ModelSpec(network=NetworkSpec(0, hidden=(1000, 1000), optimizer=Adam(), seed=1)))
    rng = np.random.default_rng(0)
    rows = [{f"f{k}": value for k, value in enumerate(row)} for row in rng.normal(size=(20, 8)).tolist()]
    model.predict_then_learn(rows, [int(row["f0"] > 0) for row in rows])
    return model


def late(running: object) -> float:
    """Pulse until a future is done; return the longest time that a pulse was late."""
    worst = 0.0
    while not running.done():  # type: ignore[attr-defined]
        start = time.perf_counter()
        time.sleep(PULSE_SECONDS)
        worst = max(worst, time.perf_counter() - start - PULSE_SECONDS)
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repetitions", type=int, default=15)
    arguments = parser.parse_args()
    model, partition = big_model(), Partition("events", 0)
    stops: list[float] = []
    pauses: list[float] = []
    totals: list[float] = []
    size = 0
    with ThreadPoolExecutor(1) as writer, tempfile.TemporaryDirectory() as directory:
        store = FsspecStore(directory, "default")
        for repetition in range(arguments.repetitions):
            start = time.perf_counter()
            captured = capture(model)
            stops.append(time.perf_counter() - start)
            running = writer.submit(lambda c=captured, n=repetition: store.save(partition, n, c.to_bytes()))
            pauses.append(late(running))
            totals.append(time.perf_counter() - start)
        size = len(store.load(partition, 0))
    result = {
        "parameters": int(sum(array.size for name, array in model.learner.state().items() if name == "params")),
        "bytes": size,
        "copy_seconds": statistics.median(stops),
        "longest_pause_seconds": statistics.median(pauses),
        "durable_seconds": statistics.median(totals),
        "bar_seconds": MOST_SECONDS,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:24} {value:,.4f}" if isinstance(value, float) else f"{name:24} {value:,}")
    return int(result["copy_seconds"] + result["longest_pause_seconds"] > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
