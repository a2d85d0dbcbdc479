"""Frozen networks as the base: a raw value (an image, a vector) becomes the embedding that a head learns from."""

from nnstream.frozen.base import Base, FrozenBase
from nnstream.frozen.images import ImageInput
from nnstream.frozen.onnx import OnnxBase
from nnstream.frozen.vectors import Input, VectorInput

__all__ = ["Base", "FrozenBase", "ImageInput", "Input", "OnnxBase", "VectorInput"]
