"""Stage 6: how good the model is, beside its baselines, and whether the world has moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.drift.plain import from_plain, to_plain
from nnstream.model import Task
from nnstream.prequential import Prequential

_LARGEST = 9.2  # -ln 0.0001: one surprise must not look like a new world


@dataclass(frozen=True)
class Drift:
    """A change of the mean loss.

    Attributes:
        index: of the event in the batch at which it was noticed.
        before: mean before.
        after: mean since.
    """

    index: int
    before: float
    after: float


class Monitor:
    """The score of one partition's predictions, and a drift detector on their loss.

    The loss shows a change earlier than the error does: a model that adapts within fifty events makes few mistakes,
    but each of them surprises it. A regression's loss is its absolute error as a multiple of the mean so far.

    Args:
        task: of the model.
        window: events that rolling scores look back.
        drift_delta: ADWIN's confidence (Bifet & Gavaldà 2007).
    """

    detector = "adwin"
    signal = "loss"

    def __init__(self, task: Task, window: int, drift_delta: float) -> None:
        self.score = Prequential(task, window)
        self.drifts = 0
        self._task = task
        from river.drift import ADWIN  # noqa: PLC0415  # most of a second, which the demo itself need not wait

        self._adwin = ADWIN(delta=drift_delta)
        self._total, self._count = 0.0, 0  # absolute errors of a regression

    def observe(self, labels: Sequence[Any], predictions: Sequence[Any], losses: Sequence[float]) -> list[Drift]:
        """Take in a batch in log order; return the changes for the worse that were noticed.

        A loss that falls is the model learning, and raises no alert.
        """
        scored = self.score.update(labels, predictions, losses)
        labelled = [i for i, label in enumerate(labels) if label is not None]
        found = []
        for index, loss in zip(labelled, self._signal(scored).tolist(), strict=True):
            before = self._adwin.estimation
            self._adwin.update(loss)
            if self._adwin.drift_detected and self._adwin.estimation > before:
                found.append(Drift(index, before, self._adwin.estimation))
        self.drifts += len(found)
        return found

    def _signal(self, scored: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the detector's input, float64 (n,), from the rows that the score made of a batch."""
        if self._task == "classification":
            return np.minimum(scored[:, 3], _LARGEST)
        # Row by row: the mean so far must not depend on where a batch was cut.
        totals = np.cumsum(np.concatenate([[self._total], scored[:, 0]]))[1:]
        counts = self._count + np.arange(1, len(scored) + 1)
        if len(scored):
            self._total, self._count = float(totals[-1]), int(counts[-1])
        return np.minimum(scored[:, 0] / np.maximum(totals / counts, 1e-300), _LARGEST)

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        errors = {"total": self._total, "count": self._count}
        return {
            "score": self.score.describe(),
            "drifts": self.drifts,
            "errors": errors,
            "detector": to_plain(self._adwin),
        }

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of the rolling scores; the rest is in `describe`."""
        return self.score.state()

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `describe` and `state` gave."""
        self.score.restore(description["score"], arrays)
        self.drifts = description["drifts"]
        self._adwin = from_plain(description["detector"])
        self._total, self._count = description["errors"]["total"], description["errors"]["count"]
