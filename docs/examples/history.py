"""History first: what a model that has learned it saves, when the stream goes live.

Five streams of real data and generators. The first part of each is history: `nnstream pretrain` learns it. The rest
is live: the pretrained model and a cold one predict and learn the same events, and their losses add up. The table
shows both sums over the first 500 live events. Bar: at least 30 % less on at least 4 of the 5.

    python docs/examples/history.py [--learner ensemble|network] [--json]
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np
from river import datasets
from river.datasets import synth

from nnstream.model import Model
from service.pretrain import pretrain
from service.settings import ModelSettings
from service.wiring import model_spec

Sample = tuple[dict[str, Any], Any]
STREAMS: dict[str, tuple[str, int, Callable[[], Iterable[Sample]]]] = {
    "phishing": ("classification", 600, datasets.Phishing),
    "image segments": ("classification", 1_500, datasets.ImageSegments),
    "bananas": ("classification", 4_000, datasets.Bananas),
    "agrawal": ("classification", 4_000, lambda: synth.Agrawal(classification_function=2, seed=7)),
    "friedman": ("regression", 4_000, lambda: synth.Friedman(seed=7)),
}
LIVE, LEAST_SAVED, LEAST_STREAMS = 500, 0.3, 4


def live_loss(model: Model, samples: list[Sample]) -> float:
    """Return the sum of the losses, each event predicted before it is learned."""
    outcome = model.predict_then_learn([features for features, _ in samples], [label for _, label in samples])
    return float(np.nansum(outcome.losses))


def saved(name: str, learner: str) -> tuple[float, float]:
    """Return the loss of a cold start, and of the pretrained model, over the first live events."""
    task, history, stream = STREAMS[name]
    spec = model_spec(ModelSettings.model_validate({"task": task, "learner": learner}))
    samples = list(islice(iter(stream()), history + LIVE))
    warm = pretrain(samples[:history], spec, passes=3 if learner == "network" else 1).model
    return live_loss(Model(spec), samples[history:]), live_loss(warm, samples[history:])


def main() -> int:
    """Print the table; fail where history saves too little."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--learner", choices=["ensemble", "network"], default="ensemble")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = {name: saved(name, arguments.learner) for name in STREAMS}
    shares = {name: 1 - warm / cold for name, (cold, warm) in found.items()}
    enough = sum(share >= LEAST_SAVED for share in shares.values())
    if arguments.json:
        print(json.dumps({"learner": arguments.learner, "saved": shares, "enough": enough}))
    else:
        print(f"{'stream':16} {'cold start':>10} {'with history':>12} {'saved':>7}")
        for name, (cold, warm) in found.items():
            print(f"{name:16} {cold:10.1f} {warm:12.1f} {shares[name]:7.0%}")
        print(f"{enough} of {len(found)} streams save at least {LEAST_SAVED:.0%} (bar: {LEAST_STREAMS})")
    return int(enough < LEAST_STREAMS)


if __name__ == "__main__":
    sys.exit(main())
