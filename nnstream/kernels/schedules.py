"""The learning rate at a step, as a multiple of the base rate. The definitions are in `nnstream.schedules`."""

import math

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import HALF, ONE, ZERO, exp
from nnstream.kernels.types import Scalar

CONSTANT, STEP_DECAY, INVERSE_TIME, EXPONENTIAL, COSINE = range(5)


@jit
def rate_factor(code: int, a: Scalar, b: Scalar, warmup: Scalar, step: int) -> Scalar:
    """Return the factor on the learning rate at optimiser step `step` (0 is the first)."""
    t = np.float32(step)
    factor = ONE
    if code == STEP_DECAY:
        times, power = int(step // max(int(b), 1)), np.float32(a)
        while times > 0:  # a^times by squaring: a few multiplications, and no C library
            if times % 2 == 1:
                factor *= power
            power *= power
            times //= 2
    elif code == INVERSE_TIME:
        factor = ONE / (ONE + a * t)
    elif code == EXPONENTIAL:
        factor = exp(-a * t)
    elif code == COSINE:
        phase = np.float32(math.cos(math.pi * min(step / a, 1.0)))
        factor = b + (ONE - b) * HALF * (ONE + phase)
    if warmup > ZERO and t < warmup:
        factor *= (t + ONE) / warmup
    return factor
