"""The members of the default ensembles, and where their weights lie when the stream widens.

Chosen on 19 classification and 11 regression streams and checked on 18 others (benchmarks/bench_streams.py): rates
a factor of 30 apart, three optimisers, with and without hidden units, with and without replay, because which of
them wins differs from stream to stream and from week to week.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nnstream.basis import BINS, Shape
from nnstream.initializers import draw
from nnstream.kernels.lanes import WIDTH
from nnstream.kernels.optimizers import ADAGRAD, ADAM, SGD, SLOTS

Sees = Literal["columns", "columns+bins", "lags+columns", "all"]
CODES = {"sgd": SGD, "adagrad": ADAGRAD, "adam": ADAM}


@dataclass(frozen=True)
class Member:
    """One network of an ensemble.

    Args:
        sees: which part of a row.
        optimizer: how its weights move.
        rate: learning rate.
        hidden: ReLU units; 0 is a linear model.
        replay_window: how many samples back replay reaches.
        replay_steps: older samples learned again after each new one.
        keep: what AdaGrad's accumulators are multiplied by every 512 samples.
        follows: starts by repeating the last label; for a linear member that sees the lags.
        plastic: begins anew after a drift.
    """

    sees: Sees
    optimizer: Literal["sgd", "adagrad", "adam"]
    rate: float
    hidden: int = 32
    replay_window: int = 1
    replay_steps: int = 0
    keep: float = 1.0

    follows: bool = False
    plastic: bool = False

    @property
    def title(self) -> str:
        """Return a name for people and metrics, such as `adagrad-0.1-32-columns+bins`."""
        return f"{self.optimizer}-{self.rate:g}-{self.hidden}-{self.sees}"


CLASSIFIERS = (
    Member("columns+bins", "adagrad", 0.1, 32, 1000, 1, 0.9, plastic=True),
    Member("columns+bins", "adagrad", 0.3, 32, 200, 1, 0.9, plastic=True),
    Member("columns+bins", "sgd", 0.03, 32, 1000, 1),
    Member("columns+bins", "sgd", 0.1),
    Member("columns", "adagrad", 0.1, 32, 200, 1, 0.9, plastic=True),
    Member("columns", "adam", 0.01),
    Member("columns", "sgd", 0.1, 0),
    Member("lags+columns", "adagrad", 0.1, 0, keep=0.9),
    Member("all", "sgd", 0.3, 0),
)
REGRESSORS = (
    Member("columns+bins", "adagrad", 0.1, 32, 1000, 2, 0.9, plastic=True),
    Member("columns+bins", "adagrad", 0.3, 32, 200, 1, 0.9, plastic=True),
    Member("all", "adagrad", 0.1, keep=0.9),
    Member("all", "sgd", 0.03),
    Member("columns", "adagrad", 0.1, 32, 200, 1, 0.9, plastic=True),
    Member("all", "sgd", 0.01, 0, follows=True),
    Member("lags+columns", "adagrad", 0.3, 0, keep=0.9, follows=True),
)


class Span(NamedTuple):
    """Which entries of a row a member sees, and which columns those can be."""

    first_entry: int
    last_entry: int
    first_column: int
    columns: int


def span(member: Member, shape: Shape) -> Span:
    """Return what `member` sees of rows of that shape."""
    q, w = shape.lags, shape.columns
    match member.sees:
        case "columns":
            return Span(q, q + w, q, w)
        case "columns+bins":
            return Span(q, shape.entries, q, shape.width - q)
        case "lags+columns":
            return Span(0, q + w, 0, q + w)
        case _:
            return Span(0, shape.entries, 0, shape.width)


def lanes(count: int) -> int:
    """Return the least number of whole lanes that holds so many."""
    return -(-count // WIDTH) * WIDTH


def unit_count(member: Member, outputs: int) -> int:
    """Return how many numbers a column's row of weights holds: whole lanes, but for one linear output."""
    if member.hidden:
        return member.hidden
    return 1 if outputs == 1 else lanes(outputs)


def parameter_count(member: Member, shape: Shape, outputs: int) -> int:
    """Return the number of weights and biases, with those that only fill lanes."""
    upper = (member.hidden + 1) * outputs if member.hidden else 0
    return (span(member, shape).columns + 1) * unit_count(member, outputs) + upper


def slot_count(member: Member, shape: Shape, outputs: int) -> int:
    """Return how much state the optimiser keeps."""
    return SLOTS[CODES[member.optimizer]] * parameter_count(member, shape, outputs)


