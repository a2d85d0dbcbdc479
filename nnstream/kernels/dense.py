"""The two passes of one dense layer. Weights lie as (fan_in, fan_out), flattened row by row.

The inner loops run over output units, so they vectorise without re-ordering a floating-point sum. Where a sum
over a row cannot be avoided (`dot`), it is split into eight fixed lanes: another order, but always the same one.
"""

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import ZERO
from nnstream.kernels.lanes import WIDTH, load, spread, store, total
from nnstream.kernels.types import Scalar, Vector


@jit
def dot(a: Vector, b: Vector) -> Scalar:
    """Return the sum of `a[i] * b[i]`: whole lanes first, the rest in eight interleaved partial sums."""
    n = a.shape[0]
    lanes = n - n % WIDTH
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = ZERO
    if lanes > 0:
        sums = load(a, 0) * load(b, 0)
        for i in range(WIDTH, lanes, WIDTH):
            sums = sums + load(a, i) * load(b, i)
        s0 = total(sums)
    whole = n - n % 8
    for i in range(lanes, whole, 8):
        s0 += a[i] * b[i]
        s1 += a[i + 1] * b[i + 1]
        s2 += a[i + 2] * b[i + 2]
        s3 += a[i + 3] * b[i + 3]
        s4 += a[i + 4] * b[i + 4]
        s5 += a[i + 5] * b[i + 5]
        s6 += a[i + 6] * b[i + 6]
        s7 += a[i + 7] * b[i + 7]
    for i in range(whole, n):
        s0 += a[i] * b[i]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@jit
def forward(x: Vector, weights: Vector, biases: Vector, z: Vector) -> None:
    """Write z = x W + b. A zero input costs nothing: one-hot and hashed categories are mostly zeros."""
    fan_out = z.shape[0]
    if fan_out == 1:
        z[0] = biases[0] + dot(x, weights)
        return
    if fan_out % WIDTH == 0:
        for u in range(0, fan_out, WIDTH):
            sums = load(biases, u)
            for i in range(x.shape[0]):
                if x[i] != ZERO:
                    sums = sums + spread(x[i]) * load(weights, i * fan_out + u)
            store(z, u, sums)
        return
    for j in range(fan_out):
        z[j] = biases[j]
    for i in range(x.shape[0]):
        xi = x[i]
        if xi != ZERO:
            row = weights[i * fan_out : (i + 1) * fan_out]
            for j in range(fan_out):
                z[j] += xi * row[j]


@jit
def backward_weights(x: Vector, delta: Vector, gradient: Vector, bias_gradient: Vector, accumulate: bool) -> None:
    """Write (or add) the outer product of `x` and `delta`, and `delta` itself for the biases."""
    fan_out = delta.shape[0]
    if fan_out == 1 and not accumulate:
        bias_gradient[0] = delta[0]
        for i in range(x.shape[0]):
            gradient[i] = x[i] * delta[0]
    elif accumulate:
        for j in range(fan_out):
            bias_gradient[j] += delta[j]
        for i in range(x.shape[0]):
            row = gradient[i * fan_out : (i + 1) * fan_out]
            for j in range(fan_out):
                row[j] += x[i] * delta[j]
    else:
        for j in range(fan_out):
            bias_gradient[j] = delta[j]
        for i in range(x.shape[0]):
            row = gradient[i * fan_out : (i + 1) * fan_out]
            for j in range(fan_out):
                row[j] = x[i] * delta[j]


@jit
def backward_inputs(weights: Vector, delta: Vector, input_delta: Vector) -> None:
    """Write delta W^T: the derivative of the loss by the layer's inputs."""
    fan_out = delta.shape[0]
    if fan_out == 1:
        for i in range(input_delta.shape[0]):
            input_delta[i] = weights[i] * delta[0]
        return
    for i in range(input_delta.shape[0]):
        input_delta[i] = dot(weights[i * fan_out : (i + 1) * fan_out], delta)
