"""What a mixture's prediction owes to the entries of a row: the path of each member, and the mixture's derivatives.

As in `nnstream.kernels.explain`: each member's first pre-activations are linear along the path from "nothing known of
this event" to the row, and each step multiplies by secants. The labels before the event stay what they are.
"""

from typing import Any

import numpy as np

from nnstream.kernels._jit import jit
from nnstream.kernels.dense import dot
from nnstream.kernels.elementary import ONE, ZERO, exp, log, softmax
from nnstream.kernels.explain import complete
from nnstream.kernels.mixture import HEDGE, LARGEST, LAST, LOWEST, TINY, least_share
from nnstream.kernels.sparse import FIRST_COLUMN, FIRST_ENTRY, HIDDEN, LAST_ENTRY, START, STOP, UNITS
from nnstream.kernels.types import Cube, Matrix, Scalar, Table, Vector


@jit
def walk_path(
    members: Table, columns: Any, values: Vector, lags: int, params: Vector, path: Cube, scores: Cube
) -> None:  # fmt: skip
    """Write the members' scores at the nodes of the path.

    Args:
        members: int64 (m, 14), see `nnstream.kernels.sparse`.
        columns: int32 (entries,), of one row.
        values: float32 (entries,).
        lags: the first entries, which are there at the path's beginning already.
        params: float32 (p,), of all members.
        path: float32 (2, m, at least hidden and outputs), written: first pre-activations at the ends of the path.
        scores: float32 (at least m, nodes, outputs), written.
    """
    nodes, outputs = scores.shape[1], scores.shape[2]
    for m in range(members.shape[0]):
        own, hidden = params[members[m, START] : members[m, STOP]], members[m, HIDDEN]
        width, units = hidden if hidden > 0 else outputs, members[m, UNITS]
        top = own.shape[0] - outputs
        biases = top - hidden * outputs - hidden if hidden > 0 else own.shape[0] - units
        base, end = path[0, m, :width], path[1, m, :width]
        for j in range(width):
            base[j] = end[j] = own[biases + j]
        for e in range(members[m, FIRST_ENTRY], members[m, LAST_ENTRY]):
            at = (columns[e] - members[m, FIRST_COLUMN]) * units
            for j in range(width):
                moved = values[e] * own[at + j]
                end[j] += moved
                if e < lags:
                    base[j] += moved
        for s in range(nodes):
            for c in range(outputs):
                scores[m, s, c] = _between(base[c], end[c], s, nodes) if hidden == 0 else own[top + c]
            for j in range(hidden):
                a = max(_between(base[j], end[j], s, nodes), ZERO)
                for c in range(outputs):
                    scores[m, s, c] += a * own[top - hidden * outputs + c * hidden + j]


@jit
def _between(base: Scalar, end: Scalar, s: int, nodes: int) -> Scalar:
    """Return the value at node `s` of as many on the way from `base` to `end`; a single node is the end."""
    if s == nodes - 1:
        return end
    return base + np.float32(s) / np.float32(nodes - 1) * (end - base)


@jit
def class_gradients(
    scores: Cube, state: Matrix, learned: Matrix, target: int, scratch: Matrix, gradients: Cube
) -> None:  # fmt: skip
    """Write the derivative of ln(p / (1 - p)) of class `target` by the members' scores, p as `mix_classes` mixes it.

    Args:
        scores: float32 (m, n, k), k = 1 for two classes.
        state: float32 (3, ...), see `nnstream.kernels.mixture`.
        learned: float32 (2, m).
        target: class.
        scratch: float32 (m + 6, at least classes, members and 3), overwritten.
        gradients: float32 (m, n, k), written.
    """
    m, k = scores.shape[0], scores.shape[2]
    classes = 2 if k == 1 else k
    said, ways = scratch[:m, :classes], scratch[m : m + 3, :classes]
    trust, share, slope = scratch[m + 3], scratch[m + 4], scratch[m + 5]
    least = least_share(k)
    most = ONE - least * np.float32(classes)
    softmax(state[HEDGE], m, trust)
    softmax(state[LAST], 3, share)
    for i in range(scores.shape[1]):
        for c in range(classes):
            ways[0, c] = ways[1, c] = ways[2, c] = ZERO
        for j in range(m):
            _log_probabilities(scores[j, i], said[j])
            for c in range(classes):
                ways[0, c] += trust[j] * (least + most * exp(said[j, c]))
                ways[1, c] += learned[0, j] * said[j, c]
                ways[2, c] += learned[1, j] * said[j, c]
        softmax(ways[1], classes, ways[1])
        softmax(ways[2], classes, ways[2])
        rest = own = ZERO
        for c in range(classes):
            mixed = share[0] * ways[0, c] + share[1] * ways[1, c] + share[2] * ways[2, c]
            own = mixed if c == target else own
            rest += ZERO if c == target else mixed
        slow = fast = ZERO
        for c in range(classes):
            slope[c] = ONE / max(own, TINY) if c == target else -ONE / max(rest, TINY)
            slow += slope[c] * ways[1, c]
            fast += slope[c] * ways[2, c]
        for j in range(m):
            for c in range(classes):
                said_slope = share[0] * slope[c] * trust[j] * most * exp(said[j, c])
                said_slope += share[1] * learned[0, j] * ways[1, c] * (slope[c] - slow)
                said_slope += share[2] * learned[1, j] * ways[2, c] * (slope[c] - fast)
                ways[0, c] = said_slope
            _score_gradient(scores[j, i], said[j], ways[0], gradients[j, i])


