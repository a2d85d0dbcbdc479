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
_SEARCHED = 300  # records of a batch in which the newest predictions and explanations are looked for


_decode = msgspec.json.decode


class Outcomes:
    """Label and prediction of the last events: a confusion matrix, or the points of a residual plot.

    Args:
        task: of the model.
        window: events that a confusion matrix looks back.
    """

    def __init__(self, task: Task, window: int) -> None:
        self._task = task
        self._pairs: deque[tuple[Any, Any]] = deque(maxlen=window if task == "classification" else _RESIDUALS)

    def add(self, labels: Sequence[Any], predictions: Sequence[Any]) -> None:
        """Note predictions beside their labels; those without one are passed over. Counting is left to who looks."""
        pairs = zip(labels, predictions, strict=True)
        self._pairs.extend(pair for pair in pairs if pair[0] is not None and pair[1] is not None)

    def describe(self) -> dict[str, Any]:
        """Return `classes` and `counts` (rows are labels, columns predictions), or `residuals` as pairs."""
        if self._task == "regression":
            return {"residuals": list(self._pairs)}
        matrix = Counter((category_text(label), category_text(said)) for label, said in self._pairs)
        frequent: Counter[str] = Counter()
        for (label, prediction), count in matrix.items():
            frequent[label] += count
            frequent[prediction] += count
        names = sorted(name for name, _ in frequent.most_common(_CLASSES))
        place = {name: i for i, name in enumerate(names)}
        if len(frequent) > len(names):
            names.append(_OTHERS)
        counts = [[0] * len(names) for _ in names]
        for (label, prediction), count in matrix.items():
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
        topic = self._topics.predictions
        newest = [record for record in records[-_SEARCHED:] if record.topic == topic]
        with self._lock:
            for record in newest[-_PREDICTIONS:]:
                self._keep(record, "predictions")
            for record in newest:
                if b'"explanation":' in (record.value or b""):
                    self._keep(record, "explained")
            for record in records:
                if record.topic == topic:
                    continue
                if record.topic == self._topics.dead_letters:
                    self._bury(record)
                elif record.topic == self._topics.alerts:
                    self._keep(record, "alerts", seen=self._clock())
            self.version += 1

    def scored(self, partition: int, labels: Sequence[Any], predictions: Sequence[Any]) -> None:  # noqa: D102
        with self._lock:
            self._partitions[partition].outcomes.add(labels, predictions)

    def _keep(self, record: Outgoing, kind: str, **more: Any) -> None:
        body = _decode(record.value or b"{}")
        getattr(self._partitions[body["source"]["partition"]], kind).append(body | more)

    def _bury(self, record: Outgoing) -> None:
        # the last one is ours: a dead letter that is sent again, or a forger, brings another
        header = next((value for name, value in reversed(record.headers) if name == DEAD_LETTER_HEADER), None)
        if header is not None:
            letter = _decode(header)
            self._partitions[letter["source"]["partition"]].dead_letters.append(letter | {"seen": self._clock()})

    def describe(self, partition: int) -> dict[str, Any]:
        """Return what is known of a partition, as JSON-ready data."""
        with self._lock:
            return self._partitions[partition].describe()