class Parts(NamedTuple):
    """A member's flat parameters as views: rows by kind of column, then what lies above them."""

    lags: npt.NDArray[np.float32]
    columns: npt.NDArray[np.float32]
    bins: npt.NDArray[np.float32]
    hidden_bias: npt.NDArray[np.float32]
    top: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


def split(flat: npt.NDArray[np.float32], member: Member, shape: Shape, outputs: int) -> Parts:
    """Return views into a member's flat parameters (or into one of its slots)."""
    seen, units = span(member, shape).columns, unit_count(member, outputs)
    rows = flat[: seen * units].reshape(seen, units)[:, : member.hidden or outputs]
    above = flat[seen * units :]
    top = above[member.hidden : len(above) - outputs].reshape(outputs, -1) if member.hidden else above[:0, None]
    bias = above[len(above) - outputs :] if member.hidden else above[:outputs]
    lags = shape.lags if member.sees in ("lags+columns", "all") else 0
    columns = lags + shape.columns
    return Parts(rows[:lags], rows[lags:columns], rows[columns:], above[: member.hidden], top, bias)


def fresh(member: Member, shape: Shape, outputs: int, seed: int, had: Shape | None = None) -> npt.NDArray[np.float32]:
    """Return a member's initial parameters; a column's weights do not depend on how many columns follow.

    Args:
        member: whose.
        shape: of its rows.
        outputs: how many it has.
        seed: of the weights.
        had: columns whose weights, as all that lies above them, are left at 0: they will be carried over.
    """
    flat = np.zeros(parameter_count(member, shape, outputs), np.float32)
    if member.follows:
        if had is None:
            flat[:outputs] = 1.0
        return flat
    parts = split(flat, member, shape, outputs)
    fan_in, width = span(member, shape).columns, member.hidden or outputs
    kind = "he" if member.hidden else "lecun"
    known = had or Shape(0, 0, 0)
    kinds = ((parts.lags, known.lags), (parts.columns, known.columns), (parts.bins, known.numbers * BINS))
    for layer, (rows, start) in enumerate(kinds):
        if len(rows) > start:
            rows[start:] = draw(kind, seed, layer, range(start, len(rows)), fan_in, width)
    if member.hidden and had is None:
        parts.top[:] = draw("lecun", seed, 3, range(member.hidden), member.hidden, outputs).T
    return flat


def carry_over(old: Parts, new: Parts, before: int, after: int, *, linear: bool) -> None:
    """Copy what was learned into the parameters of a wider member.

    Args:
        old: of the narrower member.
        new: of the wider one, changed in place.
        before: outputs of the narrower one.
        after: outputs of the wider one; 1 becoming several is a sigmoid becoming a softmax, see `Bank.resize`.
        linear: whether rows hold one weight an output.
    """
    first = int(before == 1 < after)
    outputs = slice(first, first + before)
    units = outputs if linear else slice(None)
    if before < after:
        new.top[:] = 0
        new.bias[:] = 0
        new.lags[:] = 0
        if linear:
            new.columns[: len(old.columns)] = 0
            new.bins[: len(old.bins)] = 0
    new.columns[: len(old.columns), units] = old.columns
    new.bins[: len(old.bins), units] = old.bins
    new.hidden_bias[:] = old.hidden_bias
    if len(old.top):
        new.top[outputs] = old.top
    new.bias[outputs] = old.bias
    if len(old.lags) and not first:
        for r in range(3):
            new.lags[r * after : r * after + before, units] = old.lags[r * before : (r + 1) * before]


def shifted(columns: npt.NDArray[np.int32], before: Shape, after: Shape) -> npt.NDArray[np.int32]:
    """Return the entries' columns of remembered rows, int32 (n, after.entries), after the stream widened."""
    n = len(columns)
    lags_and_columns = np.arange(after.lags + after.columns, dtype=np.int32)
    old_bins = columns[:, before.lags + before.columns :] + (
        after.lags - before.lags + after.columns - before.columns
    )
    first_bins = after.lags + after.columns + np.arange(before.numbers, after.numbers) * BINS
    new_bins = (first_bins[:, None] + np.arange(2)).ravel()
    parts = [np.broadcast_to(lags_and_columns, (n, len(lags_and_columns))), old_bins]
    parts.append(np.broadcast_to(new_bins, (n, len(new_bins))))
    return np.ascontiguousarray(np.concatenate(parts, axis=1), np.int32)
