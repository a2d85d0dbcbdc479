"""Why a prediction came out as it did: what it owes to each feature of its event.

Explained is F, the log-odds ln(p / (1 - p)) of one class - for a `hinge` or a perceptron its score -, or the number a
regression predicts. For encoded features x, and the event of which nothing is known as the baseline (all columns 0):

    gradient_x_input      c_i = x_i ∂F/∂x_i (x)                                        Shrikumar et al. 2016
    integrated_gradients  c_i = x_i ∫₀¹ ∂F/∂x_i (α x) dα, so that Σ c_i = F(x) - F(0)  Sundararajan et al. 2017

A feature's contribution is the sum over its columns. How the integral is taken: docs/explanation.md.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from nnstream.block import Block
from nnstream.encoder import Encoder, Row
from nnstream.errors import LabelError, SpecError
from nnstream.labels import Classes, Label
from nnstream.learners import Learner

Array = npt.NDArray[Any]
Method = Literal["integrated_gradients", "gradient_x_input"]
STEPS = 16
_METHODS = get_args(Method)


@dataclass(frozen=True)
class Explanation:
    """What one prediction owes to each feature.

    Attributes:
        method: how it was found.
        label: the class that is explained; None for a regression, and while no two classes are known.
        output: F(x): log-odds of that class (of a `hinge` or perceptron its score), or the predicted number.
        baseline: F of an event of which nothing is known; NaN for `gradient_x_input`, which knows none.
        contributions: what each feature of the event added to the output; they add up to `output` - `baseline`.
    """

    method: Method
    label: Label | None
    output: float
    baseline: float
    contributions: dict[Hashable, float]


class Explainable(Protocol):
    """What of a model it takes to explain it."""

    encoder: Encoder
    classes: Classes
    learner: Learner

    @property
    def is_regression(self) -> bool:
        """Return whether labels are numbers."""


@dataclass(frozen=True)
class Request:
    """Which events of a block to explain, by the model that predicts them.

    Attributes:
        rows: the events by their index in the block.
        method: see `Explanation`.
    """

    rows: Mapping[int, Row]
    method: Method = "integrated_gradients"


def explain_block(
    model: Explainable, block: Block, row: Row, method: Method, label: Label | None = None, steps: int = STEPS
) -> Explanation:
    """Return what a model's prediction owes to each feature of an event; nothing is learned.

    Args:
        model: not changed.
        block: of that one event.
        row: its features; names the model does not know contribute 0.
        method: see the module.
        label: the class to explain; None takes the most probable one.
        steps: in which the integral is taken; the contributions add up for any number of them.

    Raises:
        LabelError: the model has not met this class.
        SpecError: there is no such method.
    """
    if method not in _METHODS or steps < 1:
        known = ", ".join(_METHODS)
        raise SpecError(f"an explanation's method is one of {known}, with 1 step or more, not {method} with {steps}")
    if model.is_regression:
        return _explained(model, block, row, method, None, 1, steps)
    target = -1 if label is None else model.classes.index(label)
    if label is not None and target < 0:
        raise LabelError(f"label: {label!r} is no class of this model; it has met {model.classes.known}")
    if len(model.classes.known) < 2:  # noqa: PLR2004  # certain of the only class there is, whatever the event
        return Explanation(method, None, 0.0, 0.0, dict.fromkeys(row, 0.0))
    return _explained(model, block, row, method, label, target, steps)


def _explained(
    model: Explainable, block: Block, row: Row, method: Method, label: Label | None, target: int, steps: int
) -> Explanation:
    found = model.learner.explain(block, target, 0 if method == "gradient_x_input" else steps)
    by_feature, output, baseline = _by_feature(model, found.contributions), found.output, found.baseline
    if model.is_regression:
        centre, spread = float(block.centre[0]), float(block.spread[0])
        by_feature, output, baseline = by_feature * spread, centre + output * spread, centre + baseline * spread
    elif label is None:
        label = model.classes.known[found.target]
    named: dict[Hashable, float] = dict(zip(model.encoder.features, by_feature.tolist(), strict=True))
    if named.keys() != row.keys():
        named = {name: named.get(name, 0.0) for name in row}
    return Explanation(method, label, output, baseline, named)


def _by_feature(model: Explainable, contributions: Array) -> npt.NDArray[np.float64]:
    """Return float64 (features,): the sums over each feature's columns, in the order of the columns."""
    sums: Any = np.bincount(model.encoder.column_owners, contributions, len(model.encoder.features))
    return np.asarray(sums, np.float64)


def learn_and_explain(
    model: Explainable, block: Block, rows: list[int], request: Request, explanations: dict[int, Explanation]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Do what `Learner.predict_then_learn` does, and explain some events by the model that predicts them.

    A block may be cut anywhere, so it is cut before each event to explain.

    Args:
        model: its learner learns the block.
        block: of events in log order.
        rows: index of each in the block it came from.
        request: which of them to explain.
        explanations: of other events of that block; those of these ones are added.
    """
    parts, start = [], 0
    for position, row in enumerate(rows):
        if row in request.rows:
            if position > start:
                parts.append(model.learner.predict_then_learn(block[start:position]))
            event = block[position : position + 1]
            explanations[row] = explain_block(model, event, request.rows[row], request.method)
            start = position
    parts.append(model.learner.predict_then_learn(block[start:]))
    outputs, losses = zip(*parts, strict=True)
    return np.concatenate(outputs), np.concatenate(losses)


def sampled(offsets: npt.NDArray[np.int64], share: float, seed: int = 0, stream: int = 0) -> npt.NDArray[np.bool_]:
    """Return which events belong to a random share of all, by their places in the log alone.

    Args:
        offsets: int64 (n,), of the events.
        share: of them, within [0, 1].
        seed: with another one others are chosen.
        stream: so are those of another stream (a partition).
    """
    z = offsets.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed % 2**64)
    z ^= np.uint64(stream * 0xD1B54A32D192ED03 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64, Steele et al. 2014
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    uniform = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform < share
