"""Learning-rate schedules: a factor on the base rate at optimiser step t = 0, 1, 2, …

    Constant      1
    StepDecay     factor^(t // every)
    InverseTime   1 / (1 + decay t)                        (Robbins & Monro 1951 for decay > 0)
    Exponential   e^(-decay t)
    Cosine        floor + (1 - floor) (1 + cos π min(t / period, 1)) / 2    (Loshchilov & Hutter 2017)

Each takes `warmup`: over that many steps the rate rises linearly, (t + 1) / warmup, whatever the schedule.
"""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.errors import SpecError
from nnstream.kernels import schedules as compiled


@dataclass(frozen=True)
class Schedule:
    """The common part of all schedules."""

    warmup: int = 0

    code: ClassVar[int] = compiled.CONSTANT

    def __post_init__(self) -> None:
        self._require(self.warmup >= 0, f"warmup must be at least 0, not {self.warmup}")

    def _require(self, condition: bool, message: str) -> None:
        if not condition:
            raise SpecError(f"{type(self).__name__}.{message}")

    def numbers(self) -> tuple[float, float, float]:
        """Return the three numbers the kernel reads."""
        return (0.0, 0.0, float(self.warmup))


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate for ever: what a stream that drifts wants."""


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiply the rate by `factor` every `every` steps."""

    factor: float = 0.5
    every: int = 10_000

    code: ClassVar[int] = compiled.STEP_DECAY

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 < self.factor <= 1, f"factor must be above 0 and at most 1, not {self.factor}")
        self._require(self.every >= 1, f"every must be at least 1, not {self.every}")

    def numbers(self) -> tuple[float, float, float]:  # noqa: D102
        return (self.factor, float(self.every), float(self.warmup))


@dataclass(frozen=True)
class InverseTime(Schedule):
    """Divide the rate by 1 + `decay` t."""

    decay: float = 1e-4

    code: ClassVar[int] = compiled.INVERSE_TIME

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            0 <= self.decay < float("inf"), f"decay must be a finite number of at least 0, not {self.decay}"
        )

    def numbers(self) -> tuple[float, float, float]:  # noqa: D102
        return (self.decay, 0.0, float(self.warmup))


@dataclass(frozen=True)
class Exponential(Schedule):
    """Multiply the rate by e^(-`decay` t)."""

    decay: float = 1e-4

    code: ClassVar[int] = compiled.EXPONENTIAL

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            0 <= self.decay < float("inf"), f"decay must be a finite number of at least 0, not {self.decay}"
        )

    def numbers(self) -> tuple[float, float, float]:  # noqa: D102
        return (self.decay, 0.0, float(self.warmup))


@dataclass(frozen=True)
class Cosine(Schedule):
    """Fall along half a cosine from 1 to `floor` in `period` steps, then stay."""

    period: int = 100_000
    floor: float = 0.0

    code: ClassVar[int] = compiled.COSINE

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.period >= 1, f"period must be at least 1, not {self.period}")
        self._require(0 <= self.floor <= 1, f"floor must lie in [0, 1], not {self.floor}")

    def numbers(self) -> tuple[float, float, float]:  # noqa: D102
        return (float(self.period), self.floor, float(self.warmup))
