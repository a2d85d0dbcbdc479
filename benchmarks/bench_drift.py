"""How soon a drift is seen, and what each answer to it buys.

    python benchmarks/bench_drift.py [--json FILE] [--part responses|alarms|detectors]

`responses`: the mean loss in the 2,000 events after an abrupt drift, against that of the same model without any
response; and before it, where nothing drifts. `alarms`: events from the drift to the first alert of the service,
all settings at their defaults. `detectors`: events from the drift to the alarm, at one false alarm in
a million events. What watching costs: bench_monitor.py.
"""

import math
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

import bench_monitor
import numpy as np
import parts
from river.datasets import synth
from streams import Sample

from nnstream.drift.detectors import KINDS, DetectorSpec
from nnstream.drift.panel import Panel
from nnstream.model import Model, ModelSpec
from nnstream.regularizers import Regularization
from nnstream.responses import ResponseSpec
from nnstream.spec import NetworkSpec

HALF, AFTER, BLOCK, SEEDS = 6_000, 2_000, 500, 3
POLICIES = ("none", "auto", "faster", "rebirth", "background")


def named(samples: Iterator[Any]) -> Iterator[Sample]:
    return (({str(name): value for name, value in x.items()}, y) for x, y in samples)


def joined(first: Any, second: Any) -> list[Sample]:
    return list(chain(islice(named(iter(first)), HALF), islice(named(iter(second)), HALF)))


def friedman(seed: int) -> list[Sample]:
    """Friedman's function of five features, then of the five others."""
    swapped = (({(k + 5) % 10: v for k, v in x.items()}, y) for x, y in synth.Friedman(seed=seed + 100))
    return joined(synth.Friedman(seed=seed), swapped)


def formula(seed: int) -> list[Sample]:
    rng = np.random.default_rng(seed)
    out = []
    for i in range(2 * HALF):
        a, b, c, d, e = rng.normal(size=5).tolist()
        y = 3 * a + 2 * math.sin(2 * b) + c * d if i < HALF else -2 * a + 3 * e + b * c
        out.append(({"a": a, "b": b, "c": c, "d": d, "e": e}, y + 0.1 * rng.normal()))
    return out


STREAMS: dict[str, tuple[str, Callable[[int], list[Sample]]]] = {
    "sine, turned over": ("classification", lambda s: joined(synth.Sine(0, seed=s), synth.Sine(1, seed=s + 100))),
    "agrawal": ("classification", lambda s: joined(synth.Agrawal(2, seed=s), synth.Agrawal(6, seed=s + 100))),
    "SEA": ("classification", lambda s: joined(synth.SEA(0, seed=s), synth.SEA(3, seed=s + 100))),
    "random RBF": (
        "classification",
        lambda s: joined(
            synth.RandomRBF(seed_model=s, seed_sample=s, n_classes=3),
            synth.RandomRBF(seed_model=s + 100, seed_sample=s, n_classes=3),
        ),
    ),
    "friedman, other features": ("regression", friedman),
    "formula": ("regression", formula),
    "planes, turned over": (
        "regression",
        lambda s: joined(synth.Planes2D(seed=s), ((x, -y) for x, y in synth.Planes2D(seed=s + 100))),
    ),
}


def losses_of(task: Any, samples: list[Sample], learner: Any, policy: Any) -> np.ndarray:
    loss = "squared" if task == "regression" else "log"
    network = NetworkSpec(inputs=0, hidden=(32,), loss=loss, regularization=Regularization(clip_norm=5.0))
    model = Model(ModelSpec(task=task, learner=learner, network=network, response=ResponseSpec(policy)))
    found = []
    for start in range(0, len(samples), BLOCK):
        rows, labels = zip(*samples[start : start + BLOCK], strict=True)
        found.append(model.predict_then_learn(rows, labels).losses)
    losses = np.concatenate(found)
    return np.sqrt(losses) if task == "regression" else losses  # of a squared error the error, in the label's units


def responses() -> list[dict[str, Any]]:
    """Return the mean loss after the drift and before it, of each learner, stream and response."""
    table = []
    for learner in ("ensemble", "network"):
        for name, (task, make) in STREAMS.items():
            streams = [make(seed) for seed in range(SEEDS)]
            for policy in POLICIES:
                runs = [losses_of(task, samples, learner, policy) for samples in streams]
                after = float(np.mean([np.nanmean(run[HALF : HALF + AFTER]) for run in runs]))
                before = float(np.mean([np.nanmean(run[1000:HALF]) for run in runs]))
                table.append({"learner": learner, "stream": name, "policy": policy, "after": after, "before": before})
            rows = table[-len(POLICIES) :]
            ratios = (f"{row['policy']} {row['after'] / rows[0]['after']:.3f}" for row in rows)
            print(f"{learner:9} {name:25} none {rows[0]['after']:.4f}; against it: {'  '.join(ratios)}", flush=True)
        for policy in POLICIES:
            print(f"{learner:9} {policy:11} geometric mean of the ratios: after the drift "
                  f"{geometric(table, learner, policy, 'after'):.3f}, before it "
                  f"{geometric(table, learner, policy, 'before'):.3f}")  # fmt: skip
    return table


def geometric(table: list[dict[str, Any]], learner: str, policy: str, when: str) -> float:
    of = {(row["stream"], row["policy"]): row[when] for row in table if row["learner"] == learner}
    return float(np.exp(np.mean([np.log(of[name, policy] / of[name, "none"]) for name in STREAMS])))


def alarms() -> list[dict[str, Any]]:
    """Return how many events after each drift the service, with its defaults, raises the first alert."""
    table = []
    for learner in bench_monitor.LEARNERS:
        found: list[float] = []
        for name, (task, make) in STREAMS.items():
            for seed in range(SEEDS):
                log = bench_monitor.written(iter(make(seed)), 2 * HALF)
                told = bench_monitor.alerts_of(log, 2 * HALF, {"task": task, "learner": learner})
                early = [each for each in told if each["source"]["offset"] < HALF]
                delays = [each["source"]["offset"] - HALF for each in told if each["source"]["offset"] >= HALF]
                delay = delays[0] if delays else math.inf
                signals = [each["signal"] for each in told]
                table.append({"learner": learner, "stream": name, "seed": seed, "delay": delay, "signals": signals,
                              "early": len(early)})  # fmt: skip
                found.append(delay)
            print(f"{learner:9} {name:25} first alert after {found[-SEEDS:]} events", flush=True)
        soon = sum(delay < 500 for delay in found)
        print(f"{learner:9} within 500 events: {soon} of {len(found)}; alerts before the drift: "
              f"{sum(row['early'] for row in table if row['learner'] == learner)}")  # fmt: skip
    return table


def detectors() -> list[dict[str, Any]]:
    """Return how soon each detector sees a loss that doubles, at one false alarm in a million events."""
    table = []
    for name in KINDS:
        delays = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            panel = Panel(DetectorSpec(name, 1_000_000))
            panel.add_column(1_000_000, ("mean",), up_only=True)
            start = 5_000 + seed
            losses = np.concatenate([rng.exponential(0.3, start), rng.exponential(0.6, 5_000)])
            delays.append(next((f.row - start for f in panel.add(losses[:, None]) if f.row >= start), math.inf))
        table.append({"detector": name, "median": float(np.median(delays)), "worst": max(delays)})
        print(f"{name:13} alarm after {np.median(delays):6.0f} events (median of 20), {max(delays):6.0f} at worst")
    return table


PARTS: dict[str, Callable[[], Any]] = {"responses": responses, "alarms": alarms, "detectors": detectors}


if __name__ == "__main__":
    parts.run(PARTS, __doc__)
