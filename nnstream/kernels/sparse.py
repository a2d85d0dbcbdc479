"""Small networks over rows of which few columns are present: predict, learn, and replay, in log order.

A row is a list of (column, value) entries in ascending order of columns; a member sees the entries from one index
to another and none beside. Only weights of columns that are present move: a gradient of 0 would not move the others
anyway (for Adam it is the lazy variant, which leaves the moments of absent columns alone).

Parameters of a member with hidden units: (columns, hidden) row by row, hidden biases, (outputs, hidden), output
biases. Without: (columns, units), biases (units,), where units is 1, or the outputs padded to whole lanes.
"""

from typing import Any

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.elementary import ONE, ZERO, random_bits
from nnstream.kernels.lanes import WIDTH, load, spread, store, total, where_positive
from nnstream.kernels.losses import gradient, link
from nnstream.kernels.optimizers import ADAGRAD, ADAM
from nnstream.kernels.sparse_steps import step_one, step_rows, step_top
from nnstream.kernels.types import Cube, Doubles, Flags, Matrix, Scalar, Table, Vector

# columns of the members' table, int64
(
    FIRST_ENTRY, LAST_ENTRY, FIRST_COLUMN, HIDDEN, UNITS, OPTIMIZER, REPLAY_WINDOW, REPLAY_STEPS, SEED,
    START, STOP, SLOT_START, SLOT_STOP, BORN,
) = range(14)  # fmt: skip
# columns of the members' rates, float32
RATE, KEEP = 0, 1
KEEP_EVERY = 512  # learned samples

_NEGLIGIBLE = np.float32(1e-8)


@jit
def _line(columns: Any, values: Vector, offset: int, params: Vector) -> Scalar:
    score = params[params.shape[0] - 1]
    for e in range(columns.shape[0]):
        score += values[e] * params[columns[e] - offset]
    return score


@jit
def _rows(columns: Any, values: Vector, offset: int, units: int, biases: int, params: Vector, z: Vector) -> None:
    """Write z = biases + the sum of each entry's value times its column's row of weights."""
    for u in range(0, units, WIDTH):
        sums = load(params, biases + u)
        for e in range(columns.shape[0]):
            if values[e] != ZERO:
                sums = sums + spread(values[e]) * load(params, (columns[e] - offset) * units + u)
        store(z, u, sums)


@jit
def _forward(
    columns: Any,
    values: Vector,
    offset: int,
    hidden: int,
    units: int,
    params: Vector,
    z: Vector,
    a: Vector,
    o: Vector,
) -> None:
    if units == 1:
        o[0] = _line(columns, values, offset, params)
        return
    n, outputs = params.shape[0], o.shape[0]
    if hidden == 0:
        _rows(columns, values, offset, units, n - units, params, z)
        for c in range(outputs):
            o[c] = z[c]
        return
    top = n - outputs - hidden * outputs
    _rows(columns, values, offset, units, top - hidden, params, z)
    for u in range(0, hidden, WIDTH):
        lanes = load(z, u)
        store(a, u, where_positive(lanes, lanes))
    for c in range(outputs):
        score = params[n - outputs + c]
        for u in range(0, hidden, WIDTH):
            score += total(load(a, u) * load(params, top + c * hidden + u))
        o[c] = score


@jit
def _backward(hidden: int, top: int, params: Vector, z: Vector, g: Vector, d: Vector) -> None:
    """Write the derivative of the loss by what goes into the hidden units."""
    for u in range(0, hidden, WIDTH):
        sums = spread(g[0]) * load(params, top + u)
        for c in range(1, g.shape[0]):
            sums = sums + spread(g[c]) * load(params, top + c * hidden + u)
        store(d, u, where_positive(load(z, u), sums))


@jit
def _learn(
    columns: Any, values: Vector, offset: int, hidden: int, units: int, optimizer: int, rate: Scalar, weight: Scalar,
    params: Vector, slots: Vector, powers: Doubles, z: Vector, a: Vector, d: Vector, g: Vector,
) -> None:  # fmt: skip
    """Take one step with the gradient `g` of the loss by the outputs; one that is not finite is left out."""
    largest = ZERO
    for c in range(g.shape[0]):
        g[c] *= weight
        if not np.isfinite(g[c]):
            return
        if abs(g[c]) < _NEGLIGIBLE:  # its products would be denormal numbers, which are slow
            g[c] = ZERO
        largest = max(largest, abs(g[c]))
    if largest == ZERO:
        return
    s1 = s2 = ONE
    if optimizer == ADAM:
        powers[0] *= 0.9
        powers[1] *= 0.999
        s1 = np.float32(1.0 / (1.0 - powers[0]))
        s2 = np.float32(1.0 / (1.0 - powers[1]))
    n, outputs = params.shape[0], g.shape[0]
    if units == 1:
        for e in range(columns.shape[0]):
            if values[e] != ZERO:
                step_one(optimizer, params, slots, columns[e] - offset, values[e] * g[0], rate, s1, s2)
        step_one(optimizer, params, slots, n - 1, g[0], rate, s1, s2)
        return
    top = n - outputs - hidden * outputs
    biases = top - hidden
    if hidden > 0:
        _backward(hidden, top, params, z, g, d)
        step_top(optimizer, hidden, top, params, slots, a, g, rate, s1, s2)
    else:
        biases = n - units
        for c in range(units):
            d[c] = g[c] if c < outputs else ZERO
    step_rows(optimizer, columns, values, offset, units, biases, params, slots, d, rate, s1, s2)


