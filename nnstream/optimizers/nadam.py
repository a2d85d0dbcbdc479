"""Nadam."""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers._base import Numbers, Optimizer, require_epsilon, require_fraction, require_rate


@dataclass(frozen=True)
class Nadam(Optimizer):
    """Nadam: Adam with Nesterov's look-ahead in the first moment (Dozat 2016, without his momentum schedule)."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-08

    code: ClassVar[int] = compiled.NADAM

    def __post_init__(self) -> None:
        require_rate(self.learning_rate)
        require_fraction("beta1", self.beta1)
        require_fraction("beta2", self.beta2)
        require_epsilon(self.epsilon)

    def numbers(self) -> Numbers:  # noqa: D102
        return Numbers(self.learning_rate, self.beta1, self.beta2, self.epsilon)
