"""Networks leave as ONNX and come in again: onnxruntime and nnstream compute the same function."""

import re

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnstream.activations import Activation
from nnstream.errors import SnapshotDamagedError, SpecError
from nnstream.losses import Loss
from nnstream.network import Network
from nnstream.onnx_networks import from_onnx, to_onnx
from nnstream.spec import NetworkSpec

RNG = np.random.default_rng(3)
X = RNG.normal(size=(10_000, 6)).astype(np.float32)
X[:50] *= 1e4
W = [RNG.uniform(-0.6, 0.6, shape).astype(np.float32) for shape in ((6, 9), (9, 3))]
B = [RNG.uniform(-0.6, 0.6, units).astype(np.float32) for units in (9, 3)]


def network(**changes):
    learned = Network(NetworkSpec(6, hidden=(9, 7), **{"outputs": 3, "loss": "squared", "seed": 5} | changes))
    learned.params[:] += np.random.default_rng(4).uniform(-0.2, 0.2, learned.params.size).astype(np.float32)
    return learned


def run(stored, rows):
    session = onnxruntime.InferenceSession(stored, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: rows})[0]


def graph(*nodes, outputs=("y",)):
    """An ONNX model of nodes on the constants w0, b0, w1, b1 and their transposed t0, t1."""
    arrays = {"w0": W[0], "w1": W[1], "t0": W[0].T.copy(), "t1": W[1].T.copy(), "b0": B[0], "b1": B[1]}
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None]) for name in outputs]
    stored = [numpy_helper.from_array(each, name) for name, each in arrays.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, results, stored),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    return model.SerializeToString()


def node(operator, inputs, output, **settings):
    return helper.make_node(operator, inputs.split(), [output], **settings)


def close(got, expected):
    """Within 1e-5 of each row's size: float32 sums of large numbers that cancel out know no more than that."""
    size = np.maximum(1, np.abs(expected).max(axis=1, keepdims=True))
    np.testing.assert_allclose(got / size, expected / size, rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", [each.name.lower() for each in Activation])
def test_every_activation_gives_the_same_in_onnxruntime(activation):
    original = network(activation=activation)
    rows = X[50:] if activation == "step" else X  # a sum may be rounded to the other side of a threshold
    got, expected = run(to_onnx(original), rows), original.predict(rows)
    if activation == "step":
        assert np.mean(np.abs(got - expected).max(axis=1) > 1e-5) < 1e-3
    else:
        close(got, expected)


@pytest.mark.parametrize("loss", [each.name.lower() for each in Loss])
def test_every_loss_gives_the_same_predictions_in_onnxruntime(loss):
    original = network(loss=loss, loss_shape=0.5, activation="tanh")
    close(run(to_onnx(original), X), original.predict(X))


@pytest.mark.parametrize("hidden", [(), (4,), (5, 5, 5, 5)])
def test_any_depth_leaves_and_comes_back_to_the_bit(hidden):
    original = Network(NetworkSpec(6, hidden=hidden, outputs=3, loss="cross_entropy", seed=2))
    back = from_onnx(to_onnx(original), loss="cross_entropy")
    assert back.spec.sizes == original.spec.sizes
    assert np.array_equal(back.params, original.params)
    close(run(to_onnx(original), X), original.predict(X))


@pytest.mark.parametrize(
    "activation", [each.name.lower() for each in Activation if each not in (Activation.STEP, Activation.IDENTITY)]
)
def test_activations_come_back(activation):
    assert from_onnx(to_onnx(network(activation=activation)), loss="squared").spec.activation == activation


@pytest.mark.parametrize(
    ("loss", "nodes"),
    [
        ("squared", [node("MatMul", "x w0", "a"), node("Add", "a b0", "b"), node("Relu", "b", "c"),
                     node("MatMul", "c w1", "d"), node("Add", "b1 d", "y")]),
        ("cross_entropy", [node("Gemm", "x t0 b0", "a", transB=1), node("Elu", "a", "b"),
                           node("Gemm", "b t1 b1", "c", transB=1), node("Softmax", "c", "y")]),
        ("squared", [node("Gemm", "x w0 b0", "a", alpha=0.5, beta=2.0), node("Gemm", "a w1", "y")]),
        ("log", [node("Gemm", "x w0 b0", "a"), node("Sigmoid", "a", "y")]),
    ],
    ids=["matmul-add", "gemm-transposed", "scaled-linear", "logistic"],
)  # fmt: skip
def test_chains_of_others_compute_what_onnxruntime_does(loss, nodes):
    stored = graph(*nodes)
    imported = from_onnx(stored, loss=loss)
    np.testing.assert_allclose(imported.predict(X[50:]), run(stored, X[50:]), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Gemm", "x w0 b0", "a"), node("Sin", "a", "y")], "'y' (Sin) is no activation after a layer"),
        ([node("Relu", "x", "y")], "'y' (Relu) is no activation after a layer"),
        ([node("Gemm", "x w0 b0", "a"), node("Add", "a a", "y")], "'y' (Add) does not take what the node before"),
        ([node("Gemm", "x w0 b0", "a"), node("LeakyRelu", "a", "y", alpha=0.2)], "has alpha = 0.2"),
        ([node("Gemm", "x w0 b0", "a"), node("Gelu", "a", "y", approximate="tanh")], "has approximate = tanh"),
        ([node("Gemm", "x w0 b0", "a"), node("Relu", "a", "y")], "the output layer ends in Relu"),
        ([node("Gemm", "x w0 b1", "y")], "adds 3 values to 9 units"),
        ([node("Gemm", "x w0 b0", "a"), node("Relu", "a", "b"), node("Gemm", "b w1", "c"), node("Tanh", "c", "d"),
          node("Gemm", "d t1", "y")], "these have Relu, Tanh"),
        ([node("Identity", "x", "y")], "there is no layer"),
    ],
)  # fmt: skip
def test_what_is_no_chain_of_layers_is_refused(nodes, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        from_onnx(graph(*nodes), loss="squared")


def test_a_model_with_more_outputs_or_parts_elsewhere_is_refused():
    with pytest.raises(SpecError, match="more than the output of its last layer"):
        from_onnx(graph(node("Gemm", "x w0 b0", "a"), node("Relu", "a", "y"), outputs=("y", "a")), loss="squared")
    model = onnx.load_model_from_string(to_onnx(network()))
    weight = next(each for each in model.graph.initializer if each.name == "0.weight")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    weight.ClearField("raw_data")
    with pytest.raises((SpecError, SnapshotDamagedError)):
        from_onnx(model.SerializeToString(), loss="squared")


@pytest.mark.parametrize("stored", [b"", b"no model", to_onnx(network())[:200]], ids=["empty", "text", "cut"])
def test_bytes_that_are_no_model_are_refused(stored):
    with pytest.raises(SnapshotDamagedError, match="no whole ONNX model"):
        from_onnx(stored, loss="squared")
