"""What frozen layers cost: an online step of a network with 4 of its 5 layers frozen, beside its forward pass.

Forward pass, step with four layers frozen and step with none frozen alternate in one run; the table shows medians of
processor time. Bar: the step with frozen layers costs at most 1.4 times the forward pass, with SGD and with Adam.

    python benchmarks/bench_transfer.py [--repetitions N]
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nnstream.network import Network
from nnstream.optimizers import SGD, Adam
from nnstream.spec import NetworkSpec

SPEC = NetworkSpec(54, hidden=(64, 64, 64, 64), outputs=7, loss="cross_entropy", seed=1)
FROZEN = (0.0, 0.0, 0.0, 0.0, 1.0)
SAMPLES, MOST = 5_000, 1.4


def processor_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=15)
    repetitions = parser.parse_args().repetitions
    rng = np.random.default_rng(0)
    X = rng.normal(size=(SAMPLES, SPEC.inputs)).astype(np.float32)
    y = rng.integers(0, SPEC.outputs, SAMPLES).astype(np.float32)
    held = True
    print(f"{'optimiser':12}{'forward µs':>12}{'4 of 5 frozen':>16}{'none frozen':>14}   ratios to the forward pass")
    for optimizer in (SGD(0.01), Adam()):
        spec = replace(SPEC, optimizer=optimizer)
        frozen, free = Network(replace(spec, layer_rates=FROZEN)), Network(spec)
        calls = (
            lambda net=frozen: net.predict(X),
            lambda net=frozen: net.predict_then_learn(X, y),
            lambda net=free: net.predict_then_learn(X, y),
        )
        for call in calls:  # compile, and warm up
            call()
        rounds = [[processor_seconds(call) for call in calls] for _ in range(repetitions)]
        forward, with_frozen, without = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = with_frozen / forward
        held = held and ratio <= MOST
        print(
            f"{type(optimizer).__name__:12}{forward / SAMPLES * 1e6:12.2f}{ratio:16.2f}{without / forward:14.2f}"
            f"   {'ok' if ratio <= MOST else f'above {MOST}'}"
        )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
