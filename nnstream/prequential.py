"""Prequential evaluation (predict, then learn; Gama et al. 2013): a score beside the baselines that need no model.

Accuracy says nothing alone: on a stream whose labels come in runs, repeating the last label may score 85 %. So
every score stands beside `no_change` (the last label) and `majority` (the most frequent class so far), or `mean`
(the mean of the labels so far) for a regression. Two numbers say by how much a classifier beats them (1: always
right, 0: no better, below: worse):

    κ_temporal = (p - p_no_change) / (1 - p_no_change)      (Žliobaitė et al. 2015)
    κ_M        = (p - p_majority) / (1 - p_majority)        (Bifet et al. 2015)
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.kernels import tallies
from nnstream.labels import Label
from nnstream.model import Task

Array = npt.NDArray[Any]


class Window:
    """The last `size` numbers and the sum of all, of several series side by side.

    Args:
        series: how many.
        size: how many numbers of each the rolling mean looks back.
    """

    def __init__(self, series: int, size: int) -> None:
        self._ring = np.zeros((size, series))
        self._sums = np.zeros(series)
        self._count = np.zeros(1, np.int64)

    @property
    def count(self) -> int:
        """Return how many rows have been added."""
        return int(self._count[0])

    def add(self, rows: npt.NDArray[np.float64]) -> None:
        """Append rows, float64 (n, series)."""
        tallies.roll(rows, self._ring, self._sums, self._count)

    def mean(self) -> list[float]:
        """Return the mean of each series over everything; NaN before the first row."""
        return [float(x) for x in self._sums / self.count] if self.count else [float("nan")] * len(self._sums)

    def rolling(self) -> list[float]:
        """Return the mean of each series over the last `size` rows; NaN before the first row."""
        if not self.count:
            return [float("nan")] * len(self._sums)
        return [float(x) for x in self._ring[: self.count].mean(axis=0)]

    def state(self) -> dict[str, Array]:
        """Return the arrays; not copies."""
        return {"ring": self._ring, "sums": self._sums, "count": self._count}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `state` gave."""
        self._ring, self._sums, self._count = (arrays[name].copy() for name in ("ring", "sums", "count"))


class Prequential:
    """The running score of a stream of predictions.

    Args:
        task: `classification` scores accuracy, `regression` the mean absolute error.
        window: events that the rolling scores look back.
    """

    def __init__(self, task: Task, window: int = 1000) -> None:
        self.task = task
        self._window = Window(4, window)
        self._classes: dict[Label, int] = {}  # their indices, in the order in which they first came
        self._counts = np.zeros(0, np.int64)
        self._codes = np.full(2, tallies.NOBODY)
        self._sums = np.zeros(3)

    @property
    def count(self) -> int:
        """Return how many labelled predictions were scored."""
        return self._window.count

    @property
    def names(self) -> tuple[str, str, str]:
        """Return the names of the score and of the two baselines."""
        if self.task == "classification":
            return "accuracy", "no_change", "majority"
        return "mae", "no_change", "mean"

    def update(
        self, labels: Sequence[Label | None], predictions: Sequence[Label | None], losses: Iterable[float]
    ) -> npt.NDArray[np.float64]:
        """Score labelled events in order; those without a label are passed over.

        Returns:
            float64 (labelled events, 4): score, no change, majority or mean, loss. A score is 1 / 0 for right /
            wrong, or the absolute error; a loss that is not known counts as 0.
        """
        if None in labels:
            kept = [
                (label, said, loss)
                for label, said, loss in zip(labels, predictions, losses, strict=True)
                if label is not None
            ]
            labels, predictions, losses = zip(*kept, strict=True) if kept else ((), (), ())
        rows = np.zeros((len(labels), 4))
        rows[:, 3] = np.fromiter(losses, np.float64, len(labels))
        rows[np.isnan(rows[:, 3]), 3] = 0.0
        if self.task == "classification":
            self._score_classes(labels, predictions, rows)
        else:
            guesses = np.array([0.0 if said is None else said for said in predictions], np.float64)
            tallies.score_numbers(np.array(labels, np.float64), guesses, self._sums, rows)
        self._window.add(rows)
        return rows

    def _score_classes(self, labels: Sequence[Any], predictions: Sequence[Any], rows: Array) -> None:
        for label in dict.fromkeys(labels):
            self._classes.setdefault(label, len(self._classes))
        fresh = len(self._classes) - len(self._counts)
        self._counts = np.concatenate([self._counts, np.zeros(fresh, np.int64)]) if fresh else self._counts
        true = np.array(list(map(self._classes.__getitem__, labels)), np.int64)
        said = np.array([self._classes.get(each, tallies.NOBODY) for each in predictions], np.int64)
        tallies.score_classes(true, said, self._counts, self._codes, rows)

    def summary(self, *, rolling: bool = False) -> dict[str, Any]:
        """Return `n`, the score by its name, `loss`, and `baselines`; over everything or over the window.

        A classification has `kappa_temporal` and `kappa_m` too, NaN beside a baseline that is always right.
        """
        score, no_change, other, loss = self._window.rolling() if rolling else self._window.mean()
        name, first, second = self.names
        found = {"n": self.count, name: score, "loss": loss, "baselines": {first: no_change, second: other}}
        if self.task == "classification":
            found |= {"kappa_temporal": _kappa(score, no_change), "kappa_m": _kappa(score, other)}
        return found

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        return {
            "classes": list(self._classes),
            "counts": self._counts.tolist(),
            "codes": self._codes.tolist(),
            "sums": self._sums.tolist(),
        }

    def state(self) -> dict[str, Array]:
        """Return the arrays of the window; not copies."""
        return self._window.state()

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Take over what `describe` and `state` gave."""
        self._classes = {label: i for i, label in enumerate(description["classes"])}
        self._counts = np.array(description["counts"], np.int64)
        self._codes, self._sums = np.array(description["codes"], np.int64), np.array(description["sums"], np.float64)
        self._window.restore(arrays)


def _kappa(score: float, baseline: float) -> float:
    """Return by how much an accuracy beats that of a baseline, as a share of what there was to gain."""
    return (score - baseline) / (1 - baseline) if baseline != 1 else float("nan")
