"""Stage 6: how good the model is, beside its baselines, and whether the world has moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from river import drift

from nnstream.model import Task
from nnstream.prequential import Prequential


@dataclass(frozen=True)
class Drift:
    """A change of the mean error.

    Attributes:
        index: of the event in the batch at which it was noticed.
        before: mean error before.
        after: mean error since.
    """

    index: int
    before: float
    after: float


class Monitor:
    """The score of one partition's predictions, and a drift detector on their errors.

    Args:
        task: of the model.
        window: events that rolling scores look back.
        drift_delta: ADWIN's confidence (Bifet & Gavaldà 2007).
    """

    detector = "adwin"
    signal = "error"

    def __init__(self, task: Task, window: int, drift_delta: float) -> None:
        self.score = Prequential(task, window)
        self.drifts = 0
        self._task = task
        self._adwin = drift.ADWIN(delta=drift_delta)

    def observe(self, labels: Sequence[Any], predictions: Sequence[Any], losses: Sequence[float]) -> list[Drift]:
        """Take in a batch in log order; return the changes for the worse that were noticed.

        An error that falls is the model learning, and raises no alert.
        """
        scored = self.score.update(labels, predictions, losses)
        errors = 1.0 - scored[:, 0] if self._task == "classification" else scored[:, 0]
        labelled = [i for i, label in enumerate(labels) if label is not None]
        found = []
        for index, error in zip(labelled, errors.tolist(), strict=True):
            before = self._adwin.estimation
            self._adwin.update(error)
            if self._adwin.drift_detected and self._adwin.estimation > before:
                found.append(Drift(index, before, self._adwin.estimation))
        self.drifts += len(found)
        return found

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        return {"score": self.score.describe(), "drifts": self.drifts}

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of the rolling scores; the detector begins anew after a restart."""
        return self.score.state()

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `describe` and `state` gave."""
        self.score.restore(description["score"], arrays)
        self.drifts = description["drifts"]
