"""What a frozen network reads, taken from the inputs that it declares."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nnstream.errors import SpecError
from nnstream.frozen.onnx import session

_IMAGE_AXES, _VECTOR_AXES, _RGB = 4, 2, 3


class Declared(NamedTuple):
    """What a network says about its input; None where it says nothing.

    Attributes:
        reads: `image`, `vector`, `text` or `tokens`.
        size: numbers of a vector.
        height: rows of an image.
        width: columns of an image.
        channels_first: whether red, green and blue are the first axis of an image.
    """

    reads: str
    size: int | None = None
    height: int | None = None
    width: int | None = None
    channels_first: bool = True


def declared(path: str | Path) -> Declared:
    """Return what the ONNX model of a file reads.

    Raises:
        SpecError: the file is no model, or one whose inputs are none of the known kinds.
    """
    inputs = {str(each.name): (str(each.type), list(each.shape)) for each in session(path).get_inputs()}
    if "input_ids" in inputs:
        return Declared("tokens")
    if len(inputs) == 1:
        ((kind, shape),) = inputs.values()
        if kind == "tensor(string)":
            return Declared("text")
        if kind == "tensor(float)" and len(shape) == _VECTOR_AXES:
            return Declared("vector", size=_number(shape[1]))
        if kind == "tensor(float)" and len(shape) == _IMAGE_AXES and _RGB in (shape[1], shape[3]):
            first = shape[1] == _RGB
            height, width = shape[2:] if first else shape[1:3]
            return Declared("image", None, _number(height), _number(width), first)
    raise SpecError(
        f"the model {path} reads {_shown(inputs)}; expected an image (float, n x 3 x height x width), a vector "
        "(float, n x size), a text (string), or the tokens of one (int64 input_ids)"
    )


def _number(axis: Any) -> int | None:
    return axis if isinstance(axis, int) and axis > 0 else None


def _shown(inputs: Mapping[str, tuple[str, list[Any]]]) -> str:
    return ", ".join(f"{name}: {kind} {shape}" for name, (kind, shape) in inputs.items())
