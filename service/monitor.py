"""Stage 6: how good the model is, beside its baselines, and whether the world has moved."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.drift.blocks import ROWS
from nnstream.drift.panel import under
from nnstream.drift.signals import Detection, Signals, SignalSpec
from nnstream.model import Task
from nnstream.prequential import Prequential
from nnstream.quality import Quality
from nnstream.schema import Table

Vector = npt.NDArray[np.float64]
_FIRST = ("loss", "error", "prediction", "missing", "delay", "features")  # of several that changed with one row


@dataclass(frozen=True)
class MonitorSpec:
    """What is watched.

    Args:
        task: of the model.
        window: labelled events that rolling scores look back.
        window_seconds: of the log's own time that recent scores look back.
        signals: what may change, and how that is noticed.
        cool_down: rows after an alert in which further detections count as the same change.
        enabled: whether anything is watched at all.
    """

    task: Task
    window: int = 1000
    window_seconds: float = 300.0
    signals: SignalSpec = field(default_factory=SignalSpec)
    cool_down: int = 5000
    enabled: bool = True


@dataclass
class Observed:
    """A batch, as two streams that both are in log order: labels may come long after the prediction.

    Attributes:
        count: rows in the batch, so that those that are in neither stream count too.
        event_rows: index in the batch of each event that was predicted.
        features: of those events.
        predictions: float64 (events,): the number predicted, or the mean index of the class; NaN where there is none.
        answer_rows: index in the batch of each row whose label is known.
        labels: of those rows.
        published: what was predicted when the event came.
        losses: of that prediction; NaN where there was none.
        delays: seconds from the event to its label; NaN where they came together.
        chances: float64 (answers, 2), a classification's probability of the label and of what was predicted.
        timestamps: when the label became known, ms since 1970.
        table: the features, where they are one.
    """

    count: int
    event_rows: Sequence[int] = ()
    features: Sequence[Mapping[str, Any]] = ()
    predictions: Vector = field(default_factory=lambda: np.empty(0))
    answer_rows: Sequence[int] = ()
    labels: Sequence[Any] = ()
    published: Sequence[Any] = ()
    losses: Sequence[float] = ()
    delays: Sequence[float] = ()
    chances: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    timestamps: Sequence[int] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Drift:
    """A change that was noticed.

    Attributes:
        row: index in the batch of the row with which it showed.
        signal: what changed.
        feature: its name, where that is a feature.
        statistic: `mean` or `spread`.
        detector: that noticed.
        before: the statistic before; None for a category.
        after: the statistic since.
        distance: Kolmogorov-Smirnov distance between the blocks before and since.
        p_value: the detector's own, where it has one.
        events: about how many rows ago it began.
        also: what else changed with the same row.
        is_alert: whether it is the first of its change.
    """

    row: int
    signal: str
    feature: str | None
    statistic: str
    detector: str
    before: float | None
    after: float | None
    distance: float
    p_value: float | None
    events: int
    also: tuple[str, ...]
    is_alert: bool

    def body(self) -> dict[str, Any]:
        """Return what a DriftAlert says of it; what is not known is left out."""
        fields = asdict(self)
        del fields["row"], fields["is_alert"]
        return {name: value for name, value in fields.items() if value is not None}


class Monitor:
    """The score of one partition's predictions, and the drift detectors on all signals.

    Args:
        spec: what is watched.

    Attributes:
        score: of the predictions, beside the baselines.
        quality: further scores, over events and over time.
        drifts: alerts so far.
    """

    def __init__(self, spec: MonitorSpec) -> None:
        self.spec = spec
        self.score = Prequential(spec.task, spec.window)
        self.quality = Quality(spec.task, spec.window, spec.window_seconds)
        self.drifts = 0
        self._signals = Signals(spec.signals, classes=spec.task == "classification")
        self._rows = self._rows_before = 0
        self._last_alert: int | None = None

    def observe(self, seen: Observed) -> list[Drift]:
        """Take in a batch; return the changes that were noticed, in log order."""
        if not self.spec.enabled:
            return []
        scored = self.score.update(seen.labels, seen.published, seen.losses)[:, 0]
        errors = 1 - scored if self.spec.task == "classification" else scored
        self.quality.update(seen.labels, seen.published, seen.chances, seen.timestamps)
        found = [
            *_placed(self._signals.events(seen.features, seen.predictions, seen.table), seen.event_rows),
            *_placed(
                self._signals.answers(np.array(seen.losses, np.float64), errors, np.array(seen.delays, np.float64)),
                seen.answer_rows,
            ),
        ]
        drifts = self._merge(found) if found else []
        self._rows_before, self._rows = self._rows, self._rows + seen.count
        return drifts

    def _merge(self, found: list[Detection]) -> list[Drift]:
        """Return the detections in log order; the first in a long while, and the gravest of its row, is an alert."""
        found.sort(key=lambda each: (each.row, _FIRST.index(each.signal), -each.change.distance))
        drifts = []
        for each in found:
            position = self._rows + each.row
            is_alert = self._last_alert is None or position - self._last_alert >= self.spec.cool_down
            also: tuple[str, ...] = ()
            if is_alert:
                self._last_alert = position
                self.drifts += 1
                also = tuple(_name(other) for other in found if other.row == each.row and other is not each)
            drifts.append(self._drift(each, also, is_alert))
        return drifts

    def _drift(self, found: Detection, also: tuple[str, ...], is_alert: bool) -> Drift:
        change, hidden = found.change, found.is_category
        return Drift(
            found.row, found.signal, found.feature, found.statistic, self.spec.signals.detector.name,
            None if hidden else change.before, None if hidden else change.after, change.distance, change.p_value,
            change.blocks * ROWS, also, is_alert,
        )  # fmt: skip

    @property
    def moved(self) -> bool:
        """Return whether the last batch filled a block, so that `shifts` may have changed."""
        return self._rows // ROWS != self._rows_before // ROWS

    def shifts(self) -> list[tuple[str, str, float]]:
        """Return each signal, its feature's name ("" for the others), and how far it has moved lately."""
        return [(str(signal), feature, shift) for signal, feature, shift in self._signals.shifts()]

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        return {
            "score": self.score.describe(),
            "quality": self.quality.describe(),
            "drifts": self.drifts,
            "signals": self._signals.describe(),
            "rows": self._rows,
            "last_alert": self._last_alert,
        }

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays; not copies."""
        signals = {f"signals.{name}": array for name, array in self._signals.state().items()}
        quality = {f"quality.{name}": array for name, array in self.quality.state().items()}
        return self.score.state() | quality | signals

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `describe` and `state` gave."""
        self.score.restore(description["score"], arrays)
        self.drifts, self._rows = description["drifts"], description["rows"]
        self._last_alert = description["last_alert"]
        self._signals.restore(description["signals"], under("signals.", arrays))
        self.quality.restore(description["quality"], under("quality.", arrays))


def _placed(found: Sequence[Detection], rows: Sequence[int]) -> list[Detection]:
    return [each._replace(row=rows[each.row]) for each in found]


def _name(found: Detection) -> str:
    return found.signal if found.feature is None else f"{found.signal}.{found.feature}"
