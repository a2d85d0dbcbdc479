"""AdamW."""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers._base import Numbers, Optimizer, require, require_epsilon, require_fraction, require_rate


@dataclass(frozen=True)
class AdamW(Optimizer):
    """AdamW: Adam, and w ← w - η λ w beside it, never through the moments (Loshchilov & Hutter 2019)."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-08
    weight_decay: float = 0.01

    code: ClassVar[int] = compiled.ADAM

    def __post_init__(self) -> None:
        require_rate(self.learning_rate)
        require_fraction("beta1", self.beta1)
        require_fraction("beta2", self.beta2)
        require_epsilon(self.epsilon)
        require(
            0 <= self.weight_decay * self.learning_rate < 1,
            f"weight_decay must be at least 0 and below 1 / learning_rate, not {self.weight_decay}",
        )

    def numbers(self) -> Numbers:  # noqa: D102
        return Numbers(self.learning_rate, self.beta1, self.beta2, self.epsilon, self.weight_decay)
