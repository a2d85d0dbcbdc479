"""Nadam."""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers.adam import Adam


@dataclass(frozen=True)
class Nadam(Adam):
    """Nadam: Adam with Nesterov's look-ahead in the first moment (Dozat 2016, without his momentum schedule)."""

    code: ClassVar[int] = compiled.NADAM
