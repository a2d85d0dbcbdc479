"""The desks of docs/examples: the bars hold in the short form, each can be missed, and the stream is what it says."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "examples" / "texts.py"


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(SCRIPT))


def test_a_sentence_encoder_beats_words_and_finds_back_after_the_change():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--texts", "100", "--orders", "2", "--json"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["missed"] == []
    assert found["texts"] > 700
    encoder, stopped = found["scores"]["sentence encoder"], found["scores"]["stops learning"]
    assert encoder["before"] == stopped["before"]  # they are one model until the duties change
    assert encoder["after"] < encoder["before"] - 0.1
    assert encoder["end"] > encoder["after"] + 0.1


GOOD = {
    "sentence encoder": {"all": 0.73, "before": 0.84, "end": 0.76},
    "stops learning": {"all": 0.57, "before": 0.84, "end": 0.36},
    "hashed words": {"all": 0.48, "before": 0.54, "end": 0.52},
    "naive Bayes": {"all": 0.53, "before": 0.70, "end": 0.51},
}


@pytest.mark.parametrize(
    ("name", "change", "bar"),
    [
        ("naive Bayes", {"all": 0.6}, "15 points more than words"),
        ("hashed words", {"all": 0.6}, "15 points more than words"),
        ("sentence encoder", {"end": 0.7}, "back to within 10 points"),
        ("stops learning", {"end": 0.6}, "20 points behind without learning"),
    ],
)
def test_every_bar_can_be_missed(example, name, change, bar):
    assert example["missed"](GOOD) == []
    assert example["missed"](GOOD | {name: GOOD[name] | change}) == [bar]


def test_a_miss_is_a_failure(example, monkeypatch, capsys):
    names = example["main"].__globals__
    always_green = lambda order, *_: ["green"] * len(order)  # noqa: E731
    monkeypatch.setitem(names, "texts", lambda _: [(str(i), "law") for i in range(400)])
    monkeypatch.setitem(names, "heads", lambda _: dict.fromkeys(GOOD, always_green))
    monkeypatch.setattr(sys, "argv", ["texts.py", "--orders", "1"])
    assert example["main"]() == 1
    assert "missed: 15 points more than words" in capsys.readouterr().out


def test_half_way_the_duties_change_and_nothing_else(example):
    desks_of = example["DESKS"]
    topics, seen = list(desks_of) * 20, []

    def clairvoyant(order, desks, change):
        found = enumerate(zip(order, desks, strict=True))
        seen.extend((topics[i], desk, place >= change) for place, (i, desk) in found)
        return list(desks)

    assert example["hits"](clairvoyant, topics, seed=0).all()
    assert {(topic, desk) for topic, desk, late in seen if not late} == {(t, d[0]) for t, d in desks_of.items()}
    assert {(topic, desk) for topic, desk, late in seen if late} == {(t, d[1]) for t, d in desks_of.items()}
    assert sorted(topic for topic, *_ in seen) == sorted(topics)
    assert np.mean([before != after for before, after in desks_of.values()]) > 0.5
