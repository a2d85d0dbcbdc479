"""`nnstream export`: a model out of a snapshot, as a graph that says what the model says."""

import json
import sys

import numpy as np
import onnxruntime
import pytest
from rig import P0, two_classes

from nnstream.model import Model, ModelSpec
from nnstream.onnx_export import feed
from service import checkpoint
from service.checkpoint import State
from service.confidence import Confidence
from service.export import read


@pytest.fixture
def history(run, csv, tmp_path):
    """A model that has learned a little history."""
    path = tmp_path / "model.safetensors"
    assert run("pretrain", "--csv", csv(two_classes(300)), "--label", "y", "--out", path)[0] == 0
    return path


def test_export_writes_a_graph_that_says_what_the_model_says(run, history, tmp_path):
    out = tmp_path / "model.onnx"
    code, said, _ = run("export", "--model", history, "--out", out, "--json")
    assert code == 0
    assert json.loads(said) == {
        "file": str(out), "bytes": out.stat().st_size, "samples": 300, "features": ["a", "b", "kind"],
        "classes": ["down", "up"],
    }  # fmt: skip
    session = onnxruntime.InferenceSession(out.read_bytes())
    rows = [{"a": 6, "b": 3, "kind": "y"}, {"a": 1, "kind": "never"}]
    model = read(history).model
    probabilities = session.run(["probabilities"], feed(session.get_inputs(), rows))[0]
    np.testing.assert_allclose(probabilities, model.predict(rows).outputs, rtol=0, atol=1e-5)


def test_export_of_a_checkpoint_has_the_intervals_it_was_calibrated_for(run, tmp_path):
    model, confidence = Model(ModelSpec("regression", "ensemble")), Confidence(0.9, regression=True)
    rows = [{"x": i % 7 / 7, "y": i % 3} for i in range(300)]
    labels = [row["x"] + (i * 7919 % 100) / 100 for i, row in enumerate(rows)]
    confidence.conformal.observe(model.predict_then_learn(rows, labels), labels)
    state = State(0, 0, {}, {}, {}, confidence.describe(), confidence.state())
    file, out = tmp_path / "kept.safetensors", tmp_path / "model.onnx"
    file.write_bytes(checkpoint.pack(model, P0, state).to_bytes())
    assert run("export", "--model", file, "--out", out)[0] == 0
    session = onnxruntime.InferenceSession(out.read_bytes())
    low, high = session.run(["interval"], feed(session.get_inputs(), rows[:1]))[0][0]
    assert (low, high) == pytest.approx(confidence.region(model.predict(rows[:1])), abs=1e-5)


def test_export_of_the_state_is_the_snapshot_itself(run, history, tmp_path):
    out = tmp_path / "again.safetensors"
    code, _, err = run("export", "--model", history, "--out", out)
    assert (code, out.read_bytes()) == (0, history.read_bytes())
    assert "300 samples learned" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "x.onnx"), "give the settings of a service, or --model FILE"),
        (("--model", "m", "--out", "x.pkl"), "the name must end in .onnx or .safetensors"),
        (("--model", "nowhere", "--out", "x.onnx"), "nowhere cannot be read: No such file"),
        (("--model", __file__, "--out", "x.onnx"), "not a whole nnstream snapshot"),
    ],
)
def test_export_says_what_is_wrong(run, arguments, message):
    code, out, err = run("export", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_export_of_a_file_with_settings_wants_those_it_was_learned_with(run, history, tmp_path):
    config, out = tmp_path / "config.yaml", tmp_path / "model.onnx"
    for model, expected in (("{confidence: 0.9}", 0), ("{task: regression}", 2)):
        config.write_text(f"model: {model}")
        code, _, err = run("export", config, "--model", history, "--out", out)
        assert (code, "configured differently" in err) == (expected, expected > 0)


def test_export_cannot_write(run, history, tmp_path):
    code, _, err = run("export", "--model", history, "--out", tmp_path / "nowhere" / "model.onnx")
    assert code == 2
    assert "cannot be written" in err


def test_export_without_the_extra_says_what_to_install(run, history, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("nnstream.onnx_export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, _, err = run("export", "--model", history, "--out", tmp_path / "model.onnx")
    assert code == 2
    assert "pip install 'nnstream[onnx]'" in err
