"""GELU in parts: before opset 20 ONNX had no operator for it, so exporters write x · (erf(x / √2) + 1) · ½."""

from collections.abc import Mapping, Sequence
from math import isclose, sqrt
from typing import Any

import numpy.typing as npt
import onnx
from onnx import helper

_STEPS = (("Div", sqrt(2.0)), ("Erf", None), ("Add", 1.0), ("Mul", None), ("Mul", 0.5))


def joined(nodes: Sequence[onnx.NodeProto], constants: Mapping[str, npt.NDArray[Any]]) -> list[onnx.NodeProto]:
    """Return the nodes with one `Gelu` for each five that are one.

    Args:
        nodes: of a graph, each behind those that it takes from.
        constants: by name.
    """
    found: list[onnx.NodeProto] = []
    i = 0
    while i < len(nodes):
        whole = _whole(nodes[i : i + len(_STEPS)], constants)
        found.append(nodes[i] if whole is None else whole)
        i += 1 if whole is None else len(_STEPS)
    return found


def _whole(nodes: Sequence[onnx.NodeProto], constants: Mapping[str, npt.NDArray[Any]]) -> onnx.NodeProto | None:
    """Return the `Gelu` that five nodes in a row are; None where they are something else."""
    if [node.op_type for node in nodes] != [operator for operator, _ in _STEPS]:
        return None
    start = nodes[0].input[0]
    before = [start, *(node.output[0] for node in nodes)]
    for k, (node, (_, factor)) in enumerate(zip(nodes, _STEPS, strict=True)):
        others = list(node.input)
        if before[k] not in others or (node.op_type == "Div" and others[0] != before[k]):
            return None
        others.remove(before[k])
        if factor is not None:
            if len(others) != 1 or not _is_number(constants.get(others[0]), factor):
                return None
        elif others != ([start] if node.op_type == "Mul" else []):
            return None
    return helper.make_node("Gelu", [start], [nodes[-1].output[0]], name=nodes[-1].name)


def _is_number(constant: npt.NDArray[Any] | None, expected: float) -> bool:
    return constant is not None and constant.size == 1 and isclose(constant.item(), expected, rel_tol=1e-6)
