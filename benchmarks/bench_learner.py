"""Samples learned a second, one core: nnstream beside whatever other per-sample learners are installed.

    python benchmarks/bench_learner.py [--json]

Eight numbers, two classes; every learner predicts each sample, then learns it. nnstream runs a single 8-32-1 network
with SGD (array interface) and the default ensemble (dicts in, as it comes); peers run what their interface offers:
scikit-learn's MLPClassifier.partial_fit, River's StandardScaler | LogisticRegression, Vowpal Wabbit --nn 32, a bare
PyTorch loop and deep-river, the last three only where they are installed. Rounds are interleaved; medians.
"""

import argparse
import importlib.util
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")

Timed = Callable[[np.ndarray, np.ndarray], float]


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n samples of 8 numbers and labels that depend on a product of two of them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 8)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(np.int64)


def seconds(action: Callable[[], object]) -> float:
    """Return the processor seconds of this thread: other people's work on the machine does not count."""
    start = time.thread_time()
    action()
    return time.thread_time() - start


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


def vowpal_wabbit(X: np.ndarray, y: np.ndarray) -> float:
    """Vowpal Wabbit's network, from text examples."""
    from vowpalwabbit import Workspace

    vw = Workspace("--nn 32 --loss_function logistic --quiet")
    lines = [
        f"{1 if label else -1} | " + " ".join(f"f{j}:{v:.5f}" for j, v in enumerate(row))
        for row, label in zip(X.tolist(), y.tolist(), strict=True)
    ]

    def run() -> None:
        for line in lines:
            vw.learn(line)

    taken = seconds(run)
    vw.finish()
    return taken


def pytorch(X: np.ndarray, y: np.ndarray) -> float:
    """A bare PyTorch loop."""
    import torch

    torch.set_num_threads(1)
    net = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    optimizer, loss = torch.optim.SGD(net.parameters(), 0.05), torch.nn.BCEWithLogitsLoss()
    inputs = torch.tensor(X.tolist())
    targets = torch.tensor(y.tolist(), dtype=torch.float32)[:, None]

    def run() -> None:
        for i in range(len(inputs)):
            optimizer.zero_grad()
            loss(net(inputs[i : i + 1]), targets[i : i + 1]).backward()
            optimizer.step()

    return seconds(run)


def deep_river(X: np.ndarray, y: np.ndarray) -> float:
    """deep-river's classifier around the same PyTorch network."""
    import torch
    from deep_river.classification import Classifier

    torch.set_num_threads(1)
    module = torch.nn.Sequential(
        torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2), torch.nn.Softmax(-1)
    )
    model = Classifier(module=module, loss_fn="cross_entropy", optimizer_fn="sgd", lr=0.05)
    rows = [dict(zip("abcdefgh", row, strict=True)) for row in X.tolist()]

    def run() -> None:
        for x, label in zip(rows, y.tolist(), strict=True):
            model.predict_proba_one(x)
            model.learn_one(x, label)

    return seconds(run)


LEARNERS: dict[str, tuple[Timed, int, str | None]] = {
    "nnstream, one network 8-32-1, arrays": (network, 300_000, None),
    "nnstream, the default ensemble, dicts": (ensemble, 50_000, None),
    "River StandardScaler | LogisticRegression": (river, 10_000, "river"),
    "Vowpal Wabbit --nn 32": (vowpal_wabbit, 10_000, "vowpalwabbit"),
    "PyTorch, bare loop": (pytorch, 1_000, "torch"),
    "deep-river, 8-32-2": (deep_river, 500, "deep_river"),
    "scikit-learn MLPClassifier.partial_fit": (scikit_learn, 500, "sklearn"),
}


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    taken: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    for round_number in range(args.rounds):
        for name, (run, n, module) in LEARNERS.items():
            if name in missing or (module is not None and importlib.util.find_spec(module) is None):
                missing |= {name: "not installed"} if round_number == 0 else {}
                continue
            try:
                taken.setdefault(name, []).append(n / run(*data(n)))
            except ImportError as error:  # there, but for another version of what it builds on
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
    for name, reason in missing.items():
        print(f"\nleft out: {name} ({reason})")


if __name__ == "__main__":
    main()
