"""Frozen networks as the base: a raw value (an image, a text, a vector) becomes the embedding a head learns from."""

from nnstream.frozen.base import Base, FrozenBase
from nnstream.frozen.images import ImageInput
from nnstream.frozen.onnx import OnnxBase
from nnstream.frozen.rows import Embedding
from nnstream.frozen.spec import EmbeddedSpec, embedded
from nnstream.frozen.texts import TextInput, TokenInput
from nnstream.frozen.vectors import Input, Sample, VectorInput

__all__ = [
    "Base",
    "EmbeddedSpec",
    "Embedding",
    "FrozenBase",
    "ImageInput",
    "Input",
    "OnnxBase",
    "Sample",
    "TextInput",
    "TokenInput",
    "VectorInput",
    "embedded",
]
