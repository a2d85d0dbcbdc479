"""Raw features in, embeddings out; everything else passes. A River transformer, so that a head stands behind it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from river import base


class Base(Protocol):
    """A frozen network; `OnnxBase` is one."""

    size: int
    sha256: str

    def read(self, where: str, value: Any) -> NDArray[np.float32]:
        """Return a raw value as the network's input, or raise a FeatureError."""

    def embed(self, samples: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the embeddings, float32 (samples, size)."""


class FrozenBase(base.Transformer):  # type: ignore[misc]  # River has no types
    """Turns the named features into embeddings: vectors of `size` numbers under the same name.

    Nothing here learns, so there is nothing to store; `identity` says which networks they were.

    Args:
        bases: the frozen network of each raw feature.

    Example:
        >>> head = FrozenBase({"photo": OnnxBase("net.onnx", ImageInput(224, 224))}) | OnlineClassifier()
        >>> head.learn_one({"photo": photo, "shop": "Utrecht"}, "tulip")
    """

    def __init__(self, bases: Mapping[str, Base]) -> None:
        self.bases = bases

    @property
    def identity(self) -> dict[str, str]:
        """Return the SHA-256 of each feature's network."""
        return {name: each.sha256 for name, each in self.bases.items()}

    def transform_one(self, x: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return the features with embeddings in the place of raw values; a missing one stays missing.

        Raises:
            FeatureError: a raw value is not what its network reads.
        """
        out = dict(x)
        for name, frozen in self.bases.items():
            if out.get(name) is not None:
                out[name] = frozen.embed([frozen.read(name, out[name])])[0]
        return out
