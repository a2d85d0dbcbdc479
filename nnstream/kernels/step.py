"""The compiled step: walk a block of samples in order, predict each, then learn it.

One compiled function serves every set of networks of every shape; `nnstream.kernels.layout` names the columns of
its tables. A block cut anywhere gives the same bits (the log order is the learning order).
"""

import numpy as np

from nnstream.kernels import layout as at
from nnstream.kernels._jit import jit
from nnstream.kernels.activations import activate, multiply_by_derivative
from nnstream.kernels.dense import backward_inputs, backward_weights, forward
from nnstream.kernels.elementary import ONE, ZERO
from nnstream.kernels.losses import LOG, gradient, link, log_losses, loss
from nnstream.kernels.optimizers import FTRL, count_step, update
from nnstream.kernels.regularizers import clip_by_norm, clip_by_value, draw_mask, limit_norms, penalise
from nnstream.kernels.schedules import rate_factor
from nnstream.kernels.types import Cube, Doubles, Flags, Matrix, Scalar, Table, Vector

_NEGLIGIBLE = np.float32(1e-8)
_LARGEST_BITS = np.float32(1e15).view(np.int32)  # a gradient beyond that has diverged; its square is still a float32
_MAGNITUDE = np.int32(0x7FFFFFFF)
_RATE_ONE = np.float32(at.RATE_ONE)


@jit
def predict_then_learn(
    X: Matrix,
    Y: Matrix,
    has_label: Flags,
    weight: Vector,
    members: Table,
    layers: Table,
    hyper: Matrix,
    params: Vector,
    slots: Vector,
    grad: Vector,
    powers: Doubles,
    clocks: Table,
    scratch: Matrix,
    outputs: Cube,
    losses: Matrix,
) -> None:
    """Predict every row of `X` and, where it has a label, learn it before the next row is predicted.

    Args:
        X: float32 (n, fan_in), the encoded samples in log order.
        Y: float32 (n, targets): a class index, a 0/1 per label, or regression targets.
        has_label: bool (n,). Rows without a label are predicted and not learned.
        weight: float32 (n,), a factor on each sample's gradient.
        members: int64 (m, MEMBER_COLUMNS), one row a network.
        layers: int64 (sum of layer counts, LAYER_COLUMNS).
        hyper: float32 (m, HYPER_COLUMNS).
        params: float32 (sum of parameter counts,), changed in place; so are the next four.
        slots: float32, the optimisers' state.
        grad: float32 like `params`, the gradient of an unfinished mini-batch.
        powers: float64 (m, 2), beta1^t and beta2^t.
        clocks: int64 (m, CLOCK_COLUMNS).
        scratch: float32 (4, units of the largest network), overwritten.
        outputs: float32 (m, n, fan_out of the last layers), written.
        losses: float32 (m, n), written; NaN where a row has no label, or one that cannot be learned.
    """
    for m in range(members.shape[0]):
        first = members[m, at.FIRST_LAYER]
        own_layers = layers[first : first + members[m, at.LAYER_COUNT]]
        start = members[m, at.PARAM_START]
        stop = start + members[m, at.PARAM_COUNT]
        _walk(
            X, Y, has_label, weight, members[m], own_layers, hyper[m],
            params[start:stop], slots[members[m, at.SLOT_START] :], grad[start:stop], powers[m], clocks[m],
            scratch, outputs[m], losses[m],
        )  # fmt: skip


