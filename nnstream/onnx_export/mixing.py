"""What an ensemble makes of its members' scores, in a graph; see `nnstream.kernels.mixture`.

Whom it trusts was learned, and stays as it was when the graph was made.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from nnstream.ensemble import Ensemble
from nnstream.kernels.mixture import LARGEST, LOWEST, least_share
from nnstream.onnx_export.graph import Graph
from nnstream.onnx_export.members import order
from nnstream.onnx_export.numbers import limited

Doubles = npt.NDArray[np.float64]
_MEMBERS, _OUTPUTS = 1, 2  # axes


class Trust(NamedTuple):
    """How an ensemble mixes now.

    Attributes:
        hedge: (members,), their shares.
        slow: (members,), weights of a learned mixture.
        fast: (members,), of the other.
        ways: (3,), shares of these three ways.
    """

    hedge: Doubles
    slow: Doubles
    fast: Doubles
    ways: Doubles


def trust_now(ensemble: Ensemble) -> Trust:
    """Return whom the ensemble trusts, members as in `order`."""
    arrays, chosen = ensemble.state(), order(ensemble)
    mixture, mixing = arrays["mixture"].astype(np.float64), arrays["mixing"].astype(np.float64)
    return Trust(_softmax(mixture[0, chosen]), mixing[0, chosen], mixing[1, chosen], _softmax(mixture[1, :3]))


def _softmax(scores: Doubles) -> Doubles:
    powers = np.exp(np.maximum(scores - scores.max(), -60.0))
    return np.asarray(powers / powers.sum())


def mixed(graph: Graph, ensemble: Ensemble, scores: str, outputs: int) -> str:
    """Add the mixture.

    Args:
        graph: to add to.
        ensemble: whose.
        scores: float (n, members, outputs).
        outputs: how many there are.

    Returns:
        float (n, outputs): the number on the label's scale, the probability of the second class, or those of all.
    """
    trust = trust_now(ensemble)
    if ensemble.regression:
        return _numbers(graph, trust, _finite(graph, scores, LARGEST))
    if outputs == 1:
        return _two(graph, trust, _finite(graph, scores, -LOWEST))
    return _classes(graph, trust, scores, outputs)


def _finite(graph: Graph, scores: str, largest: np.float32) -> str:
    """Add limits; a score that is not finite becomes 0."""
    known = graph.add("Where", _is_finite(graph, scores), scores, graph.constant(0.0, np.float32))
    return limited(graph, known, -largest, largest)


def _is_finite(graph: Graph, scores: str) -> str:
    return graph.add("LessOrEqual", graph.add("Abs", scores), graph.constant(np.finfo(np.float32).max, np.float32))


def _over_members(graph: Graph, values: str, weights: Doubles) -> str:
    """Add the weighted sum over the members, float (n, outputs)."""
    weighted = graph.add("Mul", values, graph.constant(weights[None, :, None], np.float32))
    return graph.add("ReduceSum", weighted, graph.constant([_MEMBERS], np.int64), keepdims=0)


def _together(graph: Graph, ways: list[str], shares: Doubles) -> str:
    parts = [
        graph.add("Mul", way, graph.constant(share, np.float32)) for way, share in zip(ways, shares, strict=True)
    ]
    return graph.add("Add", graph.add("Add", parts[0], parts[1]), parts[2])


def _two(graph: Graph, trust: Trust, odds: str) -> str:
    hedged = _over_members(graph, graph.add("Sigmoid", odds), trust.hedge)
    learned = [graph.add("Sigmoid", _over_members(graph, odds, each)) for each in (trust.slow, trust.fast)]
    return _together(graph, [hedged, *learned], trust.ways)


def _classes(graph: Graph, trust: Trust, scores: str, classes: int) -> str:
    last = graph.constant([_OUTPUTS], np.int64)
    finite = graph.cast(_is_finite(graph, scores), TensorProto.FLOAT)
    all_finite = graph.add(
        "Greater", graph.add("ReduceMin", finite, last, keepdims=1), graph.constant(0.5, np.float32)
    )
    known = graph.add("Where", all_finite, scores, graph.constant(0.0, np.float32))
    said = limited(graph, graph.add("LogSoftmax", known, axis=_OUTPUTS), LOWEST, 0.0)
    floor = np.float32(least_share(classes))
    shares = graph.add(
        "Mul", graph.add("Softmax", known, axis=_OUTPUTS), graph.constant(1 - floor * classes, np.float32)
    )
    hedged = _over_members(graph, graph.add("Add", shares, graph.constant(floor, np.float32)), trust.hedge)
    learned = [graph.add("Softmax", _over_members(graph, said, each), axis=1) for each in (trust.slow, trust.fast)]
    return _together(graph, [hedged, *learned], trust.ways)


def _numbers(graph: Graph, trust: Trust, said: str) -> str:
    centre = _over_members(graph, said, trust.hedge)
    away = graph.add("Sub", said, graph.add("Unsqueeze", centre, graph.constant([_MEMBERS], np.int64)))
    learned = [
        limited(graph, graph.add("Add", centre, _over_members(graph, away, each)), -LARGEST, LARGEST)
        for each in (trust.slow, trust.fast)
    ]
    return _together(graph, [centre, *learned], trust.ways)
