"""Raw features in, embeddings out; everything else passes. A River transformer, so that a head stands behind it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from river import base

from nnstream.errors import FeatureError
from nnstream.frozen.vectors import Sample
from nnstream.schema import Unreadable


class Base(Protocol):
    """A frozen network; `OnnxBase` is one."""

    size: int
    sha256: str

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return what decides the embeddings, as JSON-ready data."""

    def read(self, where: str, value: Any) -> Sample:
        """Return a raw value as the network's input, or raise a FeatureError."""

    def embed(self, samples: Sequence[Sample]) -> NDArray[np.float32]:
        """Return the embeddings, float32 (samples, size); each is the same in whatever company it comes."""


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

    def transform_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return events as `transform_one` does, each the same however they are cut into blocks.

        A value that cannot be read becomes `Unreadable`; a model refuses that event, with the reason.
        """
        out = [dict(row) for row in rows]
        for name, frozen in self.bases.items():
            samples: list[Sample] = []
            places: list[int] = []
            for i, row in enumerate(out):
                if row.get(name) is None:
                    continue
                try:
                    samples.append(frozen.read(name, row[name]))
                    places.append(i)
                except FeatureError as error:
                    row[name] = Unreadable(str(error))
            for i, embedding in zip(places, frozen.embed(samples), strict=True):
                out[i][name] = embedding
        return out
