"""The ensemble's kernel against the same equations in NumPy: every optimiser, with and without hidden units."""

from itertools import pairwise

import numpy as np
import pytest

from nnstream.basis import BINS, Shape
from nnstream.kernels import losses as codes
from nnstream.kernels.lanes import WIDTH
from nnstream.kernels.sparse import KEEP_EVERY, walk
from nnstream.members import CODES, Member, fresh, parameter_count, slot_count, span, split, unit_count

SHAPE = Shape(3, 4, 2)


def entries(n, rng):
    """Rows as `Basis` gives them: lags and columns, then two neighbouring bins a number, some of them missing."""
    dense = np.tile(np.arange(SHAPE.lags + SHAPE.columns), (n, 1))
    low = rng.integers(0, BINS - 1, (n, SHAPE.numbers)) + dense.shape[1] + np.arange(SHAPE.numbers) * BINS
    columns = np.concatenate([dense, np.stack([low, low + 1], axis=2).reshape(n, -1)], axis=1)
    values = rng.normal(size=columns.shape).astype(np.float32)
    values[rng.random(columns.shape) < 0.1] = 0
    return columns.astype(np.int32), values


def reference(member, outputs, loss, columns, values, targets, flat):
    """Walk one member without replay, a weight matrix at a time, in float64."""
    parts = [part.astype(np.float64) for part in split(flat, member, SHAPE, outputs)]
    rows, biases = np.concatenate(parts[:3]), parts[3]
    weights = [rows, biases, parts[4], parts[5]] if member.hidden else [rows, parts[5]]
    slots = [[np.zeros_like(w) for w in weights] for _ in range(2)]
    seen = span(member, SHAPE)
    scores, steps = [], 0
    for i, (target, weight) in enumerate(targets.astype(np.float64)):
        x = np.zeros(len(rows))
        own = slice(seen.first_entry, seen.last_entry)
        np.add.at(x, columns[i, own] - seen.first_column, values[i, own].astype(np.float64))
        z = x @ weights[0] + weights[1]
        a = np.maximum(z, 0) if member.hidden else z
        score = weights[2] @ a + weights[3] if member.hidden else z
        scores.append(score)
        if loss == codes.LOG:
            g = 1 / (1 + np.exp(-score)) - target
        elif loss == codes.CROSS_ENTROPY:
            g = np.exp(score - score.max()) / np.exp(score - score.max()).sum() - np.eye(outputs)[int(target)]
        else:
            g = 2 * np.clip(score - target, -1, 1)
        g = g * weight
        if not g.any():
            continue
        steps += 1
        delta = (weights[2].T @ g) * (z > 0) if member.hidden else g
        gradients = [np.outer(x, delta), delta] + ([np.outer(g, a), g] if member.hidden else [])
        there = [(x != 0)[:, None] | np.zeros_like(gradients[0], bool)] + [
            np.ones_like(q, bool) for q in gradients[1:]
        ]
        for w, g_w, first, second, mask in zip(weights, gradients, *slots, there, strict=True):
            move(member, w, g_w, first, second, mask, steps)
        if member.optimizer == "adagrad" and (i + 1) % KEEP_EVERY == 0:
            for squares in slots[0]:
                np.multiply(squares, member.keep, out=squares)
    return np.array(scores)


def move(member, w, g, first, second, mask, steps):
    if member.optimizer == "adagrad":
        first += g * g
        w -= np.divide(member.rate * g, np.sqrt(first), out=np.zeros_like(w), where=first > 0)
    elif member.optimizer == "adam":
        first[mask] = (0.9 * first + 0.1 * g)[mask]
        second[mask] = (0.999 * second + 0.001 * g * g)[mask]
        ahead = member.rate * first / (1 - 0.9**steps) / (np.sqrt(second / (1 - 0.999**steps)) + 1e-12)
        w[mask] -= ahead[mask]
    else:
        w -= member.rate * g