@jit
def _log_probabilities(scores: Vector, out: Vector) -> None:
    """Write a member's log probabilities of each class; one that is not finite says nothing."""
    classes = out.shape[0]
    for c in range(scores.shape[0]):
        if not np.isfinite(scores[c]):
            for each in range(classes):
                out[each] = -log(np.float32(classes))
            return
    if scores.shape[0] == 1:
        s = min(max(scores[0], LOWEST), -LOWEST)
        rest = log(ONE + exp(-abs(s)))
        out[1] = min(s, ZERO) - rest
        out[0] = min(-s, ZERO) - rest
        return
    softmax(scores, classes, out)
    for c in range(classes):
        out[c] = max(log(out[c]), LOWEST)


@jit
def _score_gradient(scores: Vector, said: Vector, slope: Vector, gradient: Vector) -> None:
    """Carry derivatives by a member's log probabilities on to its scores; 0 where the mixture limits them."""
    for c in range(scores.shape[0]):
        if not np.isfinite(scores[c]):
            for each in range(scores.shape[0]):
                gradient[each] = ZERO
            return
    if scores.shape[0] == 1:
        inside = abs(scores[0]) < -LOWEST
        gradient[0] = exp(said[0]) * slope[1] - exp(said[1]) * slope[0] if inside else ZERO
        return
    total = ZERO
    for c in range(scores.shape[0]):
        gradient[c] = slope[c] if said[c] > LOWEST else ZERO
        total += gradient[c]
    top = scores[0]
    for c in range(1, scores.shape[0]):
        top = max(top, scores[c])
    sum_of_powers = ZERO
    for c in range(scores.shape[0]):
        sum_of_powers += exp(scores[c] - top)
    for c in range(scores.shape[0]):
        gradient[c] -= total * exp(scores[c] - top) / sum_of_powers


@jit
def number_gradients(
    scores: Cube, state: Matrix, learned: Matrix, scratch: Matrix, gradients: Cube
) -> None:  # fmt: skip
    """Write the derivative of the number that `mix_numbers` mixes; arguments as in `class_gradients`, k = 1."""
    m = scores.shape[0]
    trust, share = scratch[m + 3], scratch[m + 4]
    softmax(state[HEDGE], m, trust)
    softmax(state[LAST], 3, share)
    for i in range(scores.shape[1]):
        centre = ZERO
        for j in range(m):
            centre += trust[j] * _limited(scores[j, i, 0])
        slow = fast = centre
        slow_sum = fast_sum = ZERO
        for j in range(m):
            away = _limited(scores[j, i, 0]) - centre
            slow += learned[0, j] * away
            fast += learned[1, j] * away
            slow_sum += learned[0, j]
            fast_sum += learned[1, j]
        slow_share = share[1] if abs(slow) < LARGEST else ZERO
        fast_share = share[2] if abs(fast) < LARGEST else ZERO
        for j in range(m):
            slope = share[0] * trust[j]
            slope += slow_share * (trust[j] * (ONE - slow_sum) + learned[0, j])
            slope += fast_share * (trust[j] * (ONE - fast_sum) + learned[1, j])
            gradients[j, i, 0] = slope if abs(scores[j, i, 0]) < LARGEST else ZERO


