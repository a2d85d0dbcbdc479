"""Speed of one `predict_proba_one` and one `learn_one` on a dict of 8 floats, beside River's pipeline, in one run.

Rounds of all contenders take turns, so that whatever else the machine does hits them alike.

    python benchmarks/bench_estimators.py [--json results.json] [--rounds 9] [--samples 20000]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from river import linear_model, preprocessing

from nnstream.estimators import LogisticNeuron, MLPClassifier, Perceptron

PEER = "River StandardScaler | LogisticRegression"
BAR = 60_000

CONTENDERS: dict[str, Callable[[], Any]] = {
    PEER: lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "MLPClassifier 8-32-1": MLPClassifier,
    "LogisticNeuron": LogisticNeuron,
    "Perceptron": Perceptron,
}


def stream(samples: int) -> list[tuple[dict[str, float], bool]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(samples, 8))
    y = X[:, 0] + X[:, 1] * X[:, 2] > 0
    return [
        (dict(zip("abcdefgh", row, strict=True)), label) for row, label in zip(X.tolist(), y.tolist(), strict=True)
    ]


def pairs_per_second(model: Any, events: list[tuple[dict[str, float], bool]]) -> float:
    predict, learn = model.predict_proba_one, model.learn_one
    start = time.perf_counter()
    for x, y in events:
        predict(x)
        learn(x, y)
    return len(events) / (time.perf_counter() - start)


def measure(samples: int, rounds: int) -> dict[str, Any]:
    events = stream(samples)
    models = {name: make() for name, make in CONTENDERS.items()}
    for model in models.values():
        pairs_per_second(model, events[:1000])  # compiled code is loaded, classes and features are known
    speeds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            speeds[name].append(pairs_per_second(model, events))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    return {
        "unit": "predict_proba_one + learn_one pairs a second, median of rounds",
        "samples": samples,
        "rounds": rounds,
        "bar": BAR,
        "results": {
            name: {
                "median": round(median),
                "best": round(max(speeds[name])),
                "worst": round(min(speeds[name])),
                "ratio_to_river": round(statistics.median(np.divide(speeds[name], speeds[PEER])), 2),
            }
            for name, median in medians.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of learn_one + predict_proba_one beside River's pipeline.")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    report = measure(arguments.samples, arguments.rounds)
    print(f"{'':42s} {'median':>9s} {'worst':>9s} {'best':>9s} {'x River':>8s}   pairs/s")
    for name, row in report["results"].items():
        print(f"{name:42s} {row['median']:9,} {row['worst']:9,} {row['best']:9,} {row['ratio_to_river']:8.2f}")
    print(f"bar: {BAR:,} pairs/s for a single network")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