def walked(member, outputs, loss, columns, values, targets, cuts=()):
    """Return scores and parameters after the kernel walked a member over the blocks between the cuts."""
    params = fresh(member, SHAPE, outputs, seed=1)
    slots = np.zeros(slot_count(member, SHAPE, outputs), np.float32)
    seen, units = span(member, SHAPE), unit_count(member, outputs)
    row = (
        seen.first_entry, seen.last_entry, seen.first_column, member.hidden, units, CODES[member.optimizer],
        member.replay_window, member.replay_steps, 7, 0, len(params), 0, len(slots), 0,
    )  # fmt: skip
    rates = np.array([[member.rate, member.keep]], np.float32)
    powers, scratch = np.ones((1, 2)), np.empty((4, max(units, 3 * outputs, WIDTH)), np.float32)
    scores = np.empty((1, len(columns), outputs), np.float32)
    edges = [0, *cuts, len(columns)]
    for start, stop in pairwise(edges):
        part = np.empty((1, stop - start, outputs), np.float32)
        walk(
            np.array([row]), rates, loss, columns[start:stop], values[start:stop], targets[start:stop],
            np.ones(stop - start, np.bool_), columns, values, targets, start, params, slots, powers, scratch, outputs,
            part,
        )  # fmt: skip
        scores[:, start:stop] = part
    return scores[0], params


CASES = [
    (optimizer, hidden, outputs, loss)
    for optimizer in ("sgd", "adagrad", "adam")
    for hidden in (0, WIDTH, 2 * WIDTH)
    for outputs, loss in ((1, codes.LOG), (3, codes.CROSS_ENTROPY), (1, codes.HUBER), (40, codes.CROSS_ENTROPY))
]


@pytest.mark.parametrize(("optimizer", "hidden", "outputs", "loss"), CASES)
def test_the_kernel_agrees_with_numpy(optimizer, hidden, outputs, loss):
    rng = np.random.default_rng(hidden + outputs)
    columns, values = entries(40, rng)
    y = rng.integers(0, max(outputs, 2), 40) if loss != codes.HUBER else rng.normal(size=40)
    targets = np.stack([y, rng.choice([0.0, 0.5, 1.0, 2.0], 40)], axis=1).astype(np.float32)
    member = Member("columns+bins", optimizer, 0.02, hidden)
    found, _ = walked(member, outputs, loss, columns, values, targets)
    flat = fresh(member, SHAPE, outputs, seed=1)
    assert parameter_count(member, SHAPE, outputs) == len(flat)
    expected = reference(member, outputs, loss, columns, values, targets, flat)
    np.testing.assert_allclose(found, expected, atol=0.03, rtol=0.01)  # 0.2 % a step through the inverse root


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_cut_between_replays_changes_no_bit(outputs):
    rng = np.random.default_rng(9)
    columns, values = entries(700, rng)
    targets = np.stack([rng.integers(0, max(outputs, 2), 700), rng.random(700)], axis=1).astype(np.float32)
    loss = codes.LOG if outputs == 1 else codes.CROSS_ENTROPY
    member = Member("all", "adagrad", 0.1, WIDTH, replay_window=200, replay_steps=2, keep=0.9)
    whole, one = walked(member, outputs, loss, columns, values, targets)
    parts, other = walked(member, outputs, loss, columns, values, targets, cuts=(1, 2, 511, 513, 600))
    assert whole.tobytes() == parts.tobytes()
    assert one.tobytes() == other.tobytes()


def test_lanes_that_only_fill_stay_zero():
    rng = np.random.default_rng(3)
    columns, values = entries(200, rng)
    targets = np.stack([rng.integers(0, 3, 200), np.ones(200)], axis=1).astype(np.float32)
    for optimizer in ("sgd", "adagrad", "adam"):
        member = Member("all", optimizer, 0.1, 0)
        _, params = walked(member, 3, codes.CROSS_ENTROPY, columns, values, targets)
        assert (params.reshape(-1, WIDTH)[:, 3:] == 0).all()
        assert (params.reshape(-1, WIDTH)[:, :3] != 0).any()
