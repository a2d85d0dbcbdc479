"""New classes of pictures, one sample at a time: on a frozen ImageNet network, and from pixels alone.

EfficientNet-Lite0 stays as it was trained; a head behind it meets classes it was never told of. After each round of
one sample a class it is asked about all pictures that never enter the stream. The same head learns the same stream
from 16 x 16 pixels (8 x 8 and 32 x 32 are no better). Heads: the default ensemble, and one softmax layer. Accuracy is
the mean over the classes, over several orders of the stream. Bar: after 10 samples a class at least 20 points more
than from pixels, with either head.

    python docs/examples/images.py [--pictures photos|emoji] [--orders 5] [--plot images.svg] [--json]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import efficientnet
import numpy as np
import pictures
from numpy.typing import NDArray

from nnstream.frozen import Embedding
from nnstream.model import Model, ModelSpec
from service.settings import ModelSettings
from service.wiring import model_spec

ROUNDS, LEAST_GAIN, PIXELS = 10, 0.20, 16
Values = Sequence[Any]


HEADS: dict[str, Any] = {
    "ensemble": {"learner": "ensemble"},
    "one layer": {"learner": "network", "network": {"hidden": []}},
}


def on_the_base(head: str) -> ModelSpec:
    """Return the model of a configuration as docs/transfer.md shows it: a frozen network, and a head."""
    photo = {
        "encoder": "onnx", "model": str(efficientnet.model()), "output": "features",
        "mean": efficientnet.MEAN, "std": efficientnet.STD,
    }  # fmt: skip
    return model_spec(ModelSettings.model_validate({"features": {"photo": photo}} | HEADS[head]))


def from_pixels(head: str) -> ModelSpec:
    """Return a head on pixels."""
    photo = {"kind": "vector", "size": PIXELS * PIXELS * 3}
    return model_spec(ModelSettings.model_validate({"features": {"photo": photo}} | HEADS[head]))


def embeddings(images: Sequence[Any], spec: ModelSpec) -> Values:
    """Return what the frozen network makes of pictures that come as events carry them; once, for all orders."""
    rows = Embedding(spec).rows([{"photo": pictures.in_event(each)} for each in images])
    return [row["photo"] for row in rows]


def pixels(images: Sequence[Any]) -> Values:
    """Return the pictures as vectors of pixels."""
    return [np.asarray(each.reduce(each.width // PIXELS), np.float32).ravel() for each in images]


def split(labels: NDArray[Any], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (rounds, classes) pictures of the stream, each round in an order of its own, and those held out."""
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(np.flatnonzero(labels == name)) for name in np.unique(labels)]
    taken = np.array([each[:ROUNDS] for each in shuffled]).T
    return rng.permuted(taken, axis=1), np.concatenate([each[ROUNDS:] for each in shuffled])


def curve(spec: ModelSpec, values: Values, labels: NDArray[Any], seed: int) -> list[float]:
    """Return the accuracy on what was held out after each round, mean over the classes."""
    rounds, held_out = split(labels, seed)
    model, found = Model(spec), []
    for taken in rounds:
        model.predict_then_learn([{"photo": values[i]} for i in taken], [str(labels[i]) for i in taken])
        said = model.predict([{"photo": values[i]} for i in held_out])
        right = np.array(said.classes)[said.outputs.argmax(axis=1)] == labels[held_out]
        found.append(float(np.mean([right[labels[held_out] == name].mean() for name in np.unique(labels)])))
    return found


def plot(curves: dict[str, NDArray[Any]], classes: int, title: str, path: Path) -> None:
    """Draw the mean curves, with the spread over the orders."""
    import matplotlib as mpl  # noqa: PLC0415  # only for the picture
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "nnstream"
    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="samples of each class from the stream", ylabel="accuracy on pictures held out")
    seen = np.arange(1, ROUNDS + 1)
    styles = (("#2563eb", "-"), ("#9ca3af", "-"), ("#2563eb", "--"), ("#9ca3af", "--"))
    for (name, found), (colour, line) in zip(curves.items(), styles, strict=True):
        mean, spread = found.mean(axis=0), found.std(axis=0)
        axes.plot(seen, mean, color=colour, linestyle=line, marker="o", label=name)
        axes.fill_between(seen, mean - spread, mean + spread, color=colour, alpha=0.1, linewidth=0)
    axes.axhline(1 / classes, color="black", linewidth=0.8, linestyle=":", label="guessing")
    axes.set(title=title, ylim=(0, 1.15), yticks=np.arange(0, 1.1, 0.2), xticks=seen)
    axes.legend(loc="upper left", frameon=False, ncols=3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    """Print the curves; fail where the frozen network helps too little."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", choices=["photos", "emoji"], default="photos")
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    images, names = zip(*getattr(pictures, arguments.pictures)(), strict=True)
    labels, plain = np.array(names), pixels(images)
    encoded = embeddings(images, on_the_base("ensemble"))
    curves = {}
    for head in HEADS:
        for kind, spec, values in (("frozen", on_the_base(head), encoded), ("pixels", from_pixels(head), plain)):
            found = [curve(spec, values, labels, seed) for seed in range(arguments.orders)]
            curves[f"{kind}, {head}"] = np.array(found)
    gains = {
        head: float(curves[f"frozen, {head}"][:, -1].mean() - curves[f"pixels, {head}"][:, -1].mean())
        for head in HEADS
    }
    classes = len(np.unique(labels))
    if arguments.plot is not None:
        title = f"{classes} classes of {arguments.pictures}, {len(labels)} pictures, {arguments.orders} orders"
        plot(curves, classes, title, arguments.plot)
    if arguments.json:
        means = {name: each.mean(axis=0).tolist() for name, each in curves.items()}
        print(json.dumps({"pictures": len(labels), "classes": classes, "gains": gains, "curves": means}))
    else:
        print(f"{len(labels)} {arguments.pictures} of {classes} classes, {arguments.orders} orders")
        print(f"{'samples a class':20} " + " ".join(f"{i:4}" for i in range(1, ROUNDS + 1)))
        for name, each in curves.items():
            print(f"{name:20} " + " ".join(f"{value:4.0%}" for value in each.mean(axis=0)))
        more = ", ".join(f"{100 * gain:+.0f} points ({head})" for head, gain in gains.items())
        print(f"after {ROUNDS} samples a class: {more}; bar: {100 * LEAST_GAIN:.0f}")
    return int(min(gains.values()) < LEAST_GAIN)


if __name__ == "__main__":
    sys.exit(main())
