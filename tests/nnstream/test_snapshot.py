"""A model as bytes: the same model afterwards, and a refusal by name of whatever is not what was written."""

import json
import pickle

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from test_model import SPECS, run, stream

from nnstream import snapshot
from nnstream.errors import SnapshotDamagedError, SnapshotMismatchError
from nnstream.model import Model, ModelSpec
from nnstream.schema import FeatureSpec
from nnstream.spec import NetworkSpec

SPEC = SPECS["classification"]


@pytest.fixture(scope="module")
def data():
    return snapshot.dump(run(SPEC, *stream(SPEC))[0], {"where": ["here", 3]}, {"ring": np.arange(3.0)})


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("cut", [0, 1, 60, 119])
def test_a_model_that_was_stored_goes_on_to_the_same_bits(name, cut):
    spec = SPECS[name]
    rows, labels = stream(spec)
    whole, first = Model(spec), Model(spec)
    whole.predict_then_learn(rows[:cut], labels[:cut])
    first.predict_then_learn(rows[:cut], labels[:cut])
    second, _, _ = snapshot.load(snapshot.dump(first), spec)
    expected = whole.predict_then_learn(rows[cut:], labels[cut:])
    found = second.predict_then_learn(rows[cut:], labels[cut:])
    assert found.losses.tobytes() == expected.losses.tobytes()
    assert found.predictions() == expected.predictions()
    assert snapshot.dump(second) == snapshot.dump(whole)


def test_what_is_beside_the_model_comes_back(data):
    _, extra, arrays = snapshot.load(data, SPEC)
    assert extra == {"where": ["here", 3]}
    assert arrays.keys() == {"ring"}
    assert arrays["ring"].tolist() == [0, 1, 2]


def test_storing_twice_gives_the_same_bytes(data):
    model, extra, arrays = snapshot.load(data, SPEC)
    assert snapshot.dump(model, extra, arrays) == data


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_noticed(data, place, bit):
    damaged = bytearray(data)
    damaged[int(place * len(data))] ^= 1 << bit
    try:
        model, extra, _ = snapshot.load(bytes(damaged), SPEC)
    except SnapshotDamagedError:
        return
    # A bit that carries nothing: white space, or a letter of a JSON escape.
    assert snapshot.dump(model, extra, {"ring": np.arange(3.0)}) == data


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, -1, -1000])
def test_what_is_cut_off_is_damaged(data, length):
    with pytest.raises(SnapshotDamagedError, match="not a whole nnstream snapshot"):
        snapshot.load(data[:length], SPEC)


FOREIGN = {
    "other safetensors": lambda: safetensors.numpy.save({"a": np.zeros(3)}),
    "with other metadata": lambda: safetensors.numpy.save({"a": np.zeros(3)}, {"nnstream": "no JSON"}),
    "with half the metadata": lambda: safetensors.numpy.save({"a": np.zeros(3)}, {"nnstream": "{}"}),
    "with a list": lambda: safetensors.numpy.save({"a": np.zeros(3)}, {"nnstream": "[]"}),
    "text": lambda: b"hello, this is no snapshot at all",
    "appended to": lambda: snapshot.dump(Model(SPEC)) + b"x",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_snapshot_is_refused(name):
    with pytest.raises(SnapshotDamagedError, match="not a whole nnstream snapshot"):
        snapshot.load(FOREIGN[name](), SPEC)


def test_a_changed_weight_is_noticed(data):
    arrays = safetensors.numpy.load(data)
    arrays["learner.params"][0] += 1
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    with pytest.raises(SnapshotDamagedError, match="checksum"):
        snapshot.load(safetensors.numpy.save(arrays, metadata), SPEC)


def test_a_pickle_is_never_read():
    class Bomb:
        def __reduce__(self):
            return exec, ("raise SystemExit('it was unpickled')",)

    with pytest.raises(SnapshotDamagedError):
        snapshot.load(pickle.dumps(Bomb()), SPEC)


def test_another_format_is_named(monkeypatch):
    monkeypatch.setattr(snapshot, "FORMAT", 99)
    data = snapshot.dump(Model(SPEC))
    monkeypatch.undo()
    with pytest.raises(SnapshotMismatchError, match=r"has format 99, this program reads \d+; use the version"):
        snapshot.load(data, SPEC)


OTHERS = {
    "hidden": (ModelSpec(network=NetworkSpec(inputs=0, hidden=(7,))), "model.network.hidden was [6] and is now [7]"),
    "seed": (ModelSpec(network=NetworkSpec(inputs=0, hidden=(6,), seed=1)), "model.network.seed was 0 and is now 1"),
    "task": (SPECS["regression"], 'model.task was "classification" and is now "regression"'),
    "optimizer": (SPECS["classification, adam"], "model.network"),
    "learner": (SPECS["ensemble"], "model.learner"),
    "classes": (ModelSpec(network=SPEC.network, classes=("a",)), 'model.classes was [] and is now ["a"]'),
    "memory": (ModelSpec(network=SPEC.network, memory=9.0), 'model.memory was "inf" and is now 9.0'),
    "features": (ModelSpec(network=SPEC.network, features={"a": FeatureSpec("number")}), "model.features was null"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_model_is_refused_by_what_differs(name, data):
    spec, words = OTHERS[name]
    with pytest.raises(SnapshotMismatchError) as caught:
        snapshot.load(data, spec)
    assert words in str(caught.value)
    assert "give the model a new name" in str(caught.value)
