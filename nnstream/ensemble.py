"""The learner that needs no tuning: many small networks, all updated on every sample, mixed by what they are worth.

One bad learning rate can not ruin a stream, and after a drift the weight moves to whichever network adapts fastest.
Study: docs/adr/0004-the-default-ensemble.md. See also Gunasekara et al. 2022 (online hyper-parameter optimisation
of streaming networks), Sahoo et al. 2018 (hedge backpropagation).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.basis import Basis, Shape
from nnstream.block import Attribution, Block
from nnstream.kernels import losses as codes
from nnstream.kernels import sparse as at
from nnstream.kernels.basis import remember
from nnstream.kernels.explain_mixture import carry_back, class_gradients, class_outputs, number_gradients, walk_path
from nnstream.kernels.mixture import mix_classes, mix_numbers, mix_two
from nnstream.kernels.sparse import walk
from nnstream.members import (
    CLASSIFIERS,
    CODES,
    REGRESSORS,
    Member,
    Parts,
    carry_over,
    fresh,
    lanes,
    parameter_count,
    shifted,
    slot_count,
    span,
    split,
    unit_count,
)
from nnstream.state import check_like
from nnstream.watch import CHECK_EVERY, Watch

Array = npt.NDArray[Any]
_LARGEST_WEIGHT = 1e4
_LARGEST_TRUST = np.float32(100.0)  # what one sample's weight may at most count for in the mixture
_LONGEST_SEGMENT = 4096  # rows, most of them without a label: they need room, too
_ABSENT = np.float32(-1e30)  # the score of a class that only fills lanes
_CAPACITY = 2048  # of the replay ring: the longest window, and a whole segment beside it


class Ensemble:
    """A mixture of small networks over one stream.

    Args:
        regression: whether the labels are numbers.
        members: the networks; None takes the default ones.
        seed: of initial weights and replay.
        watchful: whether its plastic members begin anew when the mixture's loss jumps; else it waits to be told.

    Attributes:
        rebirths: int64 (members,): how often each was begun anew, because it had diverged or the world had.
    """

    def __init__(
        self, *, regression: bool, members: Sequence[Member] | None = None, seed: int = 0, watchful: bool = True
    ) -> None:
        self.members = tuple(members or (REGRESSORS if regression else CLASSIFIERS))
        self.regression = regression
        self.seed = seed
        count = len(self.members) + int(regression)  # a regression has one more: no change
        self._basis = Basis(regression=regression)
        self._shape, self._outputs = Shape(3, 0, 0), 1
        self.rebirths = np.zeros(len(self.members), np.int64)
        self._born = np.zeros(len(self.members), np.int64)
        self._watch = Watch()
        self._watchful = watchful
        self._learned = 0
        self._speakers = count
        self._state = np.zeros((3, lanes(max(count, 7))), np.float32)
        self._mixing = np.zeros((2, lanes(count)), np.float32)
        self._mixing[:, :count] = 0.0 if regression else 1 / count
        self._powers = np.ones((len(self.members), 2), np.float64)
        self._rates = np.array([(member.rate, member.keep) for member in self.members], np.float32)
        self._past_columns = np.zeros((_CAPACITY, self._shape.entries), np.int32)
        self._past_values = np.zeros((_CAPACITY, self._shape.entries), np.float32)
        self._past_targets = np.zeros((_CAPACITY, 2), np.float32)
        self._describe()
        self._params = np.concatenate([self._fresh(j) for j in range(len(self.members))])
        self._slots = np.zeros(self._table[-1, at.SLOT_STOP], np.float32)

    def _describe(self) -> None:
        rows, start, slot = [], 0, 0
        for j, member in enumerate(self.members):
            seen, units = span(member, self._shape), unit_count(member, self._outputs)
            stop = start + parameter_count(member, self._shape, self._outputs)
            slot_stop = slot + slot_count(member, self._shape, self._outputs)
            rows.append(
                (seen.first_entry, seen.last_entry, seen.first_column, member.hidden, units, CODES[member.optimizer],
                 member.replay_window, member.replay_steps, self.seed * 1000 + j, start, stop, slot, slot_stop,
                 self._born[j])
            )  # fmt: skip
            start, slot = stop, slot_stop
        self._table = np.array(rows, np.int64)

    def _fresh(self, j: int, had: Shape | None = None) -> npt.NDArray[np.float32]:
        seed = (self.seed * 1000 + j) * 1000 + int(self.rebirths[j])
        return fresh(self.members[j], self._shape, self._outputs, seed, had)

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Return float64 (members,): the share of each member in the Hedge part of the mixture."""
        scores = self._state[0, : self._speakers].astype(np.float64)
        shares = np.exp(scores - scores.max())
        return np.asarray(shares / shares.sum())[: len(self.members)]

    # -- learning

    def predict(self, block: Block) -> npt.NDArray[np.float32]:
        """Return float32 (n, outputs); nothing is learned, and no state moves."""
        return self._walk(block.unlabelled())[0]

    def predict_then_learn(self, block: Block) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Predict each row, then learn it where its label is known, strictly in order.

        Returns:
            Outputs, float32 (n, outputs): for two classes the probability of the second, for more that of each,
            for a regression the number on the scale of the block; and losses, float32 (n,).
        """
        outputs, losses, start = [], [], 0
        labelled = np.cumsum(block.known)
        while start < len(block):
            stop = self._next_stop(labelled, start)
            part = block[start:stop]
            got, lost = self._walk(part)
            outputs.append(got)
            losses.append(lost)
            self._basis.remember(part.numbers[part.known])
            self._learned += int(part.known.sum())
            self._watch.add(lost[part.known], regression=self.regression)
            if self._learned % CHECK_EVERY == 0 and part.known.any():
                self._begin_anew(plastic=self._watch.check() and self._watchful)
            start = stop
        return np.concatenate(outputs), np.concatenate(losses)

    def _next_stop(self, labelled: Array, start: int) -> int:
        """Return where the next segment ends: behind the row that brings new knots, or a look for diverged members.

        Args:
            labelled: int64 (n,), rows with a label up to and with each.
            start: where it begins.
        """
        until = min(self._basis.rows_to_refit(), CHECK_EVERY - self._learned % CHECK_EVERY)
        before = int(labelled[start - 1]) if start else 0
        stop = int(np.searchsorted(labelled, before + until)) + 1
        return min(len(labelled), start + _LONGEST_SEGMENT, stop)

    def _walk(self, block: Block) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        n = len(block)
        columns, values = self._entries(block)
        targets = np.concatenate([block.y, block.weight[:, None]], axis=1)
        remember(
            columns, values, targets, block.known, self._learned,
            self._past_columns, self._past_values, self._past_targets,
        )  # fmt: skip
        scores = self._no_scores(n)
        if self.regression:
            scores[-1, :, 0] = values[:, 0]
        walk(
            self._table, self._rates, self._loss_code(), columns, values, targets, block.known, self._past_columns,
            self._past_values, self._past_targets, self._learned, self._params, self._slots, self._powers,
            self._scratch(), self._outputs, scores,
        )  # fmt: skip
        return self._mix(scores, block)

    def _loss_code(self) -> int:
        return codes.HUBER if self.regression else (codes.LOG if self._outputs == 1 else codes.CROSS_ENTROPY)

    def _scratch(self) -> npt.NDArray[np.float32]:
        return np.empty((4, max(*self._table[:, at.UNITS], 3 * self._outputs)), np.float32)

    def explain(self, block: Block, target: int, steps: int) -> Attribution:
        """Return what the prediction of the block's one row owes to each of its columns; see `nnstream.explain`.

        The labels before the event and the trust in each member are no features: they stay as they are on the path.
        """
        columns, values = self._entries(block.unlabelled())
        lags, nodes, members = self._shape.lags, steps + 1, self._speakers
        units = max(self._outputs, *(member.hidden for member in self.members))
        path = np.empty((2, len(self.members), units), np.float32)
        scores = np.empty((members, nodes, self._outputs), np.float32)
        if self.regression:
            scores[-1, :, 0] = values[0, 0]
        walk_path(self._table, columns[0], values[0], lags, self._params, path, scores)
        output, target = self._explained(scores, target)
        middle = np.ascontiguousarray((scores[:, :-1] + scores[:, 1:]) / 2 if steps else scores)
        gradients = np.empty_like(middle)
        scratch = np.empty((members + 6, max(units, members * self._outputs, 3)), np.float32)
        if self.regression:
            number_gradients(middle, self._state, self._mixing, scratch, gradients)
        else:
            class_gradients(middle, self._state, self._mixing, target, scratch, gradients)
        found = np.empty(columns.shape[1], np.float32)
        carry_back(
            self._table, columns[0], values[0], lags, self._params, path, scores, output, gradients, scratch, found
        )
        first_bin = lags + self._shape.columns
        contributions = found[lags:first_bin]
        binned = block.number_columns[: self._shape.numbers]
        contributions[binned] += found[first_bin::2] + found[first_bin + 1 :: 2]
        return Attribution(contributions, float(output[-1]), float(output[0]) if steps else float("nan"), target)

    def _explained(self, scores: Array, target: int) -> tuple[npt.NDArray[np.float32], int]:
        """Return what the mixture makes of the members' scores at each node, and the class that is meant by it."""
        nodes, k = scores.shape[1], self._outputs
        nothing, weight = np.zeros((nodes, 1), np.float32), np.ones(nodes, np.float32)
        unlabelled = Block(
            nothing, nothing, nothing, nothing, np.zeros(nodes, np.bool_), weight, nothing, nothing, nothing
        )
        padded = self._no_scores(nodes)
        padded[:, :, :k] = scores
        mixed = self._mix(padded, unlabelled)[0]
        if self.regression:
            return mixed[:, 0].copy(), target
        shares = np.concatenate([1 - mixed, mixed], axis=1) if mixed.shape[1] == 1 else mixed
        target = int(shares[-1].argmax()) if target < 0 else target
        output = np.empty(nodes, np.float32)
        class_outputs(shares, target, output)
        return output, target

    def _entries(self, block: Block) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        return self._basis.entries(self._lags(block), block.X, block.numbers, block.number_columns)

    def _lags(self, block: Block) -> npt.NDArray[np.float32]:
        if self.regression:
            return self._basis.lag_numbers(block.values, block.known, block.centre, block.spread)
        if self._outputs == 1:
            return self._basis.lag_rows(2 * block.y - 1, block.known)
        one_hot = np.eye(self._outputs, dtype=np.float32)[block.y[:, 0].astype(np.int64)]
        return self._basis.lag_rows(2 * one_hot - np.float32(0.5), block.known)

    def _no_scores(self, n: int) -> npt.NDArray[np.float32]:
        """Return float32 (members, n, outputs, or more than one in whole lanes), to be written."""
        k = self._outputs
        return np.full((self._speakers, n, lanes(k) if k > 1 else 1), _ABSENT, np.float32)

    def _mix(self, scores: Array, block: Block) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        n, m = len(block), len(scores)
        classes = 1 if self.regression else max(2, self._outputs)
        mixed, losses = np.empty((n, classes), np.float32), np.empty(n, np.float32)
        scratch = np.empty((2 * m + 5, lanes(max(classes, m))), np.float32)
        mix = mix_numbers if self.regression else (mix_two if self._outputs == 1 else mix_classes)
        weight = np.minimum(block.weight, _LARGEST_TRUST)
        mix(scores, block.y, block.known, weight, self._state, self._mixing, scratch, mixed, losses)
        return (mixed if classes != 2 else mixed[:, 1:]), losses  # noqa: PLR2004

    def set_pace(self, factor: float) -> None:
        """Multiply all learning rates by `factor` from now on; 1 is what the members say."""
        self._rates[:, 0] = [factor * member.rate for member in self.members]

    def begin_anew(self) -> None:
        """Begin the plastic members anew: after a drift they have most to forget."""
        self._begin_anew(plastic=True)

    def _begin_anew(self, *, plastic: bool) -> None:
        """Begin members anew that have diverged, and where the world has changed the plastic ones."""
        for j, (start, stop, slot, slot_stop) in enumerate(self._table[:, at.START : at.SLOT_STOP + 1]):
            own = self._params[start:stop]
            sane = np.isfinite(own).all() and (len(own) == 0 or np.abs(own).max() < _LARGEST_WEIGHT)
            if sane and not (plastic and self.members[j].plastic):
                continue
            self.rebirths[j] += 1
            self._born[j] = self._table[j, at.BORN] = self._learned
            own[:] = self._fresh(j)
            self._slots[slot:slot_stop] = 0
            self._powers[j] = 1

    # -- how its members are

    def networks(self) -> list[tuple[Member, float, int, Parts]]:
        """Return each member, its learning rate now, the first column that it sees, and its weights as views."""
        rows = zip(self.members, self._rates[:, 0].tolist(), self._table, strict=True)
        return [
            (member, rate, int(row[at.FIRST_COLUMN]),
             split(self._params[row[at.START] : row[at.STOP]], member, self._shape, self._outputs))
            for member, rate, row in rows
        ]  # fmt: skip

    def newest(self, count: int) -> Array:
        """Return where the newest learned samples lie in the ring, at most `count`."""
        return np.arange(max(0, self._learned - count), self._learned) % _CAPACITY

    def entries_of(self, j: int, rows: Array) -> tuple[Array, Array]:
        """Return the columns and values that member `j` sees of samples in the ring."""
        seen = slice(self._table[j, at.FIRST_ENTRY], self._table[j, at.LAST_ENTRY])
        return self._past_columns[rows, seen], self._past_values[rows, seen]

    def gradient_norms(self, count: int) -> npt.NDArray[np.float64]:
        """Return the mean length of each member's gradient on the newest learned samples; NaN before the first.

        A step of plain gradient descent at rate 1, on copies, is the gradient.
        """
        table, rates, powers = self._table.copy(), np.ones_like(self._rates), self._powers.copy()
        table[:, at.OPTIMIZER], table[:, at.REPLAY_STEPS] = CODES["sgd"], 0
        ring, norms = (self._past_columns, self._past_values, self._past_targets), []
        for i in self.newest(count):
            params, row = self._params.copy(), slice(i, i + 1)
            walk(
                table, rates, self._loss_code(), *(each[row] for each in ring), np.ones(1, np.bool_), *ring, 0,
                params, self._slots, powers, self._scratch(), self._outputs, self._no_scores(1),
            )  # fmt: skip
            moved = np.square(self._params - params, dtype=np.float64)
            norms.append([moved[start:stop].sum() for start, stop in table[:, at.START : at.STOP + 1]])
        return np.sqrt(norms).mean(axis=0) if norms else np.full(len(self.members), np.nan)

    # -- growth and state

    def resize(self, columns: int, numbers: int, outputs: int, loss: str) -> None:
        """Widen to more columns, numbers or outputs; what was learned stays. `loss` follows from the outputs."""
        del loss
        before, had = self._shape, self._outputs
        self._basis.resize(numbers, outputs)
        after = Shape(3 * self._basis.targets, columns, self._basis.numbers)
        if (before, had) == (after, outputs):
            return
        old_table, old_params, old_slots = self._table, self._params, self._slots
        self._shape, self._outputs = after, outputs
        self._describe()
        self._params = np.concatenate([self._fresh(j, before) for j in range(len(self.members))])
        self._slots = np.zeros(self._table[-1, at.SLOT_STOP], np.float32)
        for j, member in enumerate(self.members):
            old, new = (
                self._vectors(old_table[j], old_params, old_slots),
                self._vectors(self._table[j], self._params, self._slots),
            )
            for source, target in zip(old, new, strict=True):
                narrow, wide = split(source, member, before, had), split(target, member, after, outputs)
                carry_over(narrow, wide, had, outputs, linear=member.hidden == 0)
        self._resize_past(before, after)

    @staticmethod
    def _vectors(row: Array, params: Array, slots: Array) -> list[Array]:
        """Return a member's parameters and what its optimiser keeps of each, as views."""
        count = row[at.STOP] - row[at.START]
        starts = range(row[at.SLOT_START], row[at.SLOT_STOP], max(count, 1))
        return [params[row[at.START] : row[at.STOP]], *(slots[start : start + count] for start in starts)]

    def _resize_past(self, before: Shape, after: Shape) -> None:
        """Make room in what was learned for what is new; the rest of the ring is 0 still."""
        n = min(self._learned, _CAPACITY)
        columns, values = (
            np.zeros((_CAPACITY, after.entries), np.int32),
            np.zeros((_CAPACITY, after.entries), np.float32),
        )
        if before.lags == after.lags:
            values[:n, : before.lags] = self._past_values[:n, : before.lags]
        own = self._past_values[:n, before.lags :]
        values[:n, after.lags : after.lags + before.columns] = own[:, : before.columns]
        bins = after.lags + after.columns
        values[:n, bins : bins + 2 * before.numbers] = own[:, before.columns :]
        columns[:n] = shifted(self._past_columns[:n], before, after)
        self._past_columns, self._past_values = columns, values

    def state(self) -> dict[str, Array]:
        """Return the arrays that, with members and seed, are everything there is to know; not copies."""
        basis = {f"basis.{name}": array for name, array in self._basis.state().items()}
        return basis | {
            "params": self._params,
            "slots": self._slots,
            "powers": self._powers,
            "mixture": self._state,
            "mixing": self._mixing,
            "past_columns": self._past_columns,
            "past_values": self._past_values,
            "past_targets": self._past_targets,
            "rebirths": self.rebirths,
            "born": self._born,
            "watch": self._watch.numbers,
            "learned": np.array([self._learned]),
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `state` gave, into an ensemble of the same shape.

        Raises:
            SpecError: an array has another shape or dtype; the message names it.
        """
        check_like(self.state(), arrays)
        self._basis.restore(
            {name.removeprefix("basis."): array for name, array in arrays.items() if name.startswith("basis.")}
        )
        self._params, self._slots = arrays["params"].copy(), arrays["slots"].copy()
        self._powers, self._state = arrays["powers"].copy(), arrays["mixture"].copy()
        self._mixing, self.rebirths = arrays["mixing"].copy(), arrays["rebirths"].copy()
        self._past_columns, self._past_values = arrays["past_columns"].copy(), arrays["past_values"].copy()
        self._past_targets = arrays["past_targets"].copy()
        self._born[:], self._watch.numbers[:] = arrays["born"], arrays["watch"]
        self._table[:, at.BORN] = self._born
        self._learned = int(arrays["learned"][0])