@jit
def walk(
    members: Table, rates: Matrix, loss: int, columns: Any, values: Matrix, targets: Matrix, known: Flags,
    past_columns: Any, past_values: Matrix, past_targets: Matrix, learned: int,
    params: Vector, slots: Vector, powers: Doubles, scratch: Matrix, outputs: int, scores: Cube,
) -> None:  # fmt: skip
    """Walk each member over a block: predict a row; where its label is known, learn it, then replay older ones.

    Args:
        members: int64 (m, 14), see the columns above; nothing from before BORN is replayed.
        rates: float32 (m, 2): learning rate; what AdaGrad's accumulators are multiplied by every `KEEP_EVERY`
            samples, so that a stream that changes late still finds steps worth taking.
        loss: see `nnstream.kernels.losses`; Huber's δ is 1.
        columns: int32 (n, entries), ascending in each row.
        values: float32 (n, entries).
        targets: float32 (n, 2): the target, and the weight of its gradient.
        known: bool (n,).
        past_columns: int32 (capacity, entries), a ring of learned rows that holds this block's already: the t-th
            sample learned lies at t modulo capacity.
        past_values: float32 (capacity, entries).
        past_targets: float32 (capacity, 2).
        learned: samples learned before this block.
        params: float32 (p,), of all members; changed in place, as the next two.
        slots: float32 (q,), of all members; see `sparse_steps`.
        powers: float64 (m, 2).
        scratch: float32 (4, at least the largest units and three times the outputs), overwritten.
        outputs: how many a member has.
        scores: float32 (at least m, n, at least outputs), written: the scores before the link.
    """
    for m in range(members.shape[0]):
        _walk_one(
            members[m], rates[m], loss, columns, values, targets, known, past_columns, past_values, past_targets,
            learned, params[members[m, START] : members[m, STOP]],
            slots[members[m, SLOT_START] : members[m, SLOT_STOP]], powers[m], scratch, outputs, scores[m],
        )  # fmt: skip


@jit
def _walk_one(
    member: Table, rates: Vector, loss: int, columns: Any, values: Matrix, targets: Matrix, known: Flags,
    past_columns: Any, past_values: Matrix, past_targets: Matrix, learned: int,
    params: Vector, slots: Vector, powers: Doubles, scratch: Matrix, outputs: int, scores: Matrix,
) -> None:  # fmt: skip
    first, last, offset = member[FIRST_ENTRY], member[LAST_ENTRY], member[FIRST_COLUMN]
    hidden, units, optimizer = member[HIDDEN], member[UNITS], member[OPTIMIZER]
    z, a, d = scratch[0], scratch[1], scratch[2]
    g, o = scratch[3, :outputs], scratch[3, outputs : 2 * outputs]
    p = scratch[3, 2 * outputs : 3 * outputs]
    t = learned
    for i in range(columns.shape[0]):
        score = scores[i, :outputs]
        _forward(columns[i, first:last], values[i, first:last], offset, hidden, units, params, z, a, score)
        if not known[i]:
            continue
        link(loss, score, p)
        gradient(loss, ONE, score, p, targets[i], g)
        _learn(
            columns[i, first:last], values[i, first:last], offset, hidden, units, optimizer, rates[RATE],
            targets[i, 1], params, slots, powers, z, a, d, g,
        )  # fmt: skip
        if optimizer == ADAGRAD and (t + 1) % KEEP_EVERY == 0:
            for q in range(slots.shape[0]):
                slots[q] *= rates[KEEP]
        for r in range(member[REPLAY_STEPS]):
            reach = min(t + 1 - member[BORN], member[REPLAY_WINDOW])
            back = random_bits(member[SEED], t, r) % np.uint64(reach)
            k = (t - np.int64(back)) % past_columns.shape[0]
            _forward(past_columns[k, first:last], past_values[k, first:last], offset, hidden, units, params, z, a, o)
            link(loss, o, p)
            gradient(loss, ONE, o, p, past_targets[k], g)
            _learn(
                past_columns[k, first:last], past_values[k, first:last], offset, hidden, units, optimizer,
                rates[RATE], past_targets[k, 1], params, slots, powers, z, a, d, g,
            )  # fmt: skip
        t += 1
