"""What an explanation of one prediction costs, beside the forward pass it explains: 54 inputs, 64 ReLU, 7 classes.

All in one run, in turns, medians of CPU time. Bars: integrated gradients at most 20 forward passes, gradient x
input at most 4; from a dict to a dict by feature, the same against `predict_one`. The peer is the textbook's
integrated gradients in NumPy with as many steps. Beside the times stands by how much the contributions of each miss
the change in output (completeness), and how far both lie from the integral itself (2,000 steps in float64).

    python benchmarks/bench_explain.py [--json] [--repetitions N]
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nnstream.explain import STEPS
from nnstream.model import Model, ModelSpec
from nnstream.network import Network
from nnstream.spec import NetworkSpec

Floats = npt.NDArray[np.floating]
INPUTS, CLASSES, ROWS, EVENTS, PEER_ROWS = 54, 7, 5_000, 1_000, 100
MOST_INTEGRATED, MOST_GRADIENT = 20.0, 4.0


def stream(count: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(count, INPUTS)).astype(np.float32)
    return X, np.argmax(X[:, :CLASSES] + 0.5 * X[:, CLASSES : 2 * CLASSES], axis=1).astype(np.float32)


def textbook(net: Network, x: Floats, target: int, steps: int, dtype: type = np.float32) -> Floats:
    """Integrated gradients of the log-odds by the midpoint rule, all steps as one batch."""
    (W1, b1), (W2, b2) = ((w.astype(dtype), b.astype(dtype)) for w, b in net.layers())
    path = ((np.arange(steps) + 0.5) / steps).astype(dtype)[:, None] * x.astype(dtype)
    z1 = path @ W1 + b1
    z2 = np.maximum(z1, 0) @ W2 + b2
    powers = np.exp(z2 - z2.max(axis=1, keepdims=True))
    powers[:, target] = 0
    delta = -powers / powers.sum(axis=1, keepdims=True)
    delta[:, target] = 1
    found: Floats = x * (((delta @ W2.T) * (z1 > 0)) @ W1.T).mean(axis=0)
    return found


def seconds(function: Callable[[], object]) -> float:
    start = time.thread_time()
    function()
    return time.thread_time() - start


def measure(repetitions: int) -> dict[str, float]:
    X, y = stream(ROWS)
    net = Network(NetworkSpec(INPUTS, hidden=(64,), outputs=CLASSES, loss="cross_entropy", seed=3))
    net.predict_then_learn(X, y)
    model = Model(ModelSpec(learner="network", network=NetworkSpec(0, hidden=(64,), seed=3)))
    events = [{f"f{j}": value for j, value in enumerate(row)} for row in X[:EVENTS].tolist()]
    model.predict_then_learn(events, y[:EVENTS].astype(int).tolist())
    targets = net.explain(X)[1][:, 2].astype(int)
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "forward": (ROWS, lambda: net.predict(X)),
        "integrated": (ROWS, lambda: net.explain(X)),
        "gradient": (ROWS, lambda: net.explain(X, steps=0)),
        "textbook": (PEER_ROWS, lambda: [textbook(net, X[i], targets[i], STEPS) for i in range(PEER_ROWS)]),
        "predict_one": (EVENTS, lambda: [model.predict_one(x) for x in events]),
        "explain_one": (EVENTS, lambda: [model.explain_one(x) for x in events]),
        "gradient_one": (EVENTS, lambda: [model.explain_one(x, "gradient_x_input") for x in events]),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, (count, function) in ways.items():
            spent[name].append(seconds(function) / count * 1e6)
    micros = {f"{name}_us": statistics.median(values) for name, values in spent.items()}
    return micros | agreement(net, X[:PEER_ROWS], targets[:PEER_ROWS])


def agreement(net: Network, X: Floats, targets: Floats) -> dict[str, float]:
    """Worst gap of completeness, and worst distance from the integral relative to its largest contribution."""
    found, ends = net.explain(X)
    gaps: dict[str, list[float]] = {"own_gap": [], "textbook_gap": [], "own_distance": [], "textbook_distance": []}
    for own, x, target, (baseline, output, _) in zip(found, X, targets, ends, strict=True):
        peer, exact = textbook(net, x, target, STEPS), textbook(net, x, target, 2000, np.float64)
        for name, each in (("own", own), ("textbook", peer)):
            gaps[f"{name}_gap"].append(abs(float(each.sum()) - float(output - baseline)))
            gaps[f"{name}_distance"].append(float(np.abs(each - exact).max() / np.abs(exact).max()))
    return {name: max(values) for name, values in gaps.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description="explanations beside forward passes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--repetitions", type=int, default=9)
    options = parser.parse_args()
    found = measure(options.repetitions)
    ratios = {
        "integrated": found["integrated_us"] / found["forward_us"],
        "gradient": found["gradient_us"] / found["forward_us"],
        "explain_one": found["explain_one_us"] / found["predict_one_us"],
        "gradient_one": found["gradient_one_us"] / found["predict_one_us"],
    }
    passed = (
        max(ratios["integrated"], ratios["explain_one"]) <= MOST_INTEGRATED
        and max(ratios["gradient"], ratios["gradient_one"]) <= MOST_GRADIENT
        and found["own_gap"] < 1e-4
    )
    if options.json:
        print(json.dumps(found | {f"{name}_ratio": value for name, value in ratios.items()} | {"passed": passed}))
        return 0 if passed else 1
    rows = [
        ("forward pass", found["forward_us"], 1.0, ""),
        ("gradient x input", found["gradient_us"], ratios["gradient"], f"{MOST_GRADIENT:.0f}"),
        (
            f"integrated gradients, {STEPS} steps",
            found["integrated_us"],
            ratios["integrated"],
            f"{MOST_INTEGRATED:.0f}",
        ),
        (f"textbook's in NumPy, {STEPS} steps", found["textbook_us"], found["textbook_us"] / found["forward_us"], ""),
        ("predict_one: dict in", found["predict_one_us"], 1.0, ""),
        ("explain_one, gradient x input: dict out", found["gradient_one_us"], ratios["gradient_one"], "4"),
        ("explain_one, integrated gradients: dict out", found["explain_one_us"], ratios["explain_one"], "20"),
    ]
    print(f"{'54-64-7, one core':<46}{'µs':>8}{'ratio':>8}{'bar':>6}")
    for name, micros, ratio, bar in rows:
        print(f"{name:<46}{micros:>8.2f}{ratio:>8.1f}{bar:>6}")
    print(f"contributions miss the change in output by {found['own_gap']:.1e} (textbook {found['textbook_gap']:.1e})")
    print(f"distance from the integral {found['own_distance']:.1%} (textbook {found['textbook_distance']:.1%})")
    print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
