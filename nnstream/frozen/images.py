"""Images as events carry them: PNG or JPEG in base64, or nested lists of pixels."""

import base64
import binascii
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnstream.errors import FeatureError, SpecError
from nnstream.frozen.vectors import numbers

_CHANNELS = 3


@dataclass(frozen=True)
class ImageInput:
    """An RGB image, brought to one size and normalised as the frozen network was trained.

    pixel = (value / 255 - mean) / std, each channel with its own mean and std; ImageNet's by default.

    Args:
        height: rows that the network expects.
        width: columns that the network expects.
        mean: of red, green and blue.
        std: of red, green and blue.
        channels_first: (3, height, width) as in PyTorch, else (height, width, 3) as in TensorFlow.
        max_bytes: of the encoded image; a longer one is refused unread.
        max_pixels: of the image before it is resized; a larger one is refused from its header alone.
    """

    height: int
    width: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    channels_first: bool = True
    max_bytes: int = 1_000_000
    max_pixels: int = 16_000_000

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.max_bytes, self.max_pixels) < 1:
            raise SpecError("height, width, max_bytes and max_pixels of an image must be at least 1")
        if min(self.std) <= 0:
            raise SpecError("std of an image must be above 0 in each channel")

    @property
    def example(self) -> NDArray[np.float32]:
        """Return a black image."""
        return np.zeros((self.height, self.width, _CHANNELS), np.float32)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return what decides how a value is read; the limits decide only whether it is."""
        return {
            "reads": "image", "height": self.height, "width": self.width, "mean": list(self.mean),
            "std": list(self.std), "channels_first": self.channels_first,
        }  # fmt: skip

    def read(self, where: str, value: Any) -> NDArray[np.float32]:
        """Return a base64 text, or height x width x 3 pixels of 0 to 255 (nested or flat), as the network's input."""
        shape = (self.height, self.width, _CHANNELS)
        if isinstance(value, str):
            pixels = self._decoded(where, value)
        else:
            flat = isinstance(value, list) and bool(value) and not isinstance(value[0], list)
            pixels = (
                numbers(where, value, (math.prod(shape),)).reshape(shape) if flat else numbers(where, value, shape)
            )
            if pixels.min() < 0 or pixels.max() > 255:  # noqa: PLR2004
                raise FeatureError(f"features.{where}: pixels must be between 0 and 255")
        scaled = (pixels / np.float32(255) - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1) if self.channels_first else scaled)

    def _decoded(self, where: str, text: str) -> NDArray[np.float32]:
        if len(text) > self.max_bytes * 4 // 3 + 4:
            raise FeatureError(f"features.{where}: the image has more than max_bytes = {self.max_bytes} bytes")
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise FeatureError(f"features.{where}: expected an image in base64, got another text") from None
        if len(data) > self.max_bytes:
            raise FeatureError(f"features.{where}: the image has more than max_bytes = {self.max_bytes} bytes")
        return self._pixels(where, data)

    def _check_size(self, where: str, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise FeatureError(f"features.{where}: {width} x {height} is more than max_pixels = {self.max_pixels}")

    def _pixels(self, where: str, data: bytes) -> NDArray[np.float32]:
        image_module, unidentified = _pillow()
        try:
            with image_module.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
                self._check_size(where, image.width, image.height)
                sized = image.convert("RGB").resize((self.width, self.height), image_module.Resampling.BILINEAR)
        except (image_module.DecompressionBombError, image_module.DecompressionBombWarning):
            raise FeatureError(f"features.{where}: far more than max_pixels = {self.max_pixels}") from None
        except FeatureError:
            raise
        except (OSError, SyntaxError, ValueError) as problem:
            known = not isinstance(problem, unidentified)  # that one names an address in memory
            why = f": {problem}" if known else ""
            raise FeatureError(f"features.{where}: neither a whole PNG nor a whole JPEG{why}") from None
        return np.asarray(sized, np.float32)


def _pillow() -> tuple[Any, type[Exception]]:
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  # an extra: the library works without it
    except ImportError:
        raise SpecError("images need Pillow: pip install 'nnstream[onnx]'") from None
    return Image, UnidentifiedImageError
