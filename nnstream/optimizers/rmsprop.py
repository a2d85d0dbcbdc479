"""RMSProp."""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers._base import Numbers, Optimizer, require_epsilon, require_fraction, require_rate


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """RMSProp: s ← ρ s + (1 - ρ) g²; w ← w - η g / (√s + ε) (Tieleman & Hinton 2012)."""

    learning_rate: float = 0.001
    rho: float = 0.9
    epsilon: float = 1e-08

    code: ClassVar[int] = compiled.RMSPROP

    def __post_init__(self) -> None:
        require_rate(self.learning_rate)
        require_fraction("rho", self.rho)
        require_epsilon(self.epsilon)

    def numbers(self) -> Numbers:  # noqa: D102
        return Numbers(self.learning_rate, beta2=self.rho, epsilon=self.epsilon)
