"""What was published lately, for people to look at; a `service.watch.Watcher`, so no stage knows of it."""

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nnstream.model import Task
from nnstream.schema import category_text
from service.events import DEAD_LETTER_HEADER
from service.records import Outgoing
from service.settings import TopicSettings

_PREDICTIONS, _EXPLAINED, _LETTERS, _ALERTS = 12, 4, 12, 100
_RESIDUALS = 400
_CLASSES = 10
_OTHERS = "others"


_decode = msgspec.json.decode


class Outcomes:
    """Label and prediction of the last events: a confusion matrix, or the points of a residual plot.

    Args:
        task: of the model.
        window: events that a confusion matrix looks back.
    """

    def __init__(self, task: Task, window: int) -> None:
        self._task = task
        self._pairs: deque[tuple[Any, Any]] = deque()
        self._counts: Counter[tuple[Any, Any]] = Counter()
        self._window = window if task == "classification" else _RESIDUALS

    def add(self, label: Any, prediction: Any) -> None:
        """Note a prediction whose label is known."""
        if self._task == "classification":
            pair = (category_text(label), "" if prediction is None else category_text(prediction))
            self._counts[pair] += 1
        else:
            pair = (label, prediction)
        self._pairs.append(pair)
        if len(self._pairs) > self._window:
            oldest = self._pairs.popleft()
            if self._task == "classification":
                self._counts[oldest] -= 1

    def describe(self) -> dict[str, Any]:
        """Return `classes` and `counts` (rows are labels, columns predictions), or `residuals` as pairs."""
        if self._task == "regression":
            return {"residuals": [pair for pair in self._pairs if pair[1] is not None]}
        frequent: Counter[str] = Counter()
        for (label, prediction), count in self._counts.items():
            if prediction:
                frequent[label] += count
                frequent[prediction] += count
        names = sorted(name for name, count in frequent.most_common(_CLASSES) if count)
        place = {name: i for i, name in enumerate(names)}
        if any(count and name not in place for name, count in frequent.items()):
            names.append(_OTHERS)
        counts = [[0] * len(names) for _ in names]
        for (label, prediction), count in self._counts.items():
            if prediction and count:
                counts[place.get(label, len(place))][place.get(prediction, len(place))] += count
        return {"classes": names, "counts": counts}


class Published:
    """The newest records of one partition.

    Args:
        task: of the model.
        window: events that a confusion matrix looks back.
    """

    def __init__(self, task: Task, window: int) -> None:
        self.outcomes = Outcomes(task, window)
        self.predictions: deque[dict[str, Any]] = deque(maxlen=_PREDICTIONS)
        self.explained: deque[dict[str, Any]] = deque(maxlen=_EXPLAINED)
        self.dead_letters: deque[dict[str, Any]] = deque(maxlen=_LETTERS)
        self.alerts: deque[dict[str, Any]] = deque(maxlen=_ALERTS)

    def describe(self) -> dict[str, Any]:
        """Return everything, newest last, as JSON-ready data."""
        lists = ("predictions", "explained", "dead_letters", "alerts")
        return {name: list(getattr(self, name)) for name in lists} | {"outcomes": self.outcomes.describe()}


class Recent:
    """Keeps the newest published records of each partition; one thread adds, others look.

    Args:
        topics: names of the topics.
        task: of the model.
        window: events that a confusion matrix looks back.
        clock: seconds since 1970.
    """

    def __init__(
        self, topics: TopicSettings, task: Task, window: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._topics, self._clock = topics, clock
        self._partitions: dict[int, Published] = defaultdict(lambda: Published(task, window))
        self._lock = threading.Lock()
        self.version = 0

    def published(self, records: Sequence[Outgoing]) -> None:  # noqa: D102
        with self._lock:
            predictions = [record for record in records if record.topic == self._topics.predictions]
            for record in predictions[-_PREDICTIONS:]:
                self._keep(record, "predictions")
            for record in records:
                if record.topic == self._topics.predictions and b'"explanation":' in (record.value or b""):
                    self._keep(record, "explained")
                elif record.topic == self._topics.dead_letters:
                    self._bury(record)
                elif record.topic == self._topics.alerts:
                    self._keep(record, "alerts", seen=self._clock())
            self.version += 1

    def scored(self, partition: int, labels: Sequence[Any], predictions: Sequence[Any]) -> None:  # noqa: D102
        with self._lock:
            outcomes = self._partitions[partition].outcomes
            for label, prediction in zip(labels, predictions, strict=True):
                if label is not None:
                    outcomes.add(label, prediction)

    def _keep(self, record: Outgoing, kind: str, **more: Any) -> None:
        body = _decode(record.value or b"{}")
        getattr(self._partitions[body["source"]["partition"]], kind).append(body | more)

    def _bury(self, record: Outgoing) -> None:
        header = next((value for name, value in record.headers if name == DEAD_LETTER_HEADER), None)
        if header is not None:
            letter = _decode(header)
            self._partitions[letter["source"]["partition"]].dead_letters.append(letter | {"seen": self._clock()})

    def describe(self, partition: int) -> dict[str, Any]:
        """Return what is known of a partition, as JSON-ready data."""
        with self._lock:
            return self._partitions[partition].describe()