@jit
def _limited(said: Scalar) -> Scalar:
    return min(max(said, -LARGEST), LARGEST) if np.isfinite(said) else ZERO


@jit
def carry_back(
    members: Table, columns: Any, values: Vector, lags: int, params: Vector, path: Cube, scores: Cube,
    output: Vector, gradients: Cube, scratch: Matrix, contributions: Vector,
) -> None:  # fmt: skip
    """Add up what each entry contributed over all steps and members.

    Args:
        members: as in `walk_path`; so are the next six.
        columns: int32 (entries,).
        values: float32 (entries,).
        lags: entries that contribute nothing: they did not move.
        params: float32 (p,).
        path: float32 (2, m, ...), as `walk_path` left it.
        scores: float32 (at least m, nodes, outputs).
        output: float32 (nodes,), the mixture's score at each node.
        gradients: float32 (at least m, nodes - 1, outputs), of that score half way along each step; of a single node,
            at that node. Changed in place.
        scratch: float32 (3, at least hidden and scores a node), overwritten.
        contributions: float32 (entries,), written.
    """
    nodes, outputs = scores.shape[1], scores.shape[2]
    for s in range(nodes - 1):
        _complete_step(output[s + 1] - output[s], scores, s, gradients, scratch)
    for e in range(contributions.shape[0]):
        contributions[e] = ZERO
    for m in range(members.shape[0]):
        own, hidden = params[members[m, START] : members[m, STOP]], members[m, HIDDEN]
        width, units = hidden if hidden > 0 else outputs, members[m, UNITS]
        mean = scratch[0, :width]
        _mean_delta(own, hidden, outputs, path[0, m], path[1, m], gradients[m], nodes, mean)
        for e in range(max(lags, members[m, FIRST_ENTRY]), members[m, LAST_ENTRY]):
            if values[e] != ZERO:
                at = (columns[e] - members[m, FIRST_COLUMN]) * units
                owed = values[e] * dot(own[at : at + width], mean)
                contributions[e] += owed if np.isfinite(owed) else ZERO  # one that has diverged says nothing


@jit
def _complete_step(change: Scalar, scores: Cube, s: int, gradients: Cube, scratch: Matrix) -> None:
    """Let the gradients of one step say of all members' scores together what the mixture did."""
    m, k = scores.shape[0], scores.shape[2]
    before, after, slope = scratch[0, : m * k], scratch[1, : m * k], scratch[2, : m * k]
    for j in range(m):
        for c in range(k):
            said = np.isfinite(scores[j, s, c]) and np.isfinite(scores[j, s + 1, c])
            before[j * k + c] = scores[j, s, c] if said else ZERO
            after[j * k + c] = scores[j, s + 1, c] if said else ZERO
            slope[j * k + c] = gradients[j, s, c]
    complete(change, before, after, slope)
    for j in range(m):
        for c in range(k):
            gradients[j, s, c] = slope[j * k + c]


@jit
def _mean_delta(
    own: Vector, hidden: int, outputs: int, base: Vector, end: Vector, gradients: Matrix, nodes: int, mean: Vector
) -> None:
    """Write the mean over the steps of the derivative by a member's first pre-activations."""
    top = own.shape[0] - outputs - hidden * outputs
    share = ONE / np.float32(max(nodes - 1, 1))
    for j in range(mean.shape[0]):
        mean[j] = ZERO
    for s in range(max(nodes - 1, 1)):
        if hidden == 0:
            for c in range(outputs):
                mean[c] += share * gradients[s, c]
            continue
        for j in range(hidden):
            total = ZERO
            for c in range(outputs):
                total += own[top + c * hidden + j] * gradients[s, c]
            za = _between(base[j], end[j], s, nodes)
            zb = _between(base[j], end[j], s + 1, nodes) if nodes > 1 else za
            rising = ONE if zb > ZERO else ZERO
            if zb != za:
                rising = (max(zb, ZERO) - max(za, ZERO)) / (zb - za)
            mean[j] += share * total * rising


@jit
def class_outputs(mixed: Matrix, target: int, output: Vector) -> None:
    """Write ln(p / (1 - p)) of class `target` from mixed probabilities, float32 (n, classes)."""
    for i in range(mixed.shape[0]):
        rest = ZERO
        for c in range(mixed.shape[1]):
            rest += ZERO if c == target else mixed[i, c]
        output[i] = log(max(mixed[i, target], TINY)) - log(max(rest, TINY))
