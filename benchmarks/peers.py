"""Learners that cannot live beside ours, each run by a Python of its own: PyTorch, deep-river, Vowpal Wabbit.

    python benchmarks/peers.py [pytorch | deep_river | vowpal_wabbit] SAMPLES

prints samples a second. deep-river needs an older river than ours, PyTorch comes from Debian (`apt-get install
python3-torch`: the wheels of PyPI are gigabytes of CUDA), so `interpreter` makes a virtual environment on Debian's
own Python, once, in .venv-peers. Whatever cannot be had is named with its reason.
"""

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # after the variable, which BLAS reads once

HOME = Path(__file__).resolve().parent.parent / ".venv-peers"
SYSTEM_PYTHON = Path("/usr/bin/python3")
PACKAGES = (
    "river==0.22.0", "numpy<2", "pandas<2.3", "scipy", "scikit-learn", "sortedcontainers", "tqdm", "pytest",
    "vowpalwabbit==9.11.9", "quixstreams==3.28.1", "bytewax==0.21.1", "orjson",
)  # fmt: skip
WITHOUT_DEPENDENCIES = ("deep-river==0.3.4", "torchviz", "graphviz")  # they would ask for PyPI's torch


def interpreter() -> Path:
    """Return the Python that has the peers; make it where there is none.

    Raises:
        RuntimeError: it cannot be made; the message says why.
    """
    python = HOME / "bin" / "python"
    ready = HOME / ".ready"
    if ready.exists() and ready.read_text() == repr((PACKAGES, WITHOUT_DEPENDENCIES)):
        return python
    if not SYSTEM_PYTHON.exists():
        raise RuntimeError(f"no {SYSTEM_PYTHON}, which python3-torch would belong to")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [str(SYSTEM_PYTHON), "-m", "venv", "--clear", "--system-site-packages", str(HOME)],
        [*pip, *PACKAGES],
        [*pip, "--no-deps", *WITHOUT_DEPENDENCIES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError((done.stderr or done.stdout).strip().splitlines()[-1])
    ready.write_text(repr((PACKAGES, WITHOUT_DEPENDENCIES)))
    return python


def rate(name: str, samples: int) -> float:
    """Return the samples a second of a peer, run in its own process.

    Raises:
        RuntimeError: it cannot be had here; the message says why.
    """
    command = [str(interpreter()), __file__, name, str(samples)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        hint = "; apt-get install python3-torch" if "'torch'" in reason else ""
        raise RuntimeError(reason + hint)
    return float(done.stdout.split()[-1])


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


PEERS = {"vowpal_wabbit": vowpal_wabbit, "pytorch": pytorch, "deep_river": deep_river}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    count = int(sys.argv[2])
    print(count / PEERS[sys.argv[1]](*data(count)))
