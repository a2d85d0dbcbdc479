"""A feature that a frozen network turns into an embedding, as a model's spec knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nnstream.errors import SpecError
from nnstream.frozen.base import Base
from nnstream.schema import FeatureSpec


@dataclass(frozen=True, kw_only=True)
class EmbeddedSpec(FeatureSpec):
    """A vector that comes out of a frozen network; see `embedded`.

    `identity` says which network, so a snapshot of a head on another one is refused by name; `network` is the network
    itself, which every model of this spec shares.
    """

    identity: Mapping[str, Any]
    network: Base = field(compare=False, repr=False)

    @property
    def columns(self) -> FeatureSpec:
        """Return what the encoder has to know of it: a vector of so many numbers."""
        return FeatureSpec("vector", size=self.size)


def embedded(network: Base) -> EmbeddedSpec:
    """Return the spec of a feature that `network` reads.

    Raises:
        SpecError: its embeddings have no numbers.
    """
    if network.size < 1:
        raise SpecError("the output of a frozen network needs at least one number")
    return EmbeddedSpec(kind="vector", size=network.size, identity=dict(network.identity), network=network)
