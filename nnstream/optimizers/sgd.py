"""Stochastic gradient descent."""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers._base import Numbers, Optimizer, require_rate


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: w ← w - η g (Robbins & Monro 1951)."""

    learning_rate: float = 0.05

    code: ClassVar[int] = compiled.SGD

    def __post_init__(self) -> None:
        require_rate(self.learning_rate)

    def numbers(self) -> Numbers:  # noqa: D102
        return Numbers(self.learning_rate)
