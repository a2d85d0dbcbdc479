"""exp and log of lanes: the bits of `nnstream.kernels.elementary`, thirty-two at a time."""

from typing import Any

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import EXP_MAX, EXP_MIN, HALF, LN2_HIGH, LN2_LOW, LOG2E, ONE, SQRT_HALF, TINY
from nnstream.kernels.lanes import clamp, exponent, floor, mantissa, power_of_two, spread, where_positive

_LARGEST = np.float32(3.4028235e38)


@jit
def exp(x: Any) -> Any:
    """Return e^x, clamped to [e^-87, e^88]."""
    x = clamp(x, EXP_MIN, EXP_MAX)
    n = floor(spread(LOG2E) * x + spread(HALF))
    x = x - n * spread(LN2_HIGH)
    x = x - n * spread(LN2_LOW)
    p = spread(np.float32(1.9875691500e-4))
    p = p * x + spread(np.float32(1.3981999507e-3))
    p = p * x + spread(np.float32(8.3334519073e-3))
    p = p * x + spread(np.float32(4.1665795894e-2))
    p = p * x + spread(np.float32(1.6666665459e-1))
    p = p * x + spread(np.float32(5.0000001201e-1))
    p = p * x * x + x + spread(ONE)
    return p * power_of_two(n)


@jit
def log(x: Any) -> Any:
    """Return ln(x); anything below the smallest normal number counts as that."""
    x = clamp(x, TINY, _LARGEST)
    e = exponent(x)
    m = mantissa(x)
    small = spread(SQRT_HALF) - m
    e = e - where_positive(small, spread(ONE))
    m = m + where_positive(small, m) - spread(ONE)
    z = m * m
    p = spread(np.float32(7.0376836292e-2))
    p = p * m + spread(np.float32(-1.1514610310e-1))
    p = p * m + spread(np.float32(1.1676998740e-1))
    p = p * m + spread(np.float32(-1.2420140846e-1))
    p = p * m + spread(np.float32(1.4249322787e-1))
    p = p * m + spread(np.float32(-1.6668057665e-1))
    p = p * m + spread(np.float32(2.0000714765e-1))
    p = p * m + spread(np.float32(-2.4999993993e-1))
    p = p * m + spread(np.float32(3.3333331174e-1))
    y = m * z * p
    y = y + e * spread(LN2_LOW)
    y = y - spread(HALF) * z
    return m + y + e * spread(LN2_HIGH)
