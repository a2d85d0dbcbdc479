"""Small networks over rows of which few columns are present: predict, learn, and replay, in log order.

A row is a list of (column, value) entries in ascending order of columns; a member sees the entries from one index
to another and none beside. Only weights of columns that are present move. For SGD and AdaGrad that is what
happens anyway: a gradient of 0 changes neither weights nor accumulators. For Adam it is the lazy variant, which
leaves the moments of absent columns alone.

Parameters of a member with hidden units: (columns, hidden) row by row, hidden biases, (hidden, outputs), output
biases. Without: (columns, outputs), output biases.
"""

from typing import Any

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.dense import dot
from nnstream.kernels.elementary import ONE, ZERO, random_bits
from nnstream.kernels.losses import gradient, link
from nnstream.kernels.optimizers import ADAGRAD, ADAM
from nnstream.kernels.types import Cube, Doubles, Flags, Matrix, Scalar, Table, Vector

# columns of the members' table, int64
FIRST_ENTRY, LAST_ENTRY, FIRST_COLUMN, HIDDEN, OPTIMIZER, REPLAY_WINDOW, REPLAY_STEPS, SEED, START, STOP, BORN = (
    range(11)
)
# columns of the members' rates, float32
RATE, KEEP = 0, 1
KEEP_EVERY = 512  # learned samples

_EPSILON = np.float32(1e-8)
_BETA1 = np.float32(0.9)
_BETA2 = np.float32(0.999)
_FLUSH = np.float32(1e-30)
_NEGLIGIBLE = np.float32(1e-8)


@jit
def _forward(
    columns: Any,
    values: Vector,
    offset: int,
    hidden: int,
    outputs: int,
    params: Vector,
    z: Vector,
    a: Vector,
    o: Vector,
) -> None:
    n = params.shape[0]
    for c in range(outputs):
        o[c] = params[n - outputs + c]
    if hidden == 0:
        for e in range(columns.shape[0]):
            if values[e] != ZERO:
                row = params[(columns[e] - offset) * outputs : (columns[e] - offset + 1) * outputs]
                for c in range(outputs):
                    o[c] += values[e] * row[c]
        return
    top = n - outputs - hidden * outputs
    for j in range(hidden):
        z[j] = params[top - hidden + j]
    for e in range(columns.shape[0]):
        if values[e] != ZERO:
            row = params[(columns[e] - offset) * hidden : (columns[e] - offset + 1) * hidden]
            for j in range(hidden):
                z[j] += values[e] * row[j]
    for j in range(hidden):
        a[j] = max(z[j], ZERO)
    if outputs == 1:
        o[0] += dot(a[:hidden], params[top : top + hidden])
        return
    for j in range(hidden):
        if a[j] != ZERO:
            for c in range(outputs):
                o[c] += a[j] * params[top + j * outputs + c]


@jit
def _move(
    optimizer: int,
    params: Vector,
    slots: Vector,
    slots2: Vector,
    first: int,
    x: Scalar,
    delta: Vector,
    rate: Scalar,
    s1: Scalar,
    s2: Scalar,
) -> None:
    """Move the weights from `first` on, as many as `delta` is long, against the gradient x delta."""
    n = delta.shape[0]
    w = params[first : first + n]
    if optimizer == ADAGRAD:
        v = slots[first : first + n]
        for j in range(n):
            g = x * delta[j]
            v[j] += g * g
            w[j] -= rate * g / (np.sqrt(v[j]) + _EPSILON)
    elif optimizer == ADAM:
        m, v = slots[first : first + n], slots2[first : first + n]
        for j in range(n):
            g = x * delta[j]
            mj = _BETA1 * m[j] + (ONE - _BETA1) * g
            vj = _BETA2 * v[j] + (ONE - _BETA2) * g * g
            m[j] = mj if abs(mj) > _FLUSH else ZERO
            v[j] = vj if vj > _FLUSH else ZERO
            w[j] -= rate * (m[j] * s1) / (np.sqrt(v[j] * s2) + _EPSILON)
    else:
        for j in range(n):
            w[j] -= rate * (x * delta[j])


