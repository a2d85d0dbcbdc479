"""Scores over the last events and over the last minutes: sums in buckets, so a window costs the same at any speed.

Each bucket holds sums that add up, so a window is the sum of its buckets: it slides by a twentieth of its length. The
area under the ROC curve and the calibration error come from histograms: of 100 and of 15 bins.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.kernels import tallies
from nnstream.labels import Label
from nnstream.model import Task

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float64]
BUCKETS = 20
_LEAST_CHANCE = 1e-4  # one surprise must not look like a new world


class Buckets:
    """Sums of the newest `BUCKETS` stretches of something that grows, such as time.

    Args:
        sums: how many numbers are summed.
    """

    def __init__(self, sums: int) -> None:
        self._sums = np.zeros((BUCKETS, sums))
        self._stretch = np.full(BUCKETS, -1, np.int64)  # which one each bucket holds

    @property
    def arrays(self) -> tuple[npt.NDArray[np.int64], Vector]:
        """Return the stretch of each bucket, int64 (buckets,), and its sums, float64 (buckets, sums); not copies."""
        return self._stretch, self._sums

    def total(self) -> Vector:
        """Return the sums over the window, float64 (sums,)."""
        newest = self._stretch.max()
        return np.asarray(self._sums[self._stretch > newest - BUCKETS].sum(axis=0))

    def state(self) -> dict[str, Array]:
        """Return the arrays; not copies."""
        return {"sums": self._sums, "stretch": self._stretch}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `state` gave."""
        self._sums, self._stretch = arrays["sums"].copy(), arrays["stretch"].copy()


class Quality:
    """The scores of published predictions over the last events, and over the last minutes of the log.

    Args:
        task: of the model.
        window: labelled events that count.
        seconds: of the log's own time that count.
    """

    def __init__(self, task: Task, window: int, seconds: float) -> None:
        self._is_class = task == "classification"
        sums = tallies.CLASS_SUMS if self._is_class else tallies.NUMBER_SUMS
        self._windows = {"events": Buckets(sums), "time": Buckets(sums)}
        self._events_each, self._ms_each = max(1, window // BUCKETS), max(1, int(seconds * 1000 / BUCKETS))
        self._count = 0
        self._classes: list[Label] = []
        self._index: dict[type, dict[Label, int]] = {}

    def update(
        self, labels: Sequence[Any], predictions: Sequence[Any], chances: Array, timestamps_ms: Sequence[int]
    ) -> None:
        """Take in labelled predictions in log order; those without a prediction are passed over.

        Args:
            labels: what was true.
            predictions: what was published.
            chances: float64 (n, 2), a classification's probability of the true class and of the predicted one.
            timestamps_ms: when the label became known.
        """
        if None in predictions:
            kept = [i for i, said in enumerate(predictions) if said is not None]
            labels, predictions = [labels[i] for i in kept], [predictions[i] for i in kept]
            chances, timestamps_ms = chances[kept], [timestamps_ms[i] for i in kept]
        events = (self._count + np.arange(len(labels), dtype=np.int64)) // self._events_each
        times = np.maximum(0, np.array(timestamps_ms, np.int64)) // self._ms_each
        self._count += len(labels)
        true, said = self._places(labels), self._places(predictions)
        for name, stretches in (("events", events), ("time", times)):
            buckets = self._windows[name].arrays
            if self._is_class:
                surprises = -np.log(np.maximum(chances[:, 0], _LEAST_CHANCE))
                tallies.tally_classes(stretches, true, said, np.ascontiguousarray(chances), surprises, *buckets)
            else:
                tallies.tally_numbers(stretches, true, said, *buckets)

    def _places(self, labels: Sequence[Label]) -> Array:
        """Return the index of each class, or the numbers themselves."""
        if not self._is_class:
            return np.array(labels, np.float64)
        kinds = set(map(type, labels))
        if len(kinds) == 1:
            index = self._index.get(kinds.pop(), {})
            found = list(map(index.get, labels))
            if None not in found:
                return np.array(found, np.int64)
        return np.array([self._place(label) for label in labels], np.int64)

    def _place(self, label: Label) -> int:
        index = self._index.setdefault(type(label), {})
        if label not in index:
            index[label] = min(len(self._classes), tallies.CLASSES - 1)
            self._classes.append(label)
        return index[label]

    def scores(self, window: str) -> dict[str, float]:
        """Return the scores over the window `events` or `time`, by name; empty before the first prediction."""
        total = self._windows[window].total()
        if not total[tallies.N]:
            return {}
        return self._class_scores(total) if self._is_class else _number_scores(total)

    def _class_scores(self, total: Vector) -> dict[str, float]:
        n = total[tallies.N]
        actual, predicted, hits = total[tallies.BY_CLASS : tallies.BY_BIN].reshape(-1, 3).T
        bins, steps = total[tallies.BY_BIN : tallies.BY_STEP].reshape(-1, 3), total[tallies.BY_STEP :].reshape(-1, 2)
        seen = actual + predicted > 0
        found = {
            "accuracy": total[tallies.RIGHT] / n,
            "log_loss": total[tallies.LOG_LOSS] / n,
            "f1": float((2 * hits[seen] / (actual + predicted)[seen]).mean()),
            "calibration_error": float(np.abs(bins[:, 1] - bins[:, 2]).sum() / n),
        }
        negatives, positives = steps.T
        if len(self._classes) == 2 and negatives.sum() and positives.sum():  # noqa: PLR2004
            below = np.cumsum(negatives) - negatives / 2  # half of those in the same bin
            found["roc_auc"] = float((positives * below).sum() / (negatives.sum() * positives.sum()))
        return {name: float(value) for name, value in found.items()}

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        return {"count": self._count, "classes": self._classes}

    def state(self) -> dict[str, Array]:
        """Return the arrays; not copies."""
        return {f"{name}.{key}": array for name, each in self._windows.items() for key, array in each.state().items()}

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Take over what `describe` and `state` gave."""
        self._count, self._classes = description["count"], []
        self._index.clear()
        for label in description["classes"]:
            self._place(label)
        for name, each in self._windows.items():
            each.restore({key: arrays[f"{name}.{key}"] for key in each.state()})


def _number_scores(total: Vector) -> dict[str, float]:
    n, mean = total[tallies.N], total[tallies.LABEL] / total[tallies.N]
    variance = total[tallies.LABEL_SQUARE] / n - mean * mean
    square = total[tallies.SQUARE] / n
    found = {"mae": float(total[tallies.ERROR] / n), "rmse": float(np.sqrt(square))}
    if variance > 1e-12 * max(1e-300, mean * mean):  # what rounding leaves of a constant
        found["r2"] = float(1 - square / variance)
    return found
