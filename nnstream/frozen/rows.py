"""The frozen networks that a model's spec names, in front of that model."""

from collections.abc import Mapping, Sequence
from typing import Any

from nnstream.frozen.base import FrozenBase
from nnstream.frozen.spec import EmbeddedSpec
from nnstream.model import ModelSpec

Row = Mapping[str, Any]


class Embedding:
    """Turns events as they came into events as the model of `spec` takes them.

    Args:
        spec: of the model; where it has no frozen network, events stay what they are.

    Attributes:
        names: of the features that a frozen network reads.
    """

    def __init__(self, spec: ModelSpec) -> None:
        found = {name: each.network for name, each in (spec.features or {}).items() if isinstance(each, EmbeddedSpec)}
        self.names = tuple(found)
        self._base = FrozenBase(found)

    def rows(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return the events with embeddings in the place of raw values; see `FrozenBase.transform_rows`."""
        return self._base.transform_rows(rows)
