"""What every optimiser has: a code for the compiled step, its numbers, and slots that start somehow."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nnstream.errors import SpecError
from nnstream.kernels import optimizers as compiled

_LARGEST_RATE = 1e6
_LEAST_EPSILON = 1e-16  # kernels flush second moments below 1e-30, whose root is 1e-15


@dataclass(frozen=True)
class Numbers:
    """The numbers of an optimiser as the compiled step reads them."""

    learning_rate: float = 0.0
    beta1: float = 0.0
    beta2: float = 0.0
    epsilon: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Optimizer:
    """A rule that moves parameters against a gradient.

    Its state ("slots") is `slot_count` float32 arrays as long as the parameters, in one contiguous vector.
    """

    code: ClassVar[int]
    takes_schedule: ClassVar[bool] = True  # whether a schedule may change its learning rate

    @property
    def slot_count(self) -> int:
        """Return how many numbers of state each parameter has."""
        return compiled.SLOTS[self.code]

    def numbers(self) -> Numbers:
        """Return the hyper-parameters for the compiled step."""
        raise NotImplementedError

    def initial_slots(self, params: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return float32 (slot_count, len(params)): the state before the first step."""
        return np.zeros((self.slot_count, len(params)), np.float32)


def require(condition: bool, message: str) -> None:
    """Raise a SpecError with `message` unless `condition` holds."""
    if not condition:
        raise SpecError(message)


def require_rate(rate: float) -> None:
    """Raise a SpecError unless `rate` is a learning rate that float32 arithmetic survives."""
    require(0 < rate <= _LARGEST_RATE, f"learning_rate must be above 0 and at most {_LARGEST_RATE:g}, not {rate}")


def require_epsilon(epsilon: float) -> None:
    """Raise a SpecError unless `epsilon` keeps a division by the root of a vanished moment harmless."""
    require(_LEAST_EPSILON <= epsilon <= 1, f"epsilon must lie in [{_LEAST_EPSILON:g}, 1], not {epsilon}")


def require_fraction(name: str, number: float) -> None:
    """Raise a SpecError unless `number` lies in [0, 1)."""
    require(0 <= number < 1, f"{name} must be at least 0 and below 1, not {number}")
