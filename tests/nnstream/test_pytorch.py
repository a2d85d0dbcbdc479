"""Networks that PyTorch trained give here what PyTorch says of them: from the state dict, and from its ONNX export.

scripts/pytorch_networks.py, which has PyTorch, trained and stored them.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy
from onnx import numpy_helper

from nnstream.errors import SpecError
from nnstream.imports import from_state_dict
from nnstream.onnx_networks import from_onnx

STORED = Path(__file__).with_name("pytorch")
NETWORKS = {
    "logistic": ("identity", "log"),
    "relu-log": ("relu", "log"),
    "relu-classes": ("relu", "cross_entropy"),
    "tanh-squared": ("tanh", "squared"),
    "sigmoid-classes": ("sigmoid", "cross_entropy"),
    "elu-squared": ("elu", "squared"),
    "gelu-classes": ("gelu", "cross_entropy"),
    "leaky-labels": ("leaky_relu", "log"),
    "softplus-squared": ("softplus", "squared"),
    "no-biases": ("relu", "squared"),
}


@pytest.fixture(scope="module")
def said():
    """Inputs, PyTorch's outputs, and how far these are from PyTorch's own in float64."""
    return safetensors.numpy.load_file(STORED / "outputs.safetensors")


def compare(network, said, name):
    """Within 1e-6 of each output's size, or within what PyTorch itself loses to float32."""
    expected = said[f"outputs {name}"]
    away = np.abs(network.predict(said["inputs"]) - expected) / np.maximum(1, np.abs(expected))
    assert away.max() <= max(1e-6, 2 * said[f"rounding {name}"].item())
    assert expected.std() > 0.05


def test_everything_stored_is_compared():
    assert {path.stem for path in STORED.glob("*.onnx")} == NETWORKS.keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_state_dicts_give_what_pytorch_gives(name, said):
    activation, loss = NETWORKS[name]
    compare(from_state_dict(STORED / f"{name}.safetensors", activation=activation, loss=loss), said, name)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_of_pytorch_gives_what_pytorch_gives(name, said):
    activation, loss = NETWORKS[name]
    network = from_onnx((STORED / f"{name}.onnx").read_bytes(), loss=loss)
    assert network.spec.activation == activation
    compare(network, said, name)


@pytest.mark.parametrize(
    ("operator", "place", "change"),
    [("Div", 1, "x / 2"), ("Div", 0, "backwards"), ("Add", 1, "erf + 2"), ("Mul", 1, "x twice"), ("Erf", 0, "of x")],
)
def test_what_is_almost_a_gelu_is_refused(operator, place, change):
    """PyTorch up to opset 17 writes it as Div, Erf, Add, Mul and Mul."""
    model = onnx.load_model_from_string((STORED / "gelu-classes.onnx").read_bytes())
    node = next(each for each in model.graph.node if each.op_type == operator)
    if change in ("x / 2", "erf + 2"):
        model.graph.initializer.append(numpy_helper.from_array(np.array(2.0, np.float32), "two"))
        node.input[place] = "two"
    elif change == "backwards":
        node.input[0], node.input[1] = node.input[1], node.input[0]
    else:
        node.input[place] = model.graph.node[0].output[0]
    with pytest.raises(SpecError, match="only a chain of layers fits"):
        from_onnx(model.SerializeToString(), loss="cross_entropy")


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_agrees_with_both(name, said):
    session = onnxruntime.InferenceSession(STORED / f"{name}.onnx")
    (got,) = session.run(None, {"x": said["inputs"]})
    np.testing.assert_allclose(got, said[f"outputs {name}"], rtol=1e-5, atol=1e-5)
