"""COCOB-Backprop."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers._base import Numbers, Optimizer


@dataclass(frozen=True)
class COCOB(Optimizer):
    """COCOB-Backprop: betting on each coordinate, no learning rate at all (Orabona & Tommasi 2017, algorithm 2)."""

    code: ClassVar[int] = compiled.COCOB
    takes_schedule: ClassVar[bool] = False

    def numbers(self) -> Numbers:  # noqa: D102
        return Numbers()

    def initial_slots(self, params: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return slots whose first array is the point the bets are made from: the initial weights."""
        slots = super().initial_slots(params)
        slots[0] = params
        return slots
