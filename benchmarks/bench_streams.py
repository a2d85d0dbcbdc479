"""Accuracy and speed of the default learner beside River's forests, over streams with every kind of drift.

    python benchmarks/bench_streams.py [--elec2 FILE.csv] [--quick] [--json FILE] [--plot FILE.svg]

Progressive validation, nothing tuned on either side. ARF and SRP have ten trees, as is River's default; the
regression forest gets standardised features, without which it explodes on unscaled ones. Every learner is fed the
same dicts, one by one or in blocks of 500 (which makes no difference to what nnstream predicts). Time is that of the
processor for this thread; of nnstream the median of five runs. River's forests are slow: the whole table takes some
ten minutes; --quick takes 2,000 samples a stream.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from river import compose, forest, preprocessing
from river.ensemble import SRPClassifier
from streams import CLASSIFICATION, REGRESSION, Sample, elec2

from nnstream.model import Model, ModelSpec

BLOCK = 500
LEAST_RATIO = 100
RUNS = 5  # of nnstream, which takes a twentieth of a second a stream


def run_ours(samples: list[Sample], task: str) -> tuple[float, float]:
    """Return the score and the samples a second of the default ensemble."""
    Model(ModelSpec(task=task, learner="ensemble")).predict_then_learn(
        [samples[0][0]] * 3, [label for _, label in samples[:3]]
    )
    taken = []
    for _ in range(RUNS):
        model = Model(ModelSpec(task=task, learner="ensemble"))
        predictions: list[Any] = []
        start = time.thread_time()
        for i in range(0, len(samples), BLOCK):
            rows, labels = zip(*samples[i : i + BLOCK], strict=True)
            predictions += model.predict_then_learn(rows, labels).predictions()
        taken.append(time.thread_time() - start)
    return _score(predictions, samples, task), len(samples) / statistics.median(taken)


def run_river(make: Callable[[], Any], samples: list[Sample], task: str) -> tuple[float, float]:
    """Return the score and the samples a second of a River model."""
    model = make()
    predictions = []
    start = time.thread_time()
    for x, y in samples:
        predictions.append(model.predict_one(x))
        model.learn_one(x, y)
    return _score(predictions, samples, task), len(samples) / (time.thread_time() - start)


def _score(predictions: list[Any], samples: list[Sample], task: str) -> float:
    if task == "classification":
        return sum(p == y for p, (_, y) in zip(predictions, samples, strict=True)) / len(samples)
    return sum(abs((p or 0) - y) for p, (_, y) in zip(predictions, samples, strict=True)) / len(samples)


PEERS: dict[str, dict[str, Callable[[], Any]]] = {
    "classification": {
        "ARF(10)": lambda: forest.ARFClassifier(n_models=10, seed=42),
        "SRP(10)": lambda: SRPClassifier(n_models=10, seed=42),
    },
    "regression": {
        "ARFRegressor": lambda: compose.Pipeline(
            preprocessing.StandardScaler(), forest.ARFRegressor(n_models=10, seed=42)
        ),
    },
}


def compare(name: str, task: str, samples: list[Sample], *, peers: bool = True) -> dict[str, Any]:
    """Return one row of the table."""
    score, speed = run_ours(samples, task)
    row: dict[str, Any] = {
        "stream": name,
        "task": task,
        "n": len(samples),
        "nnstream": score,
        "samples_per_second": speed,
    }
    for peer, make in PEERS[task].items() if peers else ():
        other, other_speed = run_river(make, samples, task)
        row[peer] = other
        row[f"times as fast as {peer}"] = speed / other_speed
    return row


def print_row(row: dict[str, Any]) -> None:
    """Print a row as a line of a Markdown table."""
    peers = [p for p in PEERS[row["task"]] if p in row]
    shown = (lambda x: f"{100 * x:.2f} %") if row["task"] == "classification" else (lambda x: f"{x:.4g}")
    cells = [row["stream"], f"{row['n']:,}", f"**{shown(row['nnstream'])}**"]
    cells += [f"{shown(row[p])} ({row[f'times as fast as {p}']:.0f}x)" for p in peers]
    cells.append(f"{row['samples_per_second']:,.0f}")
    print("| " + " | ".join(cells) + " |", flush=True)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw how many points the default learner is ahead of each forest."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [row for row in rows if row["task"] == "classification" and "ARF(10)" in row]
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(shown) + 1.2))
    for offset, peer, colour in ((-0.18, "ARF(10)", "#3b6fb6"), (0.18, "SRP(10)", "#d98032")):
        ahead = [100 * (row["nnstream"] - row[peer]) for row in shown]
        axes.barh([i + offset for i in range(len(shown))], ahead, 0.34, label=f"against {peer}", color=colour)
    axes.set_yticks(range(len(shown)), [row["stream"] for row in shown])
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("percentage points of accuracy ahead")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--elec2", type=Path, help="CSV file of Elec2, label last; without peers (45,312 rows)")
    parser.add_argument("--quick", action="store_true", help="2,000 samples a stream")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    limit = 2_000 if args.quick else None
    rows = []
    for task, streams in (("classification", CLASSIFICATION), ("regression", REGRESSION)):
        peers = list(PEERS[task])
        print(f"\n{task}\n\n| stream | n | nnstream | {' | '.join(peers)} | samples/s |")
        print("|---|---:|---:|" + "---:|" * len(peers) + "---:|")
        for name, stream in streams.items():
            rows.append(compare(name, task, list(islice(stream(), limit))))
            print_row(rows[-1])
    if args.elec2:
        rows.append(compare("Elec2 (real)", "classification", list(elec2(args.elec2)()), peers=False))
        print_row(rows[-1])
    for task, peers_of_task in PEERS.items():
        for peer in peers_of_task:
            pairs = [(row["nnstream"], row[peer]) for row in rows if peer in row]
            better = sum(a >= b if task == "classification" else a <= b for a, b in pairs)
            fast = sum(row[f"times as fast as {peer}"] >= LEAST_RATIO for row in rows if peer in row)
            print(f"\nbetter than {peer} on {better} of {len(pairs)} streams, ", end="")
            print(f"at least {LEAST_RATIO} times as fast on {fast}", end="")
    print()
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    if args.plot:
        plot(rows, args.plot)


if __name__ == "__main__":
    main()
