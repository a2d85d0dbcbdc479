"""Scores over the last events and over the last minutes: sums in buckets, so a window costs the same at any speed.

Each bucket holds sums that add up, so a window is the sum of its buckets: it slides by a twentieth of its length. The
area under the ROC curve and the calibration error come from histograms: of 100 and of 15 bins.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.labels import Label
from nnstream.model import Task

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float64]
BUCKETS = 20
_CLASSES = 32  # later ones count as one
_BINS, _STEPS = 15, 100
_LEAST_CHANCE = 1e-4  # one surprise must not look like a new world
# where a bucket's sums lie: events, right, log loss, and then tables
_N, _RIGHT, _LOG_LOSS, _TABLES = 0, 1, 2, 3
_ERROR, _SQUARE, _LABEL, _LABEL_SQUARE = 1, 2, 3, 4


class Buckets:
    """Sums of the newest `BUCKETS` stretches of something that grows, such as time.

    Args:
        sums: how many numbers are summed.
    """

    def __init__(self, sums: int) -> None:
        self._sums = np.zeros((BUCKETS, sums))
        self._stretch = np.full(BUCKETS, -1, np.int64)  # which one each bucket holds

    def add(self, stretches: npt.NDArray[np.int64], places: npt.NDArray[np.int64], values: Vector) -> None:
        """Add rows in order; a row too old for the window is left out.

        Args:
            stretches: int64 (n,), at least 0, of each row.
            places: int64 (n, k), where its values belong.
            values: float64 (n, k).
        """
        for stretch in np.unique(stretches).tolist():
            bucket = stretch % BUCKETS
            if self._stretch[bucket] > stretch:
                continue
            if self._stretch[bucket] < stretch:
                self._stretch[bucket], self._sums[bucket] = stretch, 0.0
            rows = stretches == stretch
            np.add.at(self._sums[bucket], places[rows], values[rows])  # one by one: for any cut the same bits

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
        sums = _TABLES + 3 * _CLASSES + 3 * _BINS + 2 * _STEPS if self._is_class else 5
        self._windows = {"events": Buckets(sums), "time": Buckets(sums)}
        self._events_each, self._ms_each = max(1, window // BUCKETS), max(1, int(seconds * 1000 / BUCKETS))
        self._count = 0
        self._classes: list[Label] = []
        self._index: dict[tuple[type, Label], int] = {}

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
        kept = [i for i, said in enumerate(predictions) if said is not None]
        if not kept:
            return
        labels, predictions = [labels[i] for i in kept], [predictions[i] for i in kept]
        events = (self._count + np.arange(len(kept))) // self._events_each
        self._count += len(kept)
        times = np.maximum(0, np.array([timestamps_ms[i] for i in kept], np.int64)) // self._ms_each
        places, values = (
            self._classified(labels, predictions, chances[kept]) if self._is_class else _measured(labels, predictions)
        )
        self._windows["events"].add(events.astype(np.int64), places, values)
        self._windows["time"].add(times, places, values)

    def _classified(
        self, labels: Sequence[Label], predictions: Sequence[Label], chances: Vector
    ) -> tuple[npt.NDArray[np.int64], Vector]:
        true, said = self._places(labels), self._places(predictions)
        n, right = len(true), (true == said).astype(np.float64)
        by_class, bins, steps = _TABLES, _TABLES + 3 * _CLASSES, _TABLES + 3 * _CLASSES + 3 * _BINS
        sure = np.clip(chances[:, 1], 0, 1)
        bin_of = bins + 3 * np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
        first = np.where(true == 0, 1 - chances[:, 0], chances[:, 0])  # probability of the class met second
        step_of = steps + 2 * np.minimum((np.clip(first, 0, 1) * _STEPS).astype(np.int64), _STEPS - 1) + (true == 1)
        places = np.stack(
            [np.full(n, _N), np.full(n, _RIGHT), np.full(n, _LOG_LOSS), by_class + 3 * true, by_class + 3 * said + 1,
             by_class + 3 * true + 2, bin_of, bin_of + 1, bin_of + 2, step_of], axis=1,
        )  # fmt: skip
        ones = np.ones(n)
        surprise = -np.log(np.maximum(chances[:, 0], _LEAST_CHANCE))
        return places, np.stack([ones, right, surprise, ones, ones, right, ones, sure, right, ones], axis=1)

    def _places(self, labels: Sequence[Label]) -> npt.NDArray[np.int64]:
        try:
            return np.array([self._index[type(label), label] for label in labels], np.int64)
        except KeyError:
            return np.array([self._place(label) for label in labels], np.int64)

    def _place(self, label: Label) -> int:
        key = (type(label), label)
        if key not in self._index:
            self._index[key] = min(len(self._classes), _CLASSES - 1)
            self._classes.append(label)
        return self._index[key]

    def scores(self, window: str) -> dict[str, float]:
        """Return the scores over the window `events` or `time`, by name; empty before the first prediction."""
        total = self._windows[window].total()
        if not total[_N]:
            return {}
        return self._class_scores(total) if self._is_class else _number_scores(total)

    def _class_scores(self, total: Vector) -> dict[str, float]:
        n = total[_N]
        by_class, rest = np.split(total[_TABLES:], [3 * _CLASSES])
        bins, steps = (
            part.reshape(-1, width) for part, width in zip(np.split(rest, [3 * _BINS]), (3, 2), strict=True)
        )
        actual, predicted, hits = by_class.reshape(-1, 3).T
        seen = actual + predicted > 0
        found = {
            "accuracy": total[_RIGHT] / n,
            "log_loss": total[_LOG_LOSS] / n,
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


def _measured(labels: Sequence[Any], predictions: Sequence[Any]) -> tuple[npt.NDArray[np.int64], Vector]:
    true, said = np.array(labels, np.float64), np.array(predictions, np.float64)
    away = said - true
    values = np.stack([np.ones(len(true)), np.abs(away), away * away, true, true * true], axis=1)
    return np.broadcast_to(np.arange(5), values.shape), values


def _number_scores(total: Vector) -> dict[str, float]:
    n, mean = total[_N], total[_LABEL] / total[_N]
    variance = total[_LABEL_SQUARE] / n - mean * mean
    square = total[_SQUARE] / n
    found = {"mae": float(total[_ERROR] / n), "rmse": float(np.sqrt(square))}
    if variance > 1e-12 * max(1e-300, mean * mean):  # what rounding leaves of a constant
        found["r2"] = float(1 - square / variance)
    return found
