"""How the networks of a learner are: rates, lengths of weights and gradients, and ReLU units that say nothing.

Nothing here is part of any state, and nothing that is learned depends on it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.ensemble import Ensemble
from nnstream.learners import Learner, SingleNetwork
from nnstream.members import Parts

Array = npt.NDArray[Any]
ROWS = 64  # newest learned samples in which a unit that never says anything counts as dead
GRADIENTS = 8  # newest learned samples whose gradients are measured
SINGLE = "network"  # title of the one network where there is no ensemble


@dataclass(frozen=True)
class Health:
    """How one network is.

    Attributes:
        title: its name for people and metrics.
        rate: learning rate before any schedule; NaN where its optimiser has none.
        weight_norm: Euclidean length of all weights and biases.
        gradient_norm: mean length of the gradients of the newest learned samples; NaN before the first.
        dead: share of the hidden ReLU units that were 0 in all of the newest learned samples; NaN where there are
            none, or nothing was learned.
    """

    title: str
    rate: float
    weight_norm: float
    gradient_norm: float
    dead: float


def health(learner: Learner) -> list[Health]:
    """Return how each network of a learner is; empty for a learner of another kind."""
    if isinstance(learner, Ensemble):
        return _of_members(learner)
    return [_of_network(learner)] if isinstance(learner, SingleNetwork) else []


def _of_members(ensemble: Ensemble) -> list[Health]:
    rows, gradients = ensemble.newest(ROWS), ensemble.gradient_norms(GRADIENTS)
    found = []
    for j, (member, rate, first_column, parts) in enumerate(ensemble.networks()):
        dead = float("nan")
        if member.hidden and len(rows):
            columns, values = ensemble.entries_of(j, rows)
            weights = np.concatenate([parts.lags, parts.columns, parts.bins])
            before = parts.hidden_bias + np.einsum("re,reh->rh", values, weights[columns - first_column])
            dead = _dead(before)
        found.append(Health(member.title, rate, _length(parts), float(gradients[j]), dead))
    return found


def _of_network(learner: SingleNetwork) -> Health:
    network, (rows, targets) = learner.network, learner.newest(ROWS)
    gradient = dead = float("nan")
    if len(rows):
        pairs = zip(rows[-GRADIENTS:, None], targets[-GRADIENTS:, None], strict=True)
        gradient = float(np.mean([network.gradient_norm(x, y) for x, y in pairs]))
        if network.spec.activation == "relu" and len(network.layers()) > 1:
            dead = _dead(np.concatenate(_hidden(network.layers(), rows), axis=1))
    numbers = network.spec.optimizer.numbers()
    return Health(SINGLE, numbers.learning_rate, float(np.linalg.norm(network.params)), gradient, dead)


def _hidden(layers: list[tuple[Array, Array]], rows: Array) -> list[Array]:
    """Return what each hidden layer of ReLU units is given, float32 (n, units) each."""
    found = []
    for weights, biases in layers[:-1]:
        found.append(rows @ weights + biases)
        rows = np.maximum(found[-1], 0)
    return found


def _dead(before: Array) -> float:
    return float((before.max(axis=0) <= 0).mean())


def _length(parts: Parts) -> float:
    return float(np.sqrt(sum(np.square(part, dtype=np.float64).sum() for part in parts)))
