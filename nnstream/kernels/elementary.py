"""exp, log, tanh, erf and a counter-based random number in pure float32 / uint64 arithmetic.

The C library's versions differ in the last bit between processors and releases, and a difference in one bit is
a different network after a thousand steps. These use only additions, multiplications, divisions and bit
operations, which IEEE 754 fixes, so a model is the same on every machine; and LLVM can vectorise them.

Source of the polynomials: Cephes Mathematical Library (S. Moshier), expf.c and logf.c; erf: Abramowitz & Stegun
(1964), 7.1.26.
"""

from typing import Any

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.types import Scalar

LOG2E = np.float32(1.44269504088896341)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
EXP_MAX = np.float32(88.0)
EXP_MIN = np.float32(-87.0)
SQRT_HALF = np.float32(0.707106781186547524)
TINY = np.float32(1.17549435e-38)
ZERO = np.float32(0.0)
HALF = np.float32(0.5)
ONE = np.float32(1.0)
TWO = np.float32(2.0)


@jit
def exp(x: Scalar) -> Scalar:
    """Return e^x for a float32 `x`; clamped to [e^-87, e^88], so never 0 and never Inf."""
    x = min(max(x, EXP_MIN), EXP_MAX)
    n = np.floor(LOG2E * x + HALF)
    x = x - n * LN2_HIGH
    x = x - n * LN2_LOW
    p = np.float32(1.9875691500e-4)
    p = p * x + np.float32(1.3981999507e-3)
    p = p * x + np.float32(8.3334519073e-3)
    p = p * x + np.float32(4.1665795894e-2)
    p = p * x + np.float32(1.6666665459e-1)
    p = p * x + np.float32(5.0000001201e-1)
    p = p * x * x + x + ONE
    scale = np.int32((np.int32(n) + np.int32(127)) << np.int32(23))
    return p * scale.view(np.float32)


@jit
def log(x: Scalar) -> Scalar:
    """Return ln(x) for a positive float32 `x`; anything below the smallest normal number counts as that."""
    bits = np.float32(max(x, TINY)).view(np.int32)
    e = np.float32((bits >> np.int32(23)) - np.int32(126))
    m = np.int32((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000)).view(np.float32)
    if m < SQRT_HALF:
        e = e - ONE
        m = m + m - ONE
    else:
        m = m - ONE
    z = m * m
    p = np.float32(7.0376836292e-2)
    p = p * m + np.float32(-1.1514610310e-1)
    p = p * m + np.float32(1.1676998740e-1)
    p = p * m + np.float32(-1.2420140846e-1)
    p = p * m + np.float32(1.4249322787e-1)
    p = p * m + np.float32(-1.6668057665e-1)
    p = p * m + np.float32(2.0000714765e-1)
    p = p * m + np.float32(-2.4999993993e-1)
    p = p * m + np.float32(3.3333331174e-1)
    y = m * z * p
    y = y + e * LN2_LOW
    y = y - HALF * z
    return m + y + e * LN2_HIGH


@jit
def sigmoid(x: Scalar) -> Scalar:
    """Return 1 / (1 + e^-x)."""
    return ONE / (ONE + exp(-x))


@jit
def tanh(x: Scalar) -> Scalar:
    """Return the hyperbolic tangent, sign(x) (1 - 2 / (e^2|x| + 1)); a short series near 0, where that cancels."""
    a = abs(x)
    z = x * x
    small = x + x * z * (
        np.float32(-0.333333333)
        + z * (np.float32(0.133333333) + z * (np.float32(-0.053968254) + z * np.float32(0.021869489)))
    )
    large = ONE - TWO / (exp(TWO * a) + ONE)
    large = -large if x < ZERO else large
    return small if a < np.float32(0.3) else large


@jit
def softmax(scores: Any, n: int, out: Any) -> None:
    """Write e^s / Σ e^s of the first `n` scores; `out` may be `scores`."""
    top = scores[0]
    for j in range(1, n):
        top = max(top, scores[j])
    total = ZERO
    for j in range(n):
        out[j] = exp(scores[j] - top)
        total += out[j]
    for j in range(n):
        out[j] /= total


@jit
def softplus(x: Scalar) -> Scalar:
    """Return ln(1 + e^x), without overflow: max(x, 0) + ln(1 + e^-|x|)."""
    return max(x, ZERO) + log(ONE + exp(-abs(x)))


@jit
def normal_cdf(x: Scalar) -> Scalar:
    """Return the standard normal distribution function at `x`; absolute error below 3e-7."""
    a = abs(x) * SQRT_HALF
    t = ONE / (ONE + np.float32(0.3275911) * a)
    p = np.float32(1.061405429)
    p = p * t + np.float32(-1.453152027)
    p = p * t + np.float32(1.421413741)
    p = p * t + np.float32(-0.284496736)
    p = p * t + np.float32(0.254829592)
    tail = HALF * p * t * exp(-a * a)
    return ONE - tail if x >= ZERO else tail


@jit
def random_bits(seed: int, step: int, index: int) -> Any:
    """Return 64 random bits that depend on nothing but the three numbers (SplitMix64, Steele et al. 2014).

    A counter-based generator has no state to save: dropout and replay after a crash draw the same numbers.
    """
    z = np.uint64(seed) + np.uint64(step) * np.uint64(0x9E3779B97F4A7C15)
    z = z ^ (np.uint64(index) * np.uint64(0xD1B54A32D192ED03))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@jit
def random_uniform(seed: int, step: int, index: int) -> Scalar:
    """Return a float32 in [0, 1) with 24 random bits; see `random_bits`."""
    return np.float32(random_bits(seed, step, index) >> np.uint64(40)) * np.float32(5.9604644775390625e-08)
