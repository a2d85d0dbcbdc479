"""The streams that benchmarks run on: river's packaged data, and its generators with every kind of drift."""

import csv
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from river import datasets
from river.datasets import synth

Sample = tuple[dict[str, Any], Any]
Stream = Callable[[], Iterator[Sample]]
HALF = 5_000


def _then(first: Any, second: Any, third: Any = None) -> Stream:
    """Return a stream whose concept changes at once."""
    parts = [part for part in (first, second, third) if part is not None]
    return lambda: chain.from_iterable(islice(iter(part), HALF * 2 // len(parts)) for part in parts)


def _gradually(first: Any, second: Any) -> Stream:
    return lambda: islice(iter(synth.ConceptDriftStream(first, second, seed=1, position=HALF, width=2000)), HALF * 2)


def _take(stream: Any) -> Stream:
    return lambda: islice(iter(stream), HALF * 2)


CLASSIFICATION: dict[str, Stream] = {
    "phishing (real)": lambda: iter(datasets.Phishing()),
    "image segments (real)": lambda: iter(datasets.ImageSegments()),
    "bananas (real)": lambda: iter(datasets.Bananas()),
    "shuttle (real, 10,000)": _take(datasets.Shuttle()),
    "agrawal, abrupt": _then(synth.Agrawal(2, seed=11), synth.Agrawal(6, seed=12)),
    "agrawal, gradual": _gradually(synth.Agrawal(0, seed=13), synth.Agrawal(4, seed=14)),
    "SEA, recurring": _then(synth.SEA(0, seed=15), synth.SEA(3, seed=16), synth.SEA(0, seed=17)),
    "hyperplane, incremental": _take(
        synth.Hyperplane(seed=18, n_features=10, n_drift_features=5, mag_change=0.001, noise_percentage=0.05)
    ),
    "random RBF, drifting": _take(
        synth.RandomRBFDrift(
            seed_model=19, seed_sample=20, n_classes=4, n_features=10, n_centroids=20, change_speed=0.0002,
            n_drift_centroids=10,
        )
    ),
    "LED, drifting": _take(synth.LEDDrift(seed=21, noise_percentage=0.1, n_drift_features=3)),
    "sine, turned over": _then(synth.Sine(0, seed=22), synth.Sine(1, seed=23)),
    "random tree": _take(synth.RandomTree(seed_tree=24, seed_sample=25, n_classes=2)),
}  # fmt: skip
REGRESSION: dict[str, Stream] = {
    "trump approval (real)": lambda: iter(datasets.TrumpApproval()),
    "chick weights (real)": lambda: iter(datasets.ChickWeights()),
    "friedman": _take(synth.Friedman(seed=26)),
    "friedman, drifting": _take(synth.FriedmanDrift(drift_type="lea", position=(2500, 5000, 7500), seed=27)),
    "planes 2D": _take(synth.Planes2D(seed=28)),
}


def elec2(path: Path) -> Stream:
    """Return the Elec2 stream from a CSV file whose last column is the label."""

    def samples() -> Iterator[Sample]:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                *names, label = row
                yield {name: float(row[name]) for name in names}, int(row[label])

    return samples
