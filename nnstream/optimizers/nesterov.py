"""Nesterov's accelerated gradient."""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers._base import Numbers, Optimizer, require_fraction, require_rate


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """Nesterov's accelerated gradient: v ← β v + g; w ← w - η (g + β v) (Nesterov 1983; Sutskever et al. 2013)."""

    learning_rate: float = 0.01
    momentum: float = 0.9

    code: ClassVar[int] = compiled.NESTEROV

    def __post_init__(self) -> None:
        require_rate(self.learning_rate)
        require_fraction("momentum", self.momentum)

    def numbers(self) -> Numbers:  # noqa: D102
        return Numbers(self.learning_rate, self.momentum)
