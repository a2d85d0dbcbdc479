"""AdaGrad."""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers._base import Numbers, Optimizer, require_epsilon, require_rate


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """AdaGrad: s ← s + g²; w ← w - η g / (√s + ε) (Duchi et al. 2011, eq. 1 diagonal)."""

    learning_rate: float = 0.05
    epsilon: float = 1e-08

    code: ClassVar[int] = compiled.ADAGRAD

    def __post_init__(self) -> None:
        require_rate(self.learning_rate)
        require_epsilon(self.epsilon)

    def numbers(self) -> Numbers:  # noqa: D102
        return Numbers(self.learning_rate, epsilon=self.epsilon)
