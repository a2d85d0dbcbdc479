"""The numbers of an event in a graph: standardised, and as soft bins; the same operations as in the kernels.

Whatever a kernel does in float64 is float64 here, operation by operation, so that 1e30 and the smallest denormal
number end in the same column of the same bin.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from nnstream.encoder import Encoder
from nnstream.kernels.basis import EDGE
from nnstream.kernels.scaling import LARGEST, OUTLIER, WARM
from nnstream.onnx_export.graph import Graph

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    """Values in a graph.

    Attributes:
        raw: double (n, numbers); NaN is missing.
        missing: bool (n, numbers).
        scaled: float (n, numbers).
    """

    raw: str
    missing: str
    scaled: str


def standardised(graph: Graph, encoder: Encoder, raw: str) -> Numbers:
    """Add what `nnstream.kernels.scaling.standardise` does with the statistics of now.

    Args:
        graph: to add to.
        encoder: whose statistics.
        raw: double (n, numbers).
    """
    state = encoder.state()
    mean, variance = state["mean"], state["variance"]
    counted = np.minimum(state["count"] + 1.0, encoder.memory)
    reach = np.where((state["count"] >= WARM) & (variance > 0.0), OUTLIER * np.sqrt(variance), np.inf)
    centre, spread = graph.constant(mean, np.float64), graph.constant(variance, np.float64)
    count, nothing = graph.constant(counted, np.float64), graph.constant(0.0, np.float64)
    missing = graph.add("IsNaN", raw)
    x = _within(graph, raw, np.full_like(mean, -LARGEST), np.full_like(mean, LARGEST))
    near = _within(graph, x, mean - reach, mean + reach)
    distance = graph.add("Sub", near, centre)
    centre = graph.add("Add", centre, graph.add("Div", distance, count))
    square = graph.add("Mul", distance, graph.add("Sub", near, centre))
    spread = graph.add("Add", spread, graph.add("Div", graph.add("Sub", square, spread), count))
    varies = graph.add("And", graph.add("Greater", spread, nothing), graph.add("Not", missing))
    one = graph.constant(1.0, np.float64)
    deviation = graph.add("Sqrt", graph.add("Where", varies, spread, one))
    scaled = graph.add("Where", varies, graph.add("Div", graph.add("Sub", x, centre), deviation), nothing)
    clip = np.float32(encoder.clip)
    return Numbers(raw, missing, limited(graph, graph.cast(scaled, TensorProto.FLOAT), -clip, clip))


def _within(graph: Graph, value: str, low: Doubles, high: Doubles) -> str:
    return graph.add(
        "Min", graph.add("Max", value, graph.constant(low, np.float64)), graph.constant(high, np.float64)
    )


def limited(graph: Graph, value: str, low: float | np.float32, high: float | np.float32) -> str:
    """Add the limits of float32 values."""
    return graph.add("Clip", value, graph.constant(low, np.float32), graph.constant(high, np.float32))


def soft_bins(graph: Graph, numbers: Numbers, knots: Doubles, knot_counts: npt.NDArray[np.int64]) -> str:
    """Add the soft bins of `nnstream.kernels.basis.fill_entries`.

    Args:
        graph: to add to.
        numbers: of which the first ones have bins.
        knots: float64 (binned, bins).
        knot_counts: int64 (binned,).

    Returns:
        float (n, binned * bins).
    """
    binned, bins = knots.shape
    raw, missing, scaled = (_first(graph, each, binned) for each in (numbers.raw, numbers.missing, numbers.scaled))
    last = np.float32(bins - 1)
    even = graph.add("Div", graph.add("Add", scaled, graph.constant(EDGE, np.float32)),
                     graph.constant(EDGE + EDGE, np.float32))  # fmt: skip
    even = limited(graph, graph.add("Mul", even, graph.constant(last, np.float32)), 0.0, last)
    placed = graph.cast(_among_knots(graph, raw, knots, knot_counts), TensorProto.FLOAT)
    position = graph.add("Where", graph.constant(knot_counts == 0, np.bool_), even, placed)
    away = graph.add(
        "Abs", graph.add("Sub", _last_axis(graph, position), graph.constant(np.arange(bins), np.float32))
    )
    share = graph.add("Sub", graph.constant(1.0, np.float32), away)
    share = graph.add("Max", share, graph.constant(0.0, np.float32))
    share = graph.add("Where", _last_axis(graph, missing), graph.constant(0.0, np.float32), share)
    return graph.add("Reshape", share, graph.constant([-1, binned * bins], np.int64))


def _first(graph: Graph, value: str, count: int) -> str:
    bounds = [graph.constant([each], np.int64) for each in (0, count, 1)]
    return graph.add("Slice", value, *bounds)


def _last_axis(graph: Graph, value: str) -> str:
    return graph.add("Unsqueeze", value, graph.constant([-1], np.int64))


def _among_knots(graph: Graph, raw: str, knots: Doubles, knot_counts: npt.NDArray[np.int64]) -> str:
    """Add where each number lies among its knots: a sum over the gaps, 1 for those below it and a part of its own.

    One knot alone is a step behind it.
    """
    low, high = knots[:, :-1].copy(), knots[:, 1:].copy()
    gaps = np.arange(knots.shape[1] - 1) < np.maximum(knot_counts - 1, knot_counts == 1)[:, None]
    single = knot_counts == 1
    low[single, 0] = high[single, 0] = np.nextafter(knots[single, 0], np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        width = np.where(gaps & ~single[:, None], high - low, 1.0)
    x = _last_axis(graph, raw)
    bottom, top = graph.constant(low, np.float64), graph.constant(high, np.float64)
    part = graph.add("Div", graph.add("Sub", x, bottom), graph.constant(width, np.float64))
    nothing, one = graph.constant(0.0, np.float64), graph.constant(1.0, np.float64)
    inside = graph.add("And", graph.add("GreaterOrEqual", x, bottom), graph.constant(gaps, np.bool_))
    below = graph.add("And", graph.add("GreaterOrEqual", x, top), graph.constant(gaps, np.bool_))
    part = graph.add("Where", below, one, graph.add("Where", inside, part, nothing))
    return graph.add("ReduceSum", part, graph.constant([-1], np.int64), keepdims=0)
