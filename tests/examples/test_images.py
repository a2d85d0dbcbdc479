"""The pictures of docs/examples: the bar holds, the frozen network is what it should be, the check can fail."""

import io
import json
import os
import pickle
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from nnstream.frozen import ImageInput, OnnxBase

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
SCRIPT = EXAMPLES / "images.py"


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_ten_samples_a_class_on_a_frozen_network_beat_pixels_by_what_the_bar_asks_for():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--pictures", "emoji", "--orders", "2", "--json"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert min(found["gains"].values()) >= 0.2
    assert (found["pictures"] > 300, found["classes"] >= 10) == (True, True)
    assert {len(each) for each in found["curves"].values()} == {10}
    assert found["curves"]["frozen, ensemble"][-1] > found["curves"]["frozen, ensemble"][0] + 0.3


def test_it_fails_where_the_frozen_network_is_worth_nothing(examples, monkeypatch, capsys):
    example = runpy.run_path(str(SCRIPT))
    rng = np.random.default_rng(0)
    names = example["main"].__globals__
    monkeypatch.setitem(names, "on_the_base", example["from_pixels"])
    noise = lambda images, *_: list(rng.normal(size=(len(images), 768)).astype(np.float32))  # noqa: E731
    monkeypatch.setitem(names, "embeddings", noise)
    monkeypatch.setitem(names, "pixels", noise)
    monkeypatch.setattr(names["pictures"], "photos", lambda: ((None, "ab"[i % 2]) for i in range(40)))
    monkeypatch.setattr(sys, "argv", ["images.py", "--orders", "1"])
    assert example["main"]() == 1
    assert "bar: 20" in capsys.readouterr().out


def test_what_is_held_out_never_enters_the_stream(examples):
    split = runpy.run_path(str(SCRIPT))["split"]
    labels = np.repeat(["a", "b", "c"], [12, 30, 15])
    rounds, held_out = split(labels, seed=1)
    assert rounds.shape == (10, 3)
    assert all(sorted(labels[taken]) == ["a", "b", "c"] for taken in rounds)
    assert sorted([*rounds.ravel(), *held_out]) == list(range(57))


def test_the_network_made_without_pytorch_knows_what_it_was_trained_to_know(examples):
    import efficientnet  # noqa: PLC0415

    reader = ImageInput(efficientnet.SIZE, efficientnet.SIZE, efficientnet.MEAN, efficientnet.STD)
    base = OnnxBase(efficientnet.model(), reader, "classes")
    assert (base.size, OnnxBase(efficientnet.model(), reader, "features").size) == (1000, 1280)
    picture = load_sample_image("china.jpg")
    side = min(picture.shape[:2])
    start = (picture.shape[1] - side) // 2
    steps = np.linspace(0, side - 1, efficientnet.SIZE).astype(int)
    square = picture[:, start : start + side][steps][:, steps]
    (scores,) = base.embed([base.read("photo", square)])
    buildings = {442, 483, 497, 538, 663, 668, 698, 832}  # bell cote, castle, church, dome, ..., palace, stupa
    assert int(scores.argmax()) in buildings
    assert len(buildings & set(np.argsort(-scores)[:5].tolist())) >= 3


def test_weights_are_read_without_running_what_stands_in_the_file(examples):
    import efficientnet  # noqa: PLC0415

    evil = io.BytesIO(b"".join(pickle.dumps(each) for each in (1, 2, 3)) + pickle.dumps(subprocess.run))
    with pytest.raises(pickle.UnpicklingError, match=r"subprocess\.run has no place in a file of weights"):
        efficientnet.state_dict(evil)
