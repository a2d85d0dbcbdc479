"""An ONNX graph under construction: nodes and constants, with names that no feature has."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

ML = "ai.onnx.ml"


class Graph:
    """Nodes and constants.

    Args:
        prefix: of the name of every value that is made here.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self._numbers = count()

    def branch(self) -> "Graph":
        """Return a graph for the body of a loop: its names differ from those of this one, which it may use."""
        body = Graph(self.prefix)
        body._numbers = self._numbers
        return body

    def name(self) -> str:
        """Return a name that nothing has yet."""
        return f"{self.prefix}{next(self._numbers)}"

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Store an array; return its name."""
        name = self.name()
        self.constants.append(
            numpy_helper.from_array(np.ascontiguousarray(value, dtype).reshape(np.shape(value)), name)
        )
        return name

    def texts(self, values: Sequence[str | bytes]) -> str:
        """Store texts, (n,); return the name."""
        stored = TensorProto(name=self.name(), data_type=TensorProto.STRING, dims=[len(values)])
        stored.string_data.extend(value.encode() if isinstance(value, str) else value for value in values)
        self.constants.append(stored)
        return stored.name

    def add(self, operator: str, *inputs: str, to: str | None = None, **settings: Any) -> str:
        """Add a node with one output; return its name."""
        name = to or self.name()
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **settings))
        return name

    def add_many(self, operator: str, inputs: Sequence[str], outputs: int, **settings: Any) -> list[str]:
        """Add a node with several outputs; return their names."""
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **settings))
        return names

    def cast(self, value: str, kind: int) -> str:
        """Add a conversion to another type of `TensorProto`; return the name."""
        name = self.name()
        self.nodes.append(helper.make_node("Cast", [value], [name], to=kind))
        return name
