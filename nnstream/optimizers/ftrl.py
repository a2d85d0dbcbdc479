"""FTRL-Proximal."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers._base import Numbers, Optimizer, require, require_rate


@dataclass(frozen=True)
class FTRLProximal(Optimizer):
    """FTRL-Proximal: per-coordinate rates, and L1 that gives true zeros (McMahan et al. 2013, algorithm 1).

    The network's `l1` and `l2` enter the closed form here instead of the gradient; as everywhere, of the weights
    only. The rate falls by itself, and the closed form holds for one base rate only: no schedule.
    """

    learning_rate: float = 0.1
    beta: float = 1.0

    code: ClassVar[int] = compiled.FTRL
    takes_schedule: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_rate(self.learning_rate)
        require(0 < self.beta < float("inf"), f"beta must be a positive finite number, not {self.beta}")

    def numbers(self) -> Numbers:  # noqa: D102
        return Numbers(self.learning_rate, self.beta)

    def initial_slots(self, params: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return z such that the closed form gives the initial weights back (without l1 and l2), and n = 0."""
        slots = super().initial_slots(params)
        slots[0] = -params * np.float32(self.beta / self.learning_rate)
        return slots