@jit
def _walk(
    X: Matrix,
    Y: Matrix,
    has_label: Flags,
    weight: Vector,
    member: Table,
    layers: Table,
    hyper: Vector,
    params: Vector,
    slots: Vector,
    grad: Vector,
    powers: Doubles,
    clock: Table,
    scratch: Matrix,
    outputs: Matrix,
    losses: Vector,
) -> None:
    units = 0
    for k in range(layers.shape[0]):
        units += layers[k, at.FAN_OUT]
    z, a, delta, mask = scratch[0, :units], scratch[1, :units], scratch[2, :units], scratch[3, :units]
    last = units - layers[-1, at.FAN_OUT]
    dropout = hyper[at.DROPOUT]
    code, shape = member[at.LOSS], hyper[at.LOSS_SHAPE]
    later = code == LOG and units - last == 1  # a sample need not wait for what only its reader wants to know
    labelled = False
    for i in range(X.shape[0]):
        _forward(X[i], layers, params, z, a, mask, False)
        link(code, z[last:], outputs[i])
        if not has_label[i]:
            losses[i] = np.float32(np.nan)
            continue
        labelled = True
        if later:
            losses[i] = z[last] if np.isfinite(z[last] - z[last] * Y[i, 0]) else np.float32(np.nan)
        else:
            losses[i] = loss(code, shape, z[last:], Y[i])
        if not np.isfinite(losses[i]):
            clock[at.SAMPLES] += 1
            clock[at.SKIPPED] += 1
            continue
        out = outputs[i]
        if dropout > ZERO:
            draw_mask(mask[:last], dropout, member[at.SEED], clock[at.SAMPLES], 0)
            _forward(X[i], layers, params, z, a, mask, True)
            out = a[last:]
            link(code, z[last:], out)
        gradient(code, shape, z[last:], out, Y[i], delta[last:])
        clock[at.SAMPLES] += 1
        if not _scale_delta(delta[last:], weight[i]):
            clock[at.SKIPPED] += 1
            continue
        _backward(
            X[i], layers, member[at.LOWEST_LEARNING], params, z, a, mask, dropout > ZERO, delta, grad,
            clock[at.PENDING] > 0,
        )  # fmt: skip
        clock[at.PENDING] += 1
        if clock[at.PENDING] == member[at.BATCH_SIZE]:
            _step(member, layers, hyper, params, slots, grad, powers, clock)
    if later and labelled:
        log_losses(Y, losses)


@jit
def _forward(x: Vector, layers: Table, params: Vector, z: Vector, a: Vector, mask: Vector, use_mask: bool) -> None:
    start = 0
    for k in range(layers.shape[0]):
        fan_out = layers[k, at.FAN_OUT]
        w, b = layers[k, at.WEIGHTS], layers[k, at.BIASES]
        stop = start + fan_out
        forward(x, params[w:b], params[b : b + fan_out], z[start:stop])
        if k + 1 < layers.shape[0]:
            activate(layers[k, at.ACTIVATION], z[start:stop], a[start:stop])
            if use_mask:
                for j in range(start, stop):
                    a[j] *= mask[j]
        x = a[start:stop]
        start = stop


@jit
def _scale_delta(delta: Vector, weight: Vector) -> bool:
    """Multiply by the sample's weight; return whether all is finite.

    A gradient below `_NEGLIGIBLE` becomes 0: it teaches nothing, and its products would be denormal numbers,
    which are a hundred times as slow.
    """
    finite = True
    for j in range(delta.shape[0]):
        d = delta[j] * weight
        finite = finite and np.isfinite(d)
        delta[j] = d if abs(d) > _NEGLIGIBLE else ZERO
    return finite


@jit
def _backward(
    x0: Vector,
    layers: Table,
    lowest: int,
    params: Vector,
    z: Vector,
    a: Vector,
    mask: Vector,
    use_mask: bool,
    delta: Vector,
    grad: Vector,
    accumulate: bool,
) -> None:
    stop = z.shape[0]
    for k in range(layers.shape[0] - 1, lowest - 1, -1):
        fan_in, fan_out = layers[k, at.FAN_IN], layers[k, at.FAN_OUT]
        w, b = layers[k, at.WEIGHTS], layers[k, at.BIASES]
        start = stop - fan_out
        below = start - fan_in
        x = x0 if k == 0 else a[below:start]
        if layers[k, at.RATE] > 0:
            backward_weights(x, delta[start:stop], grad[w:b], grad[b : b + fan_out], accumulate)
        if k > lowest:
            backward_inputs(params[w:b], delta[start:stop], delta[below:start])
            _activation_gradient(layers[k - 1, at.ACTIVATION], z, a, mask, use_mask, delta, below, start)
        stop = start


@jit
def _activation_gradient(
    code: int, z: Vector, a: Vector, mask: Vector, use_mask: bool, delta: Vector, start: int, stop: int
) -> None:
    if use_mask:
        for j in range(start, stop):
            delta[j] *= mask[j]
            a[j] = a[j] / mask[j] if mask[j] > ZERO else ZERO
    multiply_by_derivative(code, z[start:stop], a[start:stop], delta[start:stop])


