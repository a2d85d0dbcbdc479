"""Networks as ONNX models: out to any runtime, in from any framework. Needs the extra `nnstream[onnx]`.

Both speak of the network alone: its inputs are float32 numbers, as `nnstream.encoder` or another program makes them.

Example:
    >>> from nnstream.spec import NetworkSpec
    >>> stored = to_onnx(Network(NetworkSpec(inputs=4, hidden=(8,), outputs=3, loss="cross_entropy")))
    >>> from_onnx(stored, loss="cross_entropy").spec.sizes
    (4, 8, 3)
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from nnstream.activations import Activation
from nnstream.errors import SnapshotDamagedError, SpecError
from nnstream.imports import from_state_dict
from nnstream.losses import Loss
from nnstream.network import Network
from nnstream.onnx_gelu import joined
from nnstream.optimizers import Optimizer

OPSET, IR_VERSION = 20, 9  # the first opset with Gelu, and the format that came with it
_OPERATORS: dict[Activation, tuple[str, dict[str, Any]]] = {
    Activation.IDENTITY: ("Identity", {}),
    Activation.SIGMOID: ("Sigmoid", {}),
    Activation.TANH: ("Tanh", {}),
    Activation.RELU: ("Relu", {}),
    Activation.LEAKY_RELU: ("LeakyRelu", {"alpha": 0.01}),
    Activation.ELU: ("Elu", {"alpha": 1.0}),
    Activation.GELU: ("Gelu", {"approximate": "none"}),
    Activation.SOFTPLUS: ("Softplus", {}),
}
_NAMES = {operator: kind.name.lower() for kind, (operator, _) in _OPERATORS.items()}
_SETTINGS = dict(_OPERATORS.values())
_HEADS = {Loss.LOG: "Sigmoid", Loss.CROSS_ENTROPY: "Softmax"}


def to_onnx(network: Network) -> bytes:
    """Return an ONNX model of `predict`: "inputs" float32 (n, inputs) -> "predictions" float32 (n, outputs)."""
    spec = network.spec
    nodes, stored = network_nodes(network, "inputs", "predictions")
    graph = helper.make_graph(
        nodes,
        "nnstream",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["n", spec.inputs])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["n", spec.outputs])],
        stored,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, producer_name="nnstream", opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def network_nodes(
    network: Network, inputs: str, outputs: str, prefix: str = ""
) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    """Return the nodes and constants of `predict`.

    Args:
        network: whose.
        inputs: name of the value that goes in, float (n, inputs).
        outputs: name of the one that comes out, float (n, outputs).
        prefix: of all other names.
    """
    spec = network.spec
    loss, signs = Loss.of(spec.loss), {"zero": 0.0, "plus": 1.0, "minus": -1.0}
    has_threshold = loss is Loss.PERCEPTRON or (spec.hidden and Activation.of(spec.activation) is Activation.STEP)
    stored = [
        numpy_helper.from_array(np.array(each, np.float32), prefix + name)
        for name, each in signs.items()
        if has_threshold
    ]
    nodes: list[onnx.NodeProto] = []
    value = inputs
    for k, (weights, biases) in enumerate(network.layers()):
        layer = f"{prefix}{k}"
        stored += [numpy_helper.from_array(weights.copy(), f"{layer}.weight")]
        stored += [numpy_helper.from_array(biases.copy(), f"{layer}.bias")]
        nodes.append(helper.make_node("Gemm", [value, f"{layer}.weight", f"{layer}.bias"], [f"{layer}.sum"]))
        value = f"{layer}.out"
        if k < len(spec.hidden):
            nodes += _activation_nodes(Activation.of(spec.activation), f"{layer}.sum", value, prefix)
    top = f"{prefix}{len(spec.hidden)}.sum"
    if loss is Loss.PERCEPTRON:
        nodes += _activation_nodes(Activation.STEP, top, outputs, prefix)
    else:
        nodes.append(helper.make_node(_HEADS.get(loss, "Identity"), [top], [outputs]))
    return nodes, stored


def _activation_nodes(kind: Activation, before: str, after: str, prefix: str) -> list[onnx.NodeProto]:
    if kind is Activation.STEP:
        return [
            helper.make_node("Greater", [before, f"{prefix}zero"], [f"{after}.positive"]),
            helper.make_node("Where", [f"{after}.positive", f"{prefix}plus", f"{prefix}minus"], [after]),
        ]
    operator, settings = _OPERATORS[kind]
    return [helper.make_node(operator, [before], [after], **settings)]


def from_onnx(stored: bytes, *, loss: str, optimizer: Optimizer | None = None) -> Network:
    """Return the network of an ONNX model: a chain of Gemm, or MatMul and Add, with one activation between layers.

    A Sigmoid or Softmax at the end is taken off where `loss` puts it there itself (`log`, `cross_entropy`).

    Args:
        stored: the file's bytes.
        loss: by name (see `nnstream.losses`); ONNX holds none.
        optimizer: with which it goes on; None is SGD.

    Raises:
        SpecError: it is no such chain; the message names the node that does not fit.
        SnapshotDamagedError: the bytes are no ONNX model.
    """
    chain = _Chain(_read(stored))
    head = _HEADS.get(Loss.of(loss))
    if len(chain.operators) == len(chain.weights) and chain.operators[-1:] == [head]:
        chain.operators.pop()
    if len(chain.operators) > max(0, len(chain.weights) - 1):
        raise SpecError(f"the output layer ends in {chain.operators[-1]}, which the loss {loss!r} does not put there")
    if len(set(chain.operators)) > 1:
        raise SpecError(f"hidden layers share one activation here; these have {', '.join(chain.operators)}")
    state = {f"{k}.weight": weights.T for k, weights in enumerate(chain.weights)}
    state |= {f"{k}.bias": biases for k, biases in enumerate(chain.biases)}
    activation = _NAMES[chain.operators[0]] if chain.operators else "identity"
    return from_state_dict(state, activation=activation, loss=loss, optimizer=optimizer)


def _read(stored: bytes) -> onnx.GraphProto:
    try:
        model = onnx.load_model_from_string(stored)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise SnapshotDamagedError(f"this is no whole ONNX model: {error}") from error
    outside = [each.name for each in model.graph.initializer if each.data_location == TensorProto.EXTERNAL]
    if outside:
        raise SpecError(f"{outside[0]!r} lies in another file; store the model in one file")
    return model.graph


class _Chain:
    """The layers of a graph, read node by node: each takes what the one before it gave, and constants."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.weights: list[npt.NDArray[Any]] = []  # (fan_in, fan_out)
        self.biases: list[npt.NDArray[Any]] = []  # (fan_out,)
        self.operators: list[str] = []  # the activation after each layer
        constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        value = next((each.name for each in graph.input if each.name not in constants), "")
        nodes = []
        for node in graph.node:
            given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            if node.op_type == "Constant" and "value" in given:
                constants[node.output[0]] = numpy_helper.to_array(given["value"])
            else:
                nodes.append(node)
        for node in joined(nodes, constants):
            given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            others = [name for name in node.input if name != value]
            if list(node.input).count(value) != 1 or not all(name in constants for name in others):
                raise _misfit(node, "does not take what the node before it gives, and constants")
            self._take(node, given, [constants[name] for name in others], first=node.input[0] == value)
            value = node.output[0]
        if [each.name for each in graph.output] != [value]:
            raise SpecError("the model gives more than the output of its last layer")

    def _take(
        self, node: onnx.NodeProto, given: dict[str, Any], constants: list[npt.NDArray[Any]], *, first: bool
    ) -> None:
        if node.op_type in ("Gemm", "MatMul"):
            if not first or not constants or constants[0].ndim != 2 or given.get("transA", 0):  # noqa: PLR2004
                raise _misfit(node, "is not the product of values and a matrix of weights")
            if len(self.operators) < len(self.weights):
                self.operators.append("Identity")
            weights = constants[0].T if given.get("transB", 0) else constants[0]
            self.weights.append(given.get("alpha", 1.0) * weights)
            self.biases.append(np.zeros(weights.shape[1], np.float32))
            if len(constants) > 1:
                self._add(node, given.get("beta", 1.0) * constants[1])
        elif node.op_type == "Add" and len(constants) == 1 and len(self.operators) < len(self.weights):
            self._add(node, constants[0])
        elif node.op_type != "Identity":
            self._activate(node, given)

    def _add(self, node: onnx.NodeProto, values: npt.NDArray[Any]) -> None:
        if values.size not in (1, self.biases[-1].size):
            raise _misfit(node, f"adds {values.size} values to {self.biases[-1].size} units")
        self.biases[-1] = self.biases[-1] + values.ravel()

    def _activate(self, node: onnx.NodeProto, given: dict[str, Any]) -> None:
        if len(self.operators) >= len(self.weights) or node.op_type not in (*_NAMES, "Softmax"):
            raise _misfit(node, f"is no activation after a layer; there are {', '.join(sorted(_NAMES))}")
        if node.op_type == "Softmax" and given.get("axis", -1) not in (-1, 1):
            raise _misfit(node, "is not over the outputs of one row")
        for name, default in _SETTINGS.get(node.op_type, {}).items():
            value = given.get(name, default)  # our settings are also the defaults of ONNX
            value = value.decode() if isinstance(value, bytes) else value
            if value != default and not (isinstance(value, float) and np.float32(value) == np.float32(default)):
                raise _misfit(node, f"has {name} = {value}; here it is {default}")
        self.operators.append(node.op_type)


def _misfit(node: onnx.NodeProto, what: str) -> SpecError:
    return SpecError(f"the node {node.name or node.output[0]!r} ({node.op_type}) {what}; only a chain of layers fits")
