"""The members of an ensemble in a graph: all first layers in one product, all second layers in another.

The labels before an event are no input: they stay as they were when the graph was made, and so become a part of the
members' biases.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.ensemble import Ensemble
from nnstream.errors import SpecError
from nnstream.kernels.basis import LARGEST_LAG
from nnstream.labels import TargetScale
from nnstream.members import Member, Parts
from nnstream.onnx_export.graph import Graph
from nnstream.watch import CHECK_EVERY

Array = npt.NDArray[Any]


def lags_now(ensemble: Ensemble, scale: TargetScale) -> npt.NDArray[np.float32]:
    """Return float32 (lags,): what the members see of earlier labels."""
    kept = ensemble.state()["basis.lags"].ravel()
    if not ensemble.regression:
        return np.asarray(kept, np.float32)
    if not scale.spread > 0.0:
        return np.zeros(len(kept), np.float32)
    scaled = np.nan_to_num((kept - scale.centre) / scale.spread, nan=0.0)
    return np.asarray(np.clip(scaled, -LARGEST_LAG, LARGEST_LAG), np.float32)


def scores(graph: Graph, ensemble: Ensemble, columns: str, bins: str | None, lags: Array) -> str:
    """Add the scores of all members.

    Args:
        graph: to add to.
        ensemble: whose.
        columns: float (n, columns), the encoded row.
        bins: float (n, bins); None where there are none.
        lags: float32 (lags,), see `lags_now`.

    Returns:
        float (n, members, outputs), in the order of `order`.

    Raises:
        SpecError: a member has diverged, and has not begun anew yet.
    """
    members = [(member, parts) for member, _, _, parts in ensemble.networks()]
    for member, parts in members:
        if not (np.isfinite(parts.columns).all() and np.isfinite(parts.bins).all()):
            raise SpecError(
                f"the member {member.title} has weights that are no finite numbers; it begins anew within "
                f"{CHECK_EVERY} samples, so let the model learn so many more"
            )
    deep = [each for each in members if each[0].hidden]
    linear = [each for each in members if not each[0].hidden]
    outputs, binned = len(members[0][1].bias), max(len(parts.bins) for _, parts in members)
    inputs = columns if bins is None else graph.add("Concat", columns, bins, axis=1)
    found = [_deep(graph, inputs, deep, binned, lags)] if deep else []
    if linear:
        weights = np.concatenate([_rows(parts, binned) for _, parts in linear], axis=1)
        biases = np.concatenate([parts.bias + _from_lags(parts, lags) for _, parts in linear])
        found.append(_product(graph, inputs, weights, biases))
    if ensemble.regression:  # the last member says: as the last time
        zero = graph.constant(np.zeros((1, 1)), np.float32)
        nothing = graph.add("Mul", graph.add("ReduceSum", columns, graph.constant([1], np.int64), keepdims=1), zero)
        found.append(graph.add("Add", nothing, graph.constant([[lags[0]]], np.float32)))
    flat = graph.add("Concat", *found, axis=1) if len(found) > 1 else found[0]
    return graph.add("Reshape", flat, graph.constant([-1, len(order(ensemble)), outputs], np.int64))


def order(ensemble: Ensemble) -> list[int]:
    """Return which member each of `scores` is of: those with hidden units come first."""
    hidden = [member.hidden > 0 for member in ensemble.members]
    last = [len(hidden)] if ensemble.regression else []
    return [*np.flatnonzero(hidden).tolist(), *np.flatnonzero(np.logical_not(hidden)).tolist(), *last]


def _deep(graph: Graph, inputs: str, members: list[tuple[Member, Parts]], binned: int, lags: Array) -> str:
    lower = np.concatenate([_rows(parts, binned) for _, parts in members], axis=1)
    biases = np.concatenate([parts.hidden_bias + _from_lags(parts, lags) for _, parts in members])
    sums = _product(graph, inputs, lower, biases)
    zero, outputs = graph.constant(0.0, np.float32), len(members[0][1].bias)
    active = graph.add("Where", graph.add("Greater", sums, zero), sums, zero)  # of NaN it is 0, unlike Relu
    upper = np.zeros((lower.shape[1], len(members) * outputs), np.float32)
    first = 0
    for k, (member, parts) in enumerate(members):
        upper[first : first + member.hidden, k * outputs : (k + 1) * outputs] = parts.top.T
        first += member.hidden
    return _product(graph, active, upper, np.concatenate([parts.bias for _, parts in members]))


def _product(graph: Graph, inputs: str, weights: Array, biases: Array) -> str:
    return graph.add("Gemm", inputs, graph.constant(weights, np.float32), graph.constant(biases, np.float32))


def _from_lags(parts: Parts, lags: Array) -> Array:
    """Return what the earlier labels add to each unit."""
    return lags[: len(parts.lags)].astype(np.float64) @ parts.lags


def _rows(parts: Parts, binned: int) -> Array:
    """Return the weights of columns and bins; 0 for those bins that the member does not see."""
    unseen = np.zeros((binned - len(parts.bins), parts.columns.shape[1]), np.float32)
    return np.concatenate([parts.columns, parts.bins, unseen])