@jit
def _step(
    member: Table,
    layers: Table,
    hyper: Vector,
    params: Vector,
    slots: Vector,
    grad: Vector,
    powers: Doubles,
    clock: Table,
) -> None:
    """Take one optimiser step with the gradient gathered so far, or drop it where it is not a usable number."""
    pending = clock[at.PENDING]
    clock[at.PENDING] = 0
    layers = layers[member[at.LOWEST_LEARNING] :]
    start = layers[0, at.WEIGHTS]
    learning = grad[start:]
    if pending > 1:
        share = ONE / np.float32(pending)
        for p in range(learning.shape[0]):
            learning[p] *= share
    if hyper[at.CLIP_VALUE] > ZERO:
        clip_by_value(learning, hyper[at.CLIP_VALUE])
    if hyper[at.CLIP_NORM] > ZERO:
        clip_by_norm(learning, hyper[at.CLIP_NORM])
    if member[at.OPTIMIZER] != FTRL:
        _add_penalties(layers, hyper, params, grad)
    if not _is_bounded(learning):
        clock[at.SKIPPED] += pending
        return
    s = at.SCHEDULE_START
    rate = hyper[at.LEARNING_RATE] * rate_factor(
        member[at.SCHEDULE], hyper[s], hyper[s + 1], hyper[s + 2], clock[at.STEPS]
    )
    count_step(member[at.OPTIMIZER], powers, hyper[at.BETA1], hyper[at.BETA2])
    if member[at.OWN_RATES] == 0:
        _move(member, layers, start, params.shape[0], hyper, params, slots, grad, rate, powers)
    else:
        for k in range(layers.shape[0]):
            if layers[k, at.RATE] > 0:
                first, end = layers[k, at.WEIGHTS], layers[k, at.BIASES] + layers[k, at.FAN_OUT]
                own = rate * (np.float32(layers[k, at.RATE]) / _RATE_ONE)
                _move(member, layers[k : k + 1], first, end, hyper, params, slots, grad, own, powers)
    clock[at.STEPS] += 1


@jit
def _move(
    member: Table,
    layers: Table,
    start: int,
    stop: int,
    hyper: Vector,
    params: Vector,
    slots: Vector,
    grad: Vector,
    rate: Scalar,
    powers: Doubles,
) -> None:
    """Move the parameters of `layers`, which lie from `start` to `stop`, with one learning rate."""
    if hyper[at.WEIGHT_DECAY] > ZERO:
        _decay(layers, rate * hyper[at.WEIGHT_DECAY], params)
    update(
        member[at.OPTIMIZER], layers, start, stop, params, grad, slots, rate,
        hyper[at.BETA1], hyper[at.BETA2], hyper[at.EPSILON], hyper[at.L1], hyper[at.L2], powers,
    )  # fmt: skip
    if hyper[at.MAX_NORM] > ZERO:
        for k in range(layers.shape[0]):
            w, b = layers[k, at.WEIGHTS], layers[k, at.BIASES]
            limit_norms(params[w:b], layers[k, at.FAN_IN], layers[k, at.FAN_OUT], hyper[at.MAX_NORM])


@jit
def _is_bounded(grad: Vector) -> bool:
    """Return whether no component is NaN, infinite or beyond `_LARGEST_BITS`.

    Floats without their sign are ordered as their bits are, and a maximum of integers vectorises.
    """
    top = np.int32(0)
    for p in range(grad.shape[0]):
        top = max(top, np.int32(np.float32(grad[p]).view(np.int32) & _MAGNITUDE))
    return bool(top <= _LARGEST_BITS)


@jit
def _add_penalties(layers: Table, hyper: Vector, params: Vector, grad: Vector) -> None:
    """Add the gradient of the penalties on the weights, never on the biases."""
    l1, l2 = hyper[at.L1], hyper[at.L2]
    if l1 == ZERO and l2 == ZERO:
        return
    for k in range(layers.shape[0]):
        w, b = layers[k, at.WEIGHTS], layers[k, at.BIASES]
        if layers[k, at.RATE] == 0:
            continue
        penalise(params[w:b], grad[w:b], l1, l2)


@jit
def _decay(layers: Table, share: Scalar, params: Vector) -> None:
    """Take a share off the weights, never off the biases (AdamW's decoupled decay)."""
    for k in range(layers.shape[0]):
        for p in range(layers[k, at.WEIGHTS], layers[k, at.BIASES]):
            params[p] -= share * params[p]
