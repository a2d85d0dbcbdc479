"""The categories of an event in a graph: a column for each known value, hashed columns for the rest."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from nnstream.onnx_export.feed import MISSING
from nnstream.onnx_export.graph import ML, Graph
from nnstream.onnx_export.text_hash import crc32
from nnstream.schema import Feature

_UNKNOWN, _ABSENT = -1, -2


def one_hot(graph: Graph, features: Sequence[Feature], inputs: Sequence[str]) -> tuple[list[str], list[int]]:
    """Add the columns of categories.

    Args:
        graph: to add to.
        features: the categories.
        inputs: the value of each, string (n, 1).

    Returns:
        float (n, columns) of each feature; and which column of the encoded row each of all these is.
    """
    if not features:
        return [], []
    places = [_place(graph, feature, given) for feature, given in zip(features, inputs, strict=True)]
    hashed = [i for i, feature in enumerate(features) if feature.bucket_columns]
    sums = _sums(graph, [inputs[i] for i in hashed], [places[i] for i in hashed]) if hashed else []
    found, columns = [], []
    for i, feature in enumerate(features):
        own = [*feature.columns.values(), *feature.bucket_columns]
        if not own:
            continue
        place = places[i]
        if feature.bucket_columns:
            place = _bucketed(graph, feature, place, sums[hashed.index(i)])
        equal = graph.add("Equal", place, graph.constant([list(range(len(own)))], np.int64))
        found.append(graph.cast(equal, TensorProto.FLOAT))
        columns += own
    return found, columns


def _place(graph: Graph, feature: Feature, given: str) -> str:
    """Add which of the known values it is, int64 (n, 1)."""
    known = {value: place for place, value in enumerate(feature.columns)} | {MISSING: _ABSENT}
    return graph.add(
        "LabelEncoder", given, domain=ML, keys_strings=list(known), values_int64s=list(known.values()),
        default_int64=_UNKNOWN,
    )  # fmt: skip


def _sums(graph: Graph, inputs: Sequence[str], places: Sequence[str]) -> list[str]:
    """Add the checksums of what is not known, int64 (n, 1) a feature; known values count as the empty text."""
    together = graph.add("Concat", *inputs, axis=1)
    unknown = graph.add("Equal", graph.add("Concat", *places, axis=1), graph.constant(_UNKNOWN, np.int64))
    texts = graph.add("Where", unknown, together, graph.texts([""]))
    flat = graph.add("Reshape", texts, graph.constant([-1], np.int64))
    sums = graph.add("Reshape", crc32(graph, flat), graph.add("Shape", together))
    return graph.add_many("Split", [sums, graph.constant([1] * len(inputs), np.int64)], len(inputs), axis=1)


def _bucketed(graph: Graph, feature: Feature, place: str, checksum: str) -> str:
    """Add the place among known values and hashed columns, int64 (n, 1)."""
    bucket = graph.add("Mod", checksum, graph.constant(len(feature.bucket_columns), np.int64))
    behind = graph.add("Add", bucket, graph.constant(len(feature.columns), np.int64))
    unknown = graph.add("Equal", place, graph.constant(_UNKNOWN, np.int64))
    return graph.add("Where", unknown, behind, place)
