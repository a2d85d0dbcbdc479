"""What an event carries, as what a frozen network reads: the protocol, and the simplest case of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nnstream.errors import FeatureError, SpecError

Sample = NDArray[Any] | Mapping[str, NDArray[Any]]
"""What a network with one input takes, or one with several by their names; without the batch axis."""


class Input(Protocol):
    """How a raw value becomes the input of a frozen network."""

    @property
    def example(self) -> Any:
        """Return some value that can be read: it shows of what size the embeddings are."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return what decides how a value is read, as JSON-ready data; two that differ give other embeddings."""

    def read(self, where: str, value: Any) -> Sample:
        """Return one sample.

        Args:
            where: name of the feature, for the message.
            value: as it stands in the event.

        Raises:
            FeatureError: the value is not what is expected.
        """


@dataclass(frozen=True)
class VectorInput:
    """A list of numbers.

    Args:
        size: how many.
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise SpecError("the input of a frozen network needs at least one number")

    @property
    def example(self) -> list[float]:
        """Return zeros."""
        return [0.0] * self.size

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return what decides how a value is read."""
        return {"reads": "vector", "size": self.size}

    def read(self, where: str, value: Any) -> NDArray[np.float32]:
        """Return the numbers as float32 (size,)."""
        return numbers(where, value, (self.size,))


def numbers(where: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return nested lists of finite numbers as float32 of that shape.

    Raises:
        FeatureError: of another shape, not numbers, or not finite in float32.
    """
    expected = " x ".join(map(str, shape))
    try:
        array = np.asarray(value)
    except ValueError:
        raise FeatureError(f"features.{where}: expected {expected} numbers, got lists of unequal length") from None
    if array.dtype.kind not in "biuf":
        raise FeatureError(f"features.{where}: expected {expected} numbers, got {type(value).__name__}")
    if array.shape != shape:
        raise FeatureError(f"features.{where}: expected {expected} numbers, got {' x '.join(map(str, array.shape))}")
    with np.errstate(over="ignore"):
        narrow: NDArray[np.float32] = array.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise FeatureError(f"features.{where}: a number is NaN, infinite or too large for float32")
    return narrow
