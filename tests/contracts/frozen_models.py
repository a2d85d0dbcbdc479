"""Small ONNX models of every kind that a frozen base reads, and values for them; shared by several directories."""

import base64
import io
import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

WORDS = ("late", "parcel", "refund", "thanks", "great", "broken", "quick", "never")


def write(path, nodes, inputs, outputs, constants, opset=17):
    """Write a model whose outputs are float32; return its path."""
    graph = helper.make_graph(
        nodes,
        "frozen",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


def image_model(path, seed=0, size=12, channels=8):
    """A convolution, ReLU and the mean of each channel; (n, 3, size, size) to (n, channels)."""
    kernels = np.random.default_rng(seed).normal(size=(channels, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "K"], ["convolved"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["convolved"], ["rectified"]),
        helper.make_node("GlobalAveragePool", ["rectified"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    inputs = [("x", TensorProto.FLOAT, ["n", 3, size, size])]
    return write(path, nodes, inputs, [("embedding", ["n", channels])], {"K": kernels})


def text_model(path):
    """How often each of the words stands in a text: a tensor of strings to (n, words)."""
    nodes = [
        helper.make_node("StringSplit", ["x"], ["words", "count"]),
        helper.make_node(
            "TfIdfVectorizer", ["words"], ["embedding"], pool_strings=list(WORDS), mode="TF",
            min_gram_length=1, max_gram_length=1, max_skip_count=0, ngram_counts=[0],
            ngram_indexes=list(range(len(WORDS))),
        ),
    ]  # fmt: skip
    return write(path, nodes, [("x", TensorProto.STRING, ["n"])], [("embedding", ["n", len(WORDS)])], {}, opset=20)


def token_model(path):
    """A vector for each token: (n, tokens) to (n, tokens, 4)."""
    table = np.random.default_rng(1).normal(size=(len(WORDS) + 1, 4)).astype(np.float32)
    names = ("input_ids", "attention_mask", "token_type_ids")
    nodes = [
        helper.make_node("Gather", ["T", "input_ids"], ["found"]),
        helper.make_node("Add", ["attention_mask", "token_type_ids"], ["ones"]),
        helper.make_node("Cast", ["ones"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["column"]),
        helper.make_node("Mul", ["found", "column"], ["states"]),
    ]
    inputs = [(name, TensorProto.INT64, ["n", "tokens"]) for name in names]
    constants = {"T": table, "last": np.array([2], np.int64)}
    return write(path, nodes, inputs, [("states", ["n", "tokens", 4])], constants)


def tokenizer(path):
    """A tokenizer.json that knows the words."""
    vocabulary = {"[UNK]": 0} | {word: i for i, word in enumerate(WORDS, 1)}
    path.write_text(
        json.dumps(
            {
                "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
                "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
            }
        )
    )  # fmt: skip
    return path


def encoded(pixels, kind="PNG"):
    """An image as an event carries it."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def photo(rng, label, size=20):
    """Noise with a cast: of red for `warm`, of blue for `cold`."""
    pixels = rng.integers(0, 120, (size, size, 3))
    pixels[..., 0 if label == "warm" else 2] += 90
    return pixels.astype(np.uint8)
