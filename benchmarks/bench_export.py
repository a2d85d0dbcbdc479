"""A model and the ONNX graph it leaves as: how far their predictions are apart on streams, and what each costs.

On each stream the default learner learns the first half and is exported; both then predict the second half, in
which a tenth of all values is hostile: 1e30, denormal and infinite numbers, NaN, missing, category values never seen.
The difference is of probabilities, or of numbers in standard deviations of the label. Processor time of one thread
each, in alternation, medians; onnxruntime's is without and with `feed`, which makes its inputs from dicts.

    python benchmarks/bench_export.py [--repetitions N]

Bar: no prediction more than 1e-5 apart.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from streams import CLASSIFICATION, REGRESSION, Stream

from nnstream.model import Model, ModelSpec
from nnstream.onnx_export import export, feed

MOST, HOSTILE, ONE_BY_ONE = 1e-5, 0.1, 300
NUMBERS = (1e30, -1e30, 5e-324, 1e-310, 1.7e308, float("inf"), float("-inf"), float("nan"), None)
TEXTS = ("", "NaN", "never seen", "日本語", "x" * 40, None)


def hostile(row: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return the event with a tenth of its values replaced."""
    return {
        name: (TEXTS if isinstance(value, str) else NUMBERS)[rng.integers(6)] if rng.random() < HOSTILE else value
        for name, value in row.items()
    }


def session_of(model: Model) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(export(model), options, providers=["CPUExecutionProvider"])


def compare(stream: Stream, task: str, repetitions: int) -> tuple[int, float, list[float]]:
    """Return the number of events, the largest difference, and microseconds an event of each way."""
    samples = list(stream())
    half = len(samples) // 2
    model, rng = Model(ModelSpec(task, "ensemble")), np.random.default_rng(0)
    model.predict_then_learn(*map(list, zip(*samples[:half], strict=True)))
    session, rows = session_of(model), [hostile(row, rng) for row, _ in samples[half:]]
    inputs = feed(session.get_inputs(), rows)
    name = "prediction" if model.is_regression else "probabilities"
    expected, got = model.predict(rows).outputs, session.run([name], inputs)[0]
    if model.is_regression:
        expected, got = expected[:, 0] / model.scale.spread, got / model.scale.spread
    few, described = rows[:ONE_BY_ONE], session.get_inputs()
    calls = (
        (len(rows), lambda: model.predict(rows)),
        (len(rows), lambda: session.run([name], inputs)),
        (len(rows), lambda: session.run([name], feed(described, rows))),
        (len(few), lambda: [model.predict([row]) for row in few]),
        (len(few), lambda: [session.run([name], feed(described, [row])) for row in few]),
    )
    rounds = [[seconds(call) / count * 1e6 for count, call in calls] for _ in range(repetitions)]
    return (
        len(rows),
        float(np.abs(got - expected).max()),
        [statistics.median(each) for each in zip(*rounds, strict=True)],
    )


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def hashing(repetitions: int) -> None:
    """Print what the graph takes to hash a category value that has no column."""
    model = Model(ModelSpec(learner="ensemble"))
    model.predict_then_learn([{"kind": f"k{i % 50}", "x": i} for i in range(500)], [i % 2 for i in range(500)])
    session = session_of(model)
    print("\nA category, microseconds an event:")
    for title, values in (
        ("known", ["k1"]),
        ("not seen, 10 bytes", ["not seen 1"]),
        ("not seen, 40 bytes", ["not seen 1" * 4]),
        ("10,000 that are not seen and differ", [f"not seen {i}" for i in range(10_000)]),
    ):
        inputs = feed(session.get_inputs(), [{"kind": value, "x": 1} for value in values])
        times = [seconds(lambda given=inputs: session.run(["probabilities"], given)) for _ in range(10 * repetitions)]
        print(f"  {title:40}{statistics.median(times) / len(values) * 1e6:8.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    print(f"{'':26}{'':>8}{'':>12}  µs an event, all at once{'':9}one by one")
    print(
        f"{'stream':26}{'events':>8}{'difference':>12}{'model':>10}{'graph':>8}{'+ feed':>8}{'model':>10}{'graph':>8}"
    )
    worst = 0.0
    for task, streams in (("classification", CLASSIFICATION), ("regression", REGRESSION)):
        for title, stream in streams.items():
            count, difference, times = compare(stream, task, repetitions)
            worst = max(worst, difference)
            print(f"{title:26}{count:8,}{difference:12.1e}" + "{:10.1f}{:8.1f}{:8.1f}{:10.1f}{:8.1f}".format(*times))
    hashing(repetitions)
    print(f"\nlargest difference {worst:.1e}: {'ok' if worst <= MOST else f'above {MOST}'}")
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
