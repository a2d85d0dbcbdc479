"""Prequential evaluation (predict, then learn; Gama et al. 2013): a score beside the baselines that need no model.

Accuracy says nothing alone: on a stream whose labels come in runs, repeating the last label may score 85 %. So
every score stands beside `no_change` (the last label) and `majority` (the most frequent class so far), or `mean`
(the mean of the labels so far) for a regression.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import eq
from typing import Any

import numpy as np
import numpy.typing as npt

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
        size = len(self._ring)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            self._ring[(self.count + np.arange(len(part))) % size] = part
            self._count += len(part)
        # one by one: the sum must not depend on where a block was cut
        self._sums = np.add.accumulate(np.concatenate([self._sums[None], rows]))[-1].copy()

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
        self._counts: Counter[Label] = Counter()
        self._last: Label | None = None
        self._total = 0.0

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
        known = [i for i, label in enumerate(labels) if label is not None]
        answers, said = [labels[i] for i in known], [predictions[i] for i in known]
        added = np.empty((len(known), 4))
        if self.task == "classification":
            self._score_classes(answers, said, added)
        else:
            for row, label, prediction in zip(added, answers, said, strict=True):
                row[:3] = self._score_number(label, prediction)
        lost = np.array(list(losses), np.float64)[known]
        added[:, 3] = np.where(np.isnan(lost), 0.0, lost)
        self._window.add(added)
        return added

    def _score_classes(self, labels: Sequence[Any], predictions: Sequence[Label | None], added: Array) -> None:
        added[:, 0] = list(map(eq, predictions, labels))
        added[:, 1] = list(map(eq, [self._last, *labels[:-1]], labels))
        added[:, 2] = list(map(eq, self._majorities(labels), labels))
        self._last = labels[-1] if labels else self._last

    def _majorities(self, labels: Sequence[Label]) -> list[Label | None]:
        """Return the most frequent class before each label; of several the one that came first. Count the labels."""
        counts = self._counts
        ages = {label: age for age, label in enumerate(counts)}
        leader: Label | None = max(counts, key=counts.__getitem__, default=None)
        most, out = counts[leader] if counts else 0, []
        for label in labels:
            out.append(leader)
            counts[label] = count = counts.get(label, 0) + 1
            age = ages.setdefault(label, len(ages))
            if count > most or (count == most and age < ages[leader]):
                leader, most = label, count
        return out

    def _score_number(self, label: Label, prediction: Label | None) -> tuple[float, float, float]:
        number = float(label)
        guess = 0.0 if prediction is None else float(prediction)
        last = 0.0 if self._last is None else self._last
        mean = self._total / self._counts[None] if self._counts else 0.0
        self._total += number
        self._counts[None] += 1
        self._last = number
        return abs(guess - number), abs(last - number), abs(mean - number)

    def summary(self, *, rolling: bool = False) -> dict[str, Any]:
        """Return `n`, the score by its name, `loss`, and `baselines`; over everything or over the window."""
        score, no_change, other, loss = self._window.rolling() if rolling else self._window.mean()
        name, first, second = self.names
        return {
            "n": self.count,
            name: score,
            "loss": loss,
            "baselines": {first: no_change, second: other},
        }

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        return {"last": self._last, "total": self._total, "counts": list(self._counts.items())}

    def state(self) -> dict[str, Array]:
        """Return the arrays of the window; not copies."""
        return self._window.state()

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Take over what `describe` and `state` gave."""
        self._last, self._total = description["last"], description["total"]
        self._counts = Counter(dict(description["counts"]))
        self._window.restore(arrays)
