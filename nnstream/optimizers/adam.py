"""Adam."""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers._base import Numbers, Optimizer, require_epsilon, require_fraction, require_rate


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: w ← w - η m̂ / (√v̂ + ε), m and v moving averages of g and g² (Kingma & Ba 2015, algorithm 1)."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-08

    code: ClassVar[int] = compiled.ADAM

    def __post_init__(self) -> None:
        require_rate(self.learning_rate)
        require_fraction("beta1", self.beta1)
        require_fraction("beta2", self.beta2)
        require_epsilon(self.epsilon)

    def numbers(self) -> Numbers:  # noqa: D102
        return Numbers(self.learning_rate, self.beta1, self.beta2, self.epsilon)
