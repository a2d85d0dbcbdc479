"""A model: encoder, labels and learner as one thing with one state, fed with events in log order.

Predicting changes nothing at all. Learning an event takes it as it was predicted (with the means, spreads, columns
and classes of that moment), then everything moves by it. So an event can be predicted now and learned later, when its
label is known, and to do both at once is nothing special.

A labelled event with a feature, a category or a class that was never learned ends a segment: it is predicted without
what is new, then the model grows, then it is learned. A block cut anywhere gives the same bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nnstream.bank import Bank
from nnstream.block import Block, factors
from nnstream.encoder import Encoded, Encoder, Row
from nnstream.ensemble import Ensemble
from nnstream.errors import FeatureError, SpecError
from nnstream.explain import STEPS, Explanation, Method, Request, explain_block, learn_and_explain
from nnstream.labels import NEW, Classes, Label, TargetScale, check_class, check_number
from nnstream.learners import Learner, SingleNetwork
from nnstream.losses import CLASS_LOSSES, LARGEST_LOG_LOSS, Loss, residual_loss, value
from nnstream.network import Network
from nnstream.outcome import Outcome, Segment, as_index
from nnstream.responses import ResponseSpec, predictor, responsive
from nnstream.schema import FeatureSpec, Table
from nnstream.spec import NetworkSpec

Array = npt.NDArray[Any]
Task = Literal["classification", "regression"]
_LABELLED = np.ones(1, np.bool_)
_UNLABELLED = np.zeros(1, np.bool_)
_NO_NUMBERS = np.zeros((1, 0))


@dataclass(frozen=True)
class ModelSpec:
    """What a model is, before it has seen anything.

    Args:
        task: `classification` (two or more classes) or `regression` (one number).
        learner: `ensemble`, many small networks and nothing to tune, or `network`, the one below.
        network: hidden layers, activation, optimiser and so on; its inputs, outputs and (for classification) loss
            follow the stream. A classification learns by `hinge` or `perceptron` where that is the network's loss.
        classes: known from the start, in this order; further ones are added as they appear.
        features: specs by name, other names ignored; None infers them from the stream.
        memory: events that running means and spreads look back; infinity takes all alike.
        response: what the model does when its loss jumps.
    """

    task: Task = "classification"
    learner: Literal["ensemble", "network"] = "network"
    network: NetworkSpec = field(default_factory=lambda: NetworkSpec(inputs=0))
    classes: tuple[Label, ...] = ()
    features: Mapping[str, FeatureSpec] | None = None
    memory: float = float("inf")
    response: ResponseSpec = field(default_factory=ResponseSpec)

    def __post_init__(self) -> None:
        if self.task == "regression" and self.classes:
            raise SpecError("a regression has no classes; leave them out or choose the task classification")
        for label in self.classes:
            check_class(label)


class Model:
    """A learner of one stream: dicts and labels in, predictions out.

    Example:
        >>> model = Model(ModelSpec())
        >>> outcome = model.predict_then_learn([{"x": 1.0}, {"x": -1.0}], ["up", "down"])
        >>> model.version, sorted(model.classes.known)
        (2, ['down', 'up'])
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.version = 0
        self.is_regression = spec.task == "regression"
        self._wanted_loss = spec.network.loss if spec.learner == "network" else "log"
        self._by_score = self._wanted_loss in ("hinge", "perceptron")
        self.encoder = Encoder(spec.features, memory=spec.memory)
        self.classes = Classes(spec.classes)
        self.scale = TargetScale(spec.memory)
        self.learner = responsive(self._new_learner, spec.response, regression=self.is_regression)
        self._explain: Request | None = None  # of the events that are being learned
        self._bank: Bank | None = None
        if isinstance(self.learner, SingleNetwork):
            self._bank = self.learner.network._bank  # noqa: SLF001  # one event goes past a block's checks
        self._y = np.zeros((1, 1), np.float32)  # the target of one event

    def _new_learner(self) -> Learner:
        if self.spec.learner == "network":
            return SingleNetwork(Network(self.spec.network.resized(self.encoder.width, *self.output_shape)))
        watchful = self.spec.response.policy in ("auto", "background")
        ensemble = Ensemble(regression=self.is_regression, seed=self.spec.network.seed, watchful=watchful)
        ensemble.resize(self.encoder.width, len(self.encoder.number_columns), *self.output_shape)
        return ensemble

    def member_weights(self) -> dict[str, float]:
        """Return the share of each network in the mixture, by its title; empty where one network learns alone.

        In a regression, `no-change` (repeating the last label) has a share too.
        """
        learner = predictor(self.learner)
        if not isinstance(learner, Ensemble):
            return {}
        titles = [member.title for member in learner.members]
        shares = dict(zip(titles, learner.weights.tolist(), strict=True))
        return shares | {"no-change": 1 - sum(shares.values())} if self.is_regression else shares

    def fit_learner(self) -> None:
        """Widen the learner to what the encoder and the classes have become."""
        self.learner.resize(self.encoder.width, len(self.encoder.number_columns), *self.output_shape)

    @property
    def output_shape(self) -> tuple[int, str]:
        """Return how many outputs the stream so far needs, and the loss that goes with them."""
        if self.spec.task == "classification":
            return self.classes.outputs, self.classes.loss_like(self._wanted_loss)
        loss = self.spec.network.loss
        return 1, "squared" if loss in CLASS_LOSSES else loss

    def check_label(self, label: Label) -> None:
        """Raise a LabelError unless `label` (not None) fits the task."""
        if self.spec.task == "classification":
            check_class(label)
        else:
            check_number(label)

    def predict_then_learn(
        self,
        rows: Sequence[Row],
        labels: Sequence[Label | None],
        explain: Request | None = None,
        weights: Sequence[float] | None = None,
    ) -> Outcome:
        """Predict each event and learn it where it has a label, strictly in order.

        An event whose label comes later is given twice: without the label, and again as it was with the label. That
        is delayed progressive validation (Grzenda et al. 2020); the second prediction is then of no interest.

        Args:
            rows: features of each event.
            labels: its class or number; None where it is not known. They must have passed `check_label`.
            explain: events whose prediction is to be explained, see `Outcome.explanations`; None explains none.
            weights: of each a factor on what its label teaches, finite and at least 0; None is 1.
        """
        self._explain, weight = explain, factors(weights, len(rows))
        before = self.version
        outcome = Outcome([], np.full(len(rows), np.nan), np.zeros(len(rows), np.int64), {})
        known = np.array([label is not None for label in labels], np.bool_)
        targets, start = self._targets(labels), 0
        while start < len(rows):
            stop = start + self._until_new_class(targets[start:])
            for encoded in self.encoder.segments(rows[start:stop], known[start:stop], outcome.refused, start):
                if encoded.is_new:
                    self._meet(encoded, rows, labels, weight, outcome)
                else:
                    at = as_index(encoded.rows)
                    self._walk(encoded, targets[at], known[at], weight[at], outcome)
            if stop < len(rows):  # only asked about here: `_meet` makes room for its class and learns it
                for encoded in self.encoder.segments(rows[stop : stop + 1], _UNLABELLED, outcome.refused, stop):
                    self._meet(encoded, rows, labels, weight, outcome)
                targets[stop:] = self._targets(labels[stop:])
            start = stop + 1
        outcome.learned = self.version - before
        return outcome

    def _walk(self, encoded: Encoded, targets: Array, known: Array, weight: Array, outcome: Outcome) -> None:
        """Predict and learn events that bring nothing new."""
        block = self._block(encoded, known, weight)
        self._fill(block, targets)
        at = as_index(encoded.rows)
        outcome.versions[at] = self.version + np.cumsum(known) - known
        self.version += int(known.sum())
        outputs, found = self._learn(block, encoded.rows, outcome)
        if encoded.is_table and len(encoded.rows) == len(outcome.losses):
            outcome.table = Table(tuple(self.encoder.features), encoded.numbers)
        said, losses = self._said(encoded.rows, block, outputs), found.astype(np.float64)
        if self.is_regression:
            losses = self._residual_loss(said.outputs[:, 0] - block.values)
        elif len(said.classes) == 1:  # what is published is 100 % of the only class there is
            losses = np.zeros(len(known))
        outcome.losses[at] = np.where(known, losses, np.nan)
        outcome.segments.append(said)

    def _meet(
        self, encoded: Encoded, rows: Sequence[Row], labels: Sequence[Label | None], weight: Array, outcome: Outcome
    ) -> None:
        """Predict an event without what is new in it, then make room for that and learn it."""
        (i,) = encoded.rows
        said = self._ask(encoded)
        if self._explain is not None and i in self._explain.rows:
            outcome.explanations[i] = explain_block(self, self._block_now(encoded), rows[i], self._explain.method)
        outcome.segments.append(said)
        outcome.losses[i] = self.loss_of(said, labels[i])
        outcome.versions[i] = self.version
        self.encoder.admit(rows[i])
        if not self.is_regression and self.classes.index(labels[i]) == NEW:
            self.classes.add(labels[i])
        self.fit_learner()
        block = self._block(self.encoder.learn(rows[i]), _LABELLED, weight[i : i + 1])
        self._fill(block, self._targets([labels[i]]))
        self.learner.predict_then_learn(block)
        self.version += 1

    def predict(self, rows: Sequence[Row]) -> Segment:
        """Return the predictions of today's model for `rows`; nothing changes."""
        return self._ask(self.encoder.encode(rows))

    def loss_of(self, said: Segment, label: Label) -> float:
        """Return what a prediction costs, now that its label is known; NaN where nothing was predicted.

        Args:
            said: one prediction.
            label: must have passed `check_label`.
        """
        if self.is_regression:
            return float(self._residual_loss(said.outputs[0, 0] - float(label)))
        if not said.classes:
            return float("nan")
        shares, index = said.outputs[0].astype(np.float64), self.classes.index(label)
        known = 0 <= index < len(said.classes)
        if self._wanted_loss == "perceptron":  # it decided, and did not say by how much
            return float(not known or shares[index] == 0)
        if not known:  # of hinge: as a score of 0 against all rivals
            return 1.0 if self._by_score else LARGEST_LOG_LOSS
        if len(said.classes) == 1:
            return 0.0
        scores = np.log(np.maximum(shares, np.exp(-LARGEST_LOG_LOSS)))  # up to a constant, which no loss sees
        return value(Loss.HINGE if self._by_score else Loss.CROSS_ENTROPY, scores, np.array([float(index)]))

    def explain_one(
        self, row: Row, method: Method = "integrated_gradients", label: Label | None = None, steps: int = STEPS
    ) -> Explanation:
        """Return what today's prediction for `row` owes to each of its features; see `nnstream.explain`.

        Args:
            row: features of the event.
            method: `integrated_gradients` or `gradient_x_input`.
            label: the class to explain; None takes the most probable one.
            steps: in which the integral is taken; the contributions add up for any number of them.

        Raises:
            FeatureError: the row cannot be encoded.
            LabelError: the model has not met this class.
            SpecError: there is no such method.
        """
        return explain_block(self, self.block_of(row), row, method, label, steps)

    def block_of(self, row: Row) -> Block:
        """Return the block of one event without a label, encoded by what is known now; nothing changes.

        Raises:
            FeatureError: the row cannot be encoded.
        """
        x = None if self._bank is None else self.encoder.encode_one(row, learn=False)
        if x is not None:  # a single network looks at nothing else
            return self._block_now(Encoded([0], x, _NO_NUMBERS))
        self.encoder.check(row)
        return self._block_now(self.encoder.encode([row]))

    # -- one event at a time: the same bits as a block of one, without a block's overhead

    def predict_one(self, row: Row) -> list[float]:
        """Return what `predict` gives for one event: the probability of each class, or the number.

        Raises:
            FeatureError: the row cannot be encoded.
        """
        x = None if self._bank is None else self.encoder.encode_one(row, learn=False)
        if x is None or self._bank is None:
            self.encoder.check(row)
            outputs: list[float] = self.predict([row]).outputs[0].tolist()
            return outputs
        scores = self._bank.step_one(x, self._y, _UNLABELLED)[0]
        if self.is_regression:
            return [self.scale.centre + scores.item() * self.scale.spread]
        if len(self.classes.known) == 2 and self._wanted_loss != "hinge":  # noqa: PLR2004
            p: float = scores.item()
            return [1.0 - p, p] if not self._by_score else [float(p < 0), float(p > 0)]
        probabilities: list[float] = self._probabilities(scores)[0].tolist()
        return probabilities

    def learn_one(self, row: Row, label: Label, weight: float = 1.0) -> None:
        """Learn one labelled event, as `predict_then_learn` does.

        Args:
            row: its features.
            label: its class or number.
            weight: a factor on what it teaches, finite and at least 0.

        Raises:
            FeatureError: the row cannot be encoded; nothing has changed.
            LabelError: the label does not fit the task; nothing has changed.
            SpecError: a weight that cannot be; nothing has changed.
        """
        self.check_label(label)
        if self._bank is None:
            for problem in self.predict_then_learn([row], [label], weights=[weight]).refused.values():
                raise FeatureError(problem)
            return
        factor = () if weight == 1.0 else (factors([weight], 1),)
        x = self.encoder.encode_one(row, learn=True)
        if x is None:
            x = self._admit(row)
        if self.is_regression:
            y = self.scale.scale(np.array([label], np.float64), _LABELLED)[2][:, None]
        else:
            y = self._target(label)
        self._bank.step_one(x, y, _LABELLED, *factor)
        self.version += 1

    def _admit(self, row: Row) -> Array:
        """Encode an event that is not just the known numbers, and make room for what it brings."""
        self.encoder.check(row)
        self.encoder.admit(row)
        self.fit_learner()
        return self.encoder.learn(row).X

    def _target(self, label: Label) -> Array:
        index = self.classes.index(label)
        if index == NEW:
            self.classes.add(label)
            self.fit_learner()
            index = self.classes.index(label)
        self._y[0, 0] = index
        return self._y

    # -- between events and the learner

    def _targets(self, labels: Sequence[Label | None]) -> Array:
        """Return (n,): what the labels are to the learner, before the scale of a regression."""
        if self.is_regression:
            return np.array([np.nan if label is None else float(label) for label in labels])
        return self.classes.indices(labels)

    def _until_new_class(self, targets: Array) -> int:
        if self.is_regression:
            return len(targets)
        new = np.flatnonzero(targets == NEW)
        return int(new[0]) if len(new) else len(targets)

    def _block(self, encoded: Encoded, known: Array, weight: Array | None = None) -> Block:
        """Return a block whose labels are still to be filled in."""
        n = len(known)
        y, values = np.zeros((n, 1), np.float32), np.full(n, np.nan)
        columns = self.encoder.number_columns
        weight = np.ones(n, np.float32) if weight is None else weight
        return Block(encoded.X, encoded.numbers, columns, y, known, weight, values, np.zeros(n), np.zeros(n))

    def _fill(self, block: Block, targets: Array) -> None:
        """Write the targets into a block; a regression's scale moves by them."""
        if self.is_regression:
            block.values[:] = targets
            block.centre[:], block.spread[:], block.y[:, 0] = self.scale.scale(block.values, block.known)
        else:
            block.y[:, 0] = np.maximum(targets, 0)

    def _block_now(self, encoded: Encoded) -> Block:
        """Return a block without labels, on the scale of now."""
        block = self._block(encoded, np.zeros(len(encoded.rows), np.bool_))
        if self.is_regression:
            block.centre[:], block.spread[:] = self.scale.centre, self.scale.spread
        return block

    def _learn(self, block: Block, rows: list[int], outcome: Outcome) -> tuple[Array, Array]:
        """Return outputs and losses of a block, predicted and learned in order; explain what was asked for."""
        if self._explain is None:
            return self.learner.predict_then_learn(block)
        return learn_and_explain(self, block, rows, self._explain, outcome.explanations)

    def _ask(self, encoded: Encoded) -> Segment:
        """Return what today's model says; nothing changes."""
        block = self._block_now(encoded)
        return self._said(encoded.rows, block, self.learner.predict(block))

    def _said(self, rows: list[int], block: Block, outputs: Array) -> Segment:
        """Return a learner's outputs as predictions."""
        if not self.is_regression:
            return Segment(rows, self._probabilities(outputs), tuple(self.classes.known))
        values = block.centre + outputs[:, 0].astype(np.float64) * block.spread
        return Segment(rows, values[:, None], ())

    def _probabilities(self, outputs: Array) -> Array:
        """Return float32 (n, classes) from the learner's outputs."""
        return self.classes.probabilities(outputs, self._wanted_loss)

    def _residual_loss(self, residuals: Array) -> Array:
        return residual_loss(Loss.of(self.output_shape[1]), residuals, self.spec.network.loss_shape)
