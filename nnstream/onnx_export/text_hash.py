"""CRC-32 of texts in a graph of standard operators, to the bit that of `zlib.crc32` over their UTF-8 bytes.

ONNX has no operator that takes a text apart. But `Unique` sorts texts, byte by byte, so it says which of two comes
first; and `StringConcat` makes longer ones. So the next byte of a text x behind the part p that is known is the
largest byte b for which p + b does not come after x: eight comparisons find it. A `Loop` over the bytes does this for
all texts at once and moves the checksum by a byte (Sarwate 1988). docs/adr/0010-the-hash-leaves-with-the-graph.md
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from nnstream.onnx_export.graph import Graph

_POLYNOMIAL = 0xEDB88320


def crc32(graph: Graph, texts: str) -> str:
    """Add the CRC-32 of each text.

    Args:
        graph: to add to.
        texts: string (n,).

    Returns:
        int64 (n,), from 0 to 2³² - 1.
    """
    distinct, _, place, _ = graph.add_many("Unique", [texts], 4, sorted=1)
    count = graph.add("Shape", distinct)
    empty = graph.add("Expand", graph.texts([""]), count)
    full = graph.constant([0xFFFFFFFF], np.int64)
    start = graph.add("Expand", full, count)
    goes_on = _any_longer(graph, distinct, empty)
    body = _body(graph.branch(), graph, distinct)
    left = [graph.name() for _ in range(2)]
    graph.nodes.append(helper.make_node("Loop", ["", goes_on, empty, start], left, body=body))
    return graph.add("Gather", graph.add("BitwiseXor", left[1], full), place, axis=0)


def _any_longer(graph: Graph, texts: str, known: str) -> str:
    """Add whether there is a text of which not all is known, bool ()."""
    longer = graph.cast(graph.add("Not", graph.add("Equal", texts, known)), TensorProto.INT64)
    total = graph.add("ReduceSum", longer, keepdims=0)
    return graph.add("Greater", total, graph.constant(0, np.int64))


def _body(body: Graph, outer: Graph, texts: str) -> onnx.GraphProto:
    """Return one turn of the loop: from what is known of the texts, and their checksums, to a byte more of each."""
    step, condition, known, crc = (body.name() for _ in range(4))
    letters = outer.texts([bytes([byte]) for byte in range(256)])
    byte = _next_byte(body, texts, known, letters)
    done = body.add("Equal", texts, known)
    longer = body.add("StringConcat", known, body.add("Gather", letters, byte, axis=0))
    after = body.add("Where", done, known, longer)
    index = body.add("BitwiseAnd", body.add("BitwiseXor", crc, byte), outer.constant(255, np.int64))
    moved = body.add("Gather", outer.constant(_table(), np.int64), index, axis=0)
    shifted = body.add("Div", crc, outer.constant(256, np.int64))
    new = body.add("Where", done, crc, body.add("BitwiseXor", moved, shifted))
    goes_on = _any_longer(body, texts, after)
    return helper.make_graph(
        body.nodes,
        "byte",
        [
            helper.make_tensor_value_info(step, TensorProto.INT64, []),
            helper.make_tensor_value_info(condition, TensorProto.BOOL, []),
            helper.make_tensor_value_info(known, TensorProto.STRING, [None]),
            helper.make_tensor_value_info(crc, TensorProto.INT64, [None]),
        ],
        [
            helper.make_tensor_value_info(goes_on, TensorProto.BOOL, []),
            helper.make_tensor_value_info(after, TensorProto.STRING, [None]),
            helper.make_tensor_value_info(new, TensorProto.INT64, [None]),
        ],
        body.constants,
    )


def _next_byte(body: Graph, texts: str, known: str, letters: str) -> str:
    """Add the byte behind what is known of each text, int64 (n,); 0 where all is known."""
    zero = body.constant(0, np.int64)
    byte = body.add("Mul", body.cast(body.add("Equal", texts, known), TensorProto.INT64), zero)
    both = body.add("Shape", texts)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        trial = body.add("Add", byte, body.constant(bit, np.int64))
        other = body.add("StringConcat", known, body.add("Gather", letters, trial, axis=0))
        pair = body.add("Concat", texts, other, axis=0)
        ranks = body.add_many("Unique", [pair], 3, sorted=1)[2]
        own = body.add("Slice", ranks, body.constant([0], np.int64), both)
        others = body.add("Slice", ranks, both, body.constant([np.iinfo(np.int64).max], np.int64))
        byte = body.add("Where", body.add("LessOrEqual", others, own), trial, byte)
    return byte


def _table() -> list[int]:
    """Return what each byte does to a checksum."""
    table = []
    for byte in range(256):
        moved = byte
        for _ in range(8):
            moved = moved >> 1 ^ (_POLYNOMIAL if moved & 1 else 0)
        table.append(moved)
    return table
