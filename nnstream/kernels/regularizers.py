"""What is done to gradients and weights besides the optimiser's step, in float32."""

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.dense import dot
from nnstream.kernels.elementary import ONE, ZERO, random_uniform
from nnstream.kernels.types import Scalar, Vector


@jit
def penalise(weights: Vector, grad: Vector, l1: Scalar, l2: Scalar) -> None:
    """Add the gradient of l1 |w| + l2 w² / 2."""
    for p in range(weights.shape[0]):
        w = weights[p]
        grad[p] += l2 * w + (l1 if w > ZERO else (-l1 if w < ZERO else ZERO))


@jit
def clip_by_value(grad: Vector, limit: Scalar) -> None:
    """Cut every component to [-limit, limit]; NaN stays NaN."""
    for p in range(grad.shape[0]):
        if abs(grad[p]) > limit:
            grad[p] = limit if grad[p] > ZERO else -limit


@jit
def clip_by_norm(grad: Vector, limit: Scalar) -> None:
    """Scale the whole gradient down to Euclidean length `limit` when it is longer."""
    norm = np.sqrt(dot(grad, grad))
    if norm > limit:
        factor = limit / norm
        for p in range(grad.shape[0]):
            grad[p] *= factor


@jit
def limit_norms(weights: Vector, fan_in: int, fan_out: int, limit: Scalar) -> None:
    """Scale the incoming weights of each unit down to Euclidean length `limit` when they are longer."""
    for j in range(fan_out):
        total = ZERO
        for i in range(fan_in):
            total += weights[i * fan_out + j] * weights[i * fan_out + j]
        norm = np.sqrt(total)
        if norm > limit:
            factor = limit / norm
            for i in range(fan_in):
                weights[i * fan_out + j] *= factor


@jit
def draw_mask(mask: Vector, rate: Scalar, seed: int, sample: int, first_unit: int) -> None:
    """Write an inverted-dropout mask: 0 with probability `rate`, else 1 / (1 - rate)."""
    keep = ONE / (ONE - rate)
    for j in range(mask.shape[0]):
        mask[j] = ZERO if random_uniform(seed, sample, first_unit + j) < rate else keep
