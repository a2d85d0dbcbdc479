"""Samples learned a second, one core: nnstream beside whatever other per-sample learners are installed.

    python benchmarks/bench_learner.py [--json]

Eight numbers, two classes; every learner predicts each sample, then learns it. nnstream runs a single 8-32-1 network
with SGD (array interface) and the default ensemble (dicts in, as it comes); peers run what their interface offers:
scikit-learn's MLPClassifier.partial_fit, River's StandardScaler | LogisticRegression, Vowpal Wabbit --nn 32, a bare
PyTorch loop and deep-river, the last three by a Python of their own (see peers.py). Rounds are interleaved; medians.
Bars: 5,000,000 samples/s for the single network, 200,000 for the ensemble.
"""

import argparse
import json
import statistics
import warnings
from collections.abc import Callable

import numpy as np
import peers
from peers import data, seconds

Timed = Callable[[np.ndarray, np.ndarray], float]


def network(X: np.ndarray, y: np.ndarray) -> float:
    """One nnstream network, array interface."""
    from nnstream.network import Network
    from nnstream.spec import NetworkSpec

    net = Network(NetworkSpec(8))
    net.predict_then_learn(X[:2], y[:2])
    return seconds(lambda: net.predict_then_learn(X, y))


def ensemble(X: np.ndarray, y: np.ndarray) -> float:
    """The default nnstream learner, dicts in blocks of 1,000."""
    from nnstream.model import Model, ModelSpec

    rows = [dict(zip("abcdefgh", row, strict=True)) for row in X.tolist()]
    labels = y.tolist()
    Model(ModelSpec(learner="ensemble")).predict_then_learn(rows[:10], labels[:10])
    model = Model(ModelSpec(learner="ensemble"))

    def run() -> None:
        for i in range(0, len(rows), 1000):
            model.predict_then_learn(rows[i : i + 1000], labels[i : i + 1000])

    return seconds(run)


def scikit_learn(X: np.ndarray, y: np.ndarray) -> float:
    """scikit-learn's network, one sample at a time."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((32,), solver="sgd", learning_rate_init=0.05, batch_size=1)
    model.partial_fit(X[:1], y[:1], classes=[0, 1])

    def run() -> None:
        for i in range(len(X)):
            model.predict_proba(X[i : i + 1])
            model.partial_fit(X[i : i + 1], y[i : i + 1])

    return seconds(run)


def river(X: np.ndarray, y: np.ndarray) -> float:
    """River's linear pipeline on dicts."""
    from river import linear_model, preprocessing

    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    rows = [dict(zip("abcdefgh", row, strict=True)) for row in X.tolist()]
    labels = [bool(v) for v in y]

    def run() -> None:
        for x, label in zip(rows, labels, strict=True):
            model.predict_proba_one(x)
            model.learn_one(x, label)

    return seconds(run)


LEARNERS: dict[str, tuple[Timed | str, int]] = {
    "nnstream, one network 8-32-1, arrays": (network, 300_000),
    "nnstream, the default ensemble, dicts": (ensemble, 50_000),
    "River StandardScaler | LogisticRegression": (river, 10_000),
    "Vowpal Wabbit --nn 32": ("vowpal_wabbit", 10_000),
    "PyTorch, bare loop": ("pytorch", 1_000),
    "deep-river, 8-32-2": ("deep_river", 500),
    "scikit-learn MLPClassifier.partial_fit": (scikit_learn, 500),
}
BARS = {"nnstream, one network 8-32-1, arrays": 5_000_000, "nnstream, the default ensemble, dicts": 200_000}


def measure(run: Timed | str, n: int) -> float:
    """Return the samples a second of a learner of this process, or of a peer by its name."""
    return peers.rate(run, n) if isinstance(run, str) else n / run(*data(n))


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    taken: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    for _ in range(args.rounds):
        for name, (run, n) in LEARNERS.items():
            if name in missing:
                continue
            try:
                taken.setdefault(name, []).append(measure(run, n))
            except (ImportError, RuntimeError) as error:
                missing[name] = str(error)
                del taken[name]
    rates = {name: statistics.median(values) for name, values in taken.items()}
    if args.json:
        print(json.dumps({"samples_per_second": rates, "left_out": missing}))
        return
    ours = rates["nnstream, one network 8-32-1, arrays"]
    print("| learner | samples/s (median) | one nnstream network is |\n|---|---:|---:|")
    for name, rate in sorted(rates.items(), key=lambda item: -item[1]):
        print(f"| {name} | {rate:,.0f} | {ours / rate:,.0f} times as fast |")
    for name, bar in BARS.items():
        print(f"\n{name}: {rates[name] / bar:.2f} times its bar of {bar:,} samples/s")
    for name, reason in missing.items():
        print(f"\nleft out: {name} ({reason})")


if __name__ == "__main__":
    main()
