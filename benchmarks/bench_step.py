"""The compiled step beside NumPy loops: 8 inputs, 32 ReLU units, 1 sigmoid output, SGD, float32, one core.

All predict and then learn every sample, in alternation in the same run; the table shows medians of samples a CPU
second, so another process on the machine matters little. Bars: 5,000,000 samples/s, 60 times the plain loop, and the
same bits for every block size. The plain loop is the textbook's equations; the tuned one is the same taken as far as
NumPy goes (everything preallocated, one output written without a matrix), a second opinion without a bar.

    python benchmarks/bench_step.py [--json] [--repetitions N]
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nnstream.network import Network
from nnstream.optimizers import SGD
from nnstream.spec import NetworkSpec

Floats = npt.NDArray[np.float32]
Layers = list[tuple[Floats, Floats]]
SPEC = NetworkSpec(8, hidden=(32,), activation="relu", loss="log", optimizer=SGD(0.05), seed=1)
SAMPLES, LOOP_SAMPLES = 300_000, 6_000
BLOCKS = (1, 7, 64)
LEAST_RATE, LEAST_RATIO = 5_000_000, 60


def stream(count: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(count, SPEC.inputs)).astype(np.float32)
    y = (np.tanh(X[:, 0] * X[:, 1]) + X[:, 2] + 0.3 * rng.normal(size=count) > 0).astype(np.float32)
    return X, y


def plain_loop(params: Layers, X: Floats, y: Floats) -> Floats:
    """Predict, then learn, row by row, as the equations stand in a textbook."""
    (W1, b1), (W2, b2) = params
    rate = np.float32(0.05)
    out = np.empty(len(X), np.float32)
    for i, x in enumerate(X):
        z1 = x @ W1 + b1
        a1 = np.maximum(z1, 0)
        p = 1 / (1 + np.exp(-(a1 @ W2 + b2)))
        out[i] = p[0]
        d2 = p - y[i]
        d1 = (W2 @ d2) * (z1 > 0)
        W2 -= rate * np.outer(a1, d2)
        b2 -= rate * d2
        W1 -= rate * np.outer(x, d1)
        b1 -= rate * d1
    return out


def tuned_loop(params: Layers, X: Floats, y: Floats) -> Floats:
    """The same as fast as NumPy goes: np.dot, nothing allocated, nothing looked up in the loop."""
    (W1, b1), (W2, b2) = params
    w2 = W2[:, 0]
    rate = np.float32(0.05)
    hidden, delta, alive = np.empty(32, np.float32), np.empty(32, np.float32), np.empty(32, np.bool_)
    outer = np.empty_like(W1)
    out = np.empty(len(X), np.float32)
    dot, add, subtract, multiply, maximum, greater, exp = (
        np.dot, np.add, np.subtract, np.multiply, np.maximum, np.greater, np.exp,
    )  # fmt: skip
    zero, one = np.float32(0), np.float32(1)
    for i in range(len(X)):
        x = X[i]
        dot(x, W1, out=hidden)
        add(hidden, b1, out=hidden)
        maximum(hidden, zero, out=hidden)
        p = one / (one + exp(-(dot(hidden, w2) + b2[0])))
        out[i] = p
        step = rate * (p - y[i])
        greater(hidden, zero, out=alive)
        multiply(w2, step, out=delta)
        multiply(delta, alive, out=delta)
        multiply(hidden, step, out=hidden)
        subtract(w2, hidden, out=w2)
        b2[0] -= step
        multiply(x[:, None], delta, out=outer)
        subtract(W1, outer, out=W1)
        subtract(b1, delta, out=b1)
    return out


def rate(function: Callable[[], object], count: int) -> float:
    start = time.thread_time()
    function()
    return count / (time.thread_time() - start)


def compare(repetitions: int) -> dict[str, float]:
    """Samples per second of each, in alternation."""
    X, y = stream(SAMPLES)
    few, some = X[:LOOP_SAMPLES], y[:LOOP_SAMPLES]
    Network(SPEC).predict_then_learn(X[:10], y[:10])  # compiled, or loaded from the disk
    rates: dict[str, list[float]] = {"compiled": [], "plain": [], "tuned": []}
    for _ in range(repetitions):
        nets = [Network(SPEC) for _ in rates]
        rates["plain"].append(rate(lambda net=nets[0]: plain_loop(net.layers(), few, some), LOOP_SAMPLES))
        rates["tuned"].append(rate(lambda net=nets[1]: tuned_loop(net.layers(), few, some), LOOP_SAMPLES))
        rates["compiled"].append(rate(lambda net=nets[2]: net.predict_then_learn(X, y), SAMPLES))
    compiled, plain, tuned = (statistics.median(rates[name]) for name in ("compiled", "plain", "tuned"))
    return {
        "samples_per_second": compiled,
        "plain_numpy_samples_per_second": plain,
        "tuned_numpy_samples_per_second": tuned,
        "ratio": compiled / plain,
        "ratio_to_tuned": compiled / tuned,
        "largest_difference": max(disagreement(loop, few, some) for loop in (plain_loop, tuned_loop)),
    }


def disagreement(loop: Callable[[Layers, Floats, Floats], Floats], X: Floats, y: Floats) -> float:
    """The largest difference between two's predictions: they must be doing the same."""
    return float(np.abs(loop(Network(SPEC).layers(), X, y) - Network(SPEC).predict_then_learn(X, y)[0][:, 0]).max())


def is_bit_identical() -> bool:
    X, y = stream(20_000)
    whole = Network(SPEC)
    expected = whole.predict_then_learn(X, y)
    for size in BLOCKS:
        net = Network(SPEC)
        parts = [net.predict_then_learn(X[i : i + size], y[i : i + size]) for i in range(0, len(X), size)]
        for found, one in zip(zip(*parts, strict=True), expected, strict=True):
            if np.concatenate(found).tobytes() != one.tobytes():
                return False
        if net.params.tobytes() != whole.params.tobytes():
            return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="compiled step beside NumPy loops")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--repetitions", type=int, default=9)
    options = parser.parse_args()
    found = compare(options.repetitions)
    identical = is_bit_identical()
    passed = (
        found["samples_per_second"] >= LEAST_RATE
        and found["ratio"] >= LEAST_RATIO
        and found["largest_difference"] < 1e-3
        and identical
    )
    if options.json:
        print(json.dumps(found | {"bit_identical": identical, "passed": passed}))
    else:
        rows = [
            ("plain NumPy loop", found["plain_numpy_samples_per_second"], 1.0),
            ("tuned NumPy loop", found["tuned_numpy_samples_per_second"], found["ratio"] / found["ratio_to_tuned"]),
            ("compiled step", found["samples_per_second"], found["ratio"]),
            ("bar", LEAST_RATE, LEAST_RATIO),
        ]
        print(f"{'8-32-1, ReLU, sigmoid, SGD, one core':<40}{'samples/s':>12}{'ratio':>8}")
        for name, per_second, ratio in rows:
            print(f"{name:<40}{per_second:>12,.0f}{ratio:>8.1f}")
        print(f"largest difference between predictions: {found['largest_difference']:.1e}")
        blocks = ", ".join(map(str, BLOCKS))
        print(f"same bits for blocks of {blocks} and all: {'yes' if identical else 'NO'}")
        print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