@jit
def _learn(
    columns: Any, values: Vector, offset: int, hidden: int, outputs: int, optimizer: int, rate: Scalar,
    params: Vector, slots: Vector, slots2: Vector, powers: Doubles, z: Vector, a: Vector, d: Vector, g: Vector,
) -> None:  # fmt: skip
    """Take one step with the gradient `g` of the loss by the outputs; one that is not finite is left out."""
    for c in range(outputs):
        if not np.isfinite(g[c]):
            return
        if abs(g[c]) < _NEGLIGIBLE:
            g[c] = ZERO
    s1 = s2 = ONE
    if optimizer == ADAM:
        powers[0] *= 0.9
        powers[1] *= 0.999
        s1 = np.float32(1.0 / (1.0 - powers[0]))
        s2 = np.float32(1.0 / (1.0 - powers[1]))
    n = params.shape[0]
    width, delta = outputs, g[:outputs]
    if hidden > 0:
        top = n - outputs - hidden * outputs
        for j in range(hidden):
            total = ZERO
            for c in range(outputs):
                total += params[top + j * outputs + c] * g[c]
            d[j] = total if z[j] > ZERO else ZERO
        if outputs == 1:
            _move(optimizer, params, slots, slots2, top, g[0], a[:hidden], rate, s1, s2)
        else:
            for j in range(hidden):
                if a[j] != ZERO:
                    _move(optimizer, params, slots, slots2, top + j * outputs, a[j], g[:outputs], rate, s1, s2)
        _move(optimizer, params, slots, slots2, top - hidden, ONE, d[:hidden], rate, s1, s2)
        width, delta = hidden, d[:hidden]
    _move(optimizer, params, slots, slots2, n - outputs, ONE, g[:outputs], rate, s1, s2)
    for e in range(columns.shape[0]):
        if values[e] != ZERO:
            _move(optimizer, params, slots, slots2, (columns[e] - offset) * width, values[e], delta, rate, s1, s2)


@jit
def walk(
    members: Table, rates: Matrix, loss: int, columns: Any, values: Matrix, y: Matrix, known: Flags,
    past_columns: Any, past_values: Matrix, past_y: Matrix, learned: int,
    params: Vector, slots: Matrix, powers: Doubles, scratch: Matrix, scores: Cube,
) -> None:  # fmt: skip
    """Walk each member over a block: predict a row; where its label is known, learn it, then replay older ones.

    Args:
        members: int64 (m, 11), see the columns above; nothing from before BORN is replayed.
        rates: float32 (m, 2): learning rate; what AdaGrad's accumulators are multiplied by every `KEEP_EVERY`
            samples, so that a stream that changes late still finds steps worth taking.
        loss: see `nnstream.kernels.losses`; Huber's δ is 1.
        columns: int32 (n, entries), ascending in each row.
        values: float32 (n, entries).
        y: float32 (n, 1).
        known: bool (n,).
        past_columns: int32 (capacity, entries), a ring of learned rows that holds this block's already: the t-th
            sample learned lies at t modulo capacity.
        past_values: float32 (capacity, entries).
        past_y: float32 (capacity, 1).
        learned: samples learned before this block.
        params: float32 (p,), of all members; changed in place, as the next two.
        slots: float32 (2, p).
        powers: float64 (m, 2).
        scratch: float32 (4, at least hidden and three times the outputs).
        scores: float32 (at least m, n, outputs), written: the scores before the link.
    """
    for m in range(members.shape[0]):
        start, stop = members[m, START], members[m, STOP]
        _walk_one(
            members[m], rates[m], loss, columns, values, y, known, past_columns, past_values, past_y, learned,
            params[start:stop], slots[0, start:stop], slots[1, start:stop], powers[m], scratch, scores[m],
        )  # fmt: skip


@jit
def _walk_one(
    member: Table, rates: Vector, loss: int, columns: Any, values: Matrix, y: Matrix, known: Flags,
    past_columns: Any, past_values: Matrix, past_y: Matrix, learned: int,
    params: Vector, slots: Vector, slots2: Vector, powers: Doubles, scratch: Matrix, scores: Matrix,
) -> None:  # fmt: skip
    first, last, offset = member[FIRST_ENTRY], member[LAST_ENTRY], member[FIRST_COLUMN]
    hidden, optimizer = member[HIDDEN], member[OPTIMIZER]
    outputs = scores.shape[1]
    z, a, d = scratch[0], scratch[1], scratch[2]
    g, o = scratch[3, :outputs], scratch[3, outputs : 2 * outputs]
    p = scratch[3, 2 * outputs : 3 * outputs]
    t = learned
    for i in range(columns.shape[0]):
        _forward(columns[i, first:last], values[i, first:last], offset, hidden, outputs, params, z, a, scores[i])
        if not known[i]:
            continue
        link(loss, scores[i], p)
        gradient(loss, ONE, scores[i], p, y[i], g)
        _learn(
            columns[i, first:last], values[i, first:last], offset, hidden, outputs, optimizer, rates[RATE],
            params, slots, slots2, powers, z, a, d, g,
        )  # fmt: skip
        if optimizer == ADAGRAD and (t + 1) % KEEP_EVERY == 0:
            for q in range(params.shape[0]):
                slots[q] *= rates[KEEP]
        for r in range(member[REPLAY_STEPS]):
            reach = min(t + 1 - member[BORN], member[REPLAY_WINDOW])
            back = random_bits(member[SEED], t, r) % np.uint64(reach)
            k = (t - np.int64(back)) % past_columns.shape[0]
            _forward(
                past_columns[k, first:last], past_values[k, first:last], offset, hidden, outputs, params, z, a, o
            )
            link(loss, o, p)
            gradient(loss, ONE, o, p, past_y[k], g)
            _learn(
                past_columns[k, first:last], past_values[k, first:last], offset, hidden, outputs, optimizer,
                rates[RATE], params, slots, slots2, powers, z, a, d, g,
            )  # fmt: skip
        t += 1
