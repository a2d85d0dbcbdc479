"""Feature dicts to the inputs of an exported graph. Needs neither the model nor the ONNX packages."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnstream.encoder import Row
from nnstream.schema import Feature, FeatureSpec, category_text, check_value, to_number

MISSING = "\uffff"  # for a category: no character, and in no text (Unicode 16, 23.7)


class Input(Protocol):
    """An input as onnxruntime's `InferenceSession.get_inputs` describes it."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def type(self) -> str:
        """Return its type, such as `tensor(double)`."""

    @property
    def shape(self) -> Sequence[Any]:
        """Return its dimensions."""


def feed(inputs: Sequence[Input], rows: Sequence[Row]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays to run an exported graph with.

    Args:
        inputs: of the graph, for example `session.get_inputs()`.
        rows: features of each event; what is not among the inputs is ignored, what is not among the features is
            missing.

    Raises:
        FeatureError: a value is not what its feature is.
    """
    names = set().union(*rows)
    if not all(isinstance(name, str) for name in names):
        rows = [{str(name): value for name, value in row.items()} for row in rows]
    return {each.name: _column(each, rows) for each in inputs}


def _column(given: Input, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[Any]:
    values = [row.get(given.name) for row in rows]
    size = int(given.shape[1])
    is_text = given.type == "tensor(string)"
    # A vector of one number looks like a number.
    is_vector = size > 1 or any(hasattr(each, "__len__") and not isinstance(each, str) for each in values)
    kind = FeatureSpec("category") if is_text else FeatureSpec("vector" if is_vector else "number", size=size)
    for value in values:
        check_value(Feature(given.name, kind), value)
    if is_text:
        texts = [[MISSING if value is None else category_text(value)] for value in values]
        return np.array(texts, object).reshape(-1, 1)
    if not is_vector:
        return np.array([to_number(value) for value in values]).reshape(-1, 1)
    empty = [None] * size
    return np.array([[to_number(each) for each in (empty if value is None else value)] for value in values]).reshape(
        -1, size
    )
