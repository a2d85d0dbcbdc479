"""The signals of a learning stream: what is known when an event is predicted, and what its label tells later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from nnstream.drift.changes import Change
from nnstream.drift.detectors import DetectorSpec
from nnstream.drift.features import FeatureColumns
from nnstream.drift.panel import Found, Panel, Statistic, under
from nnstream.schema import Table

Vector = npt.NDArray[np.float64]
Signal = Literal["loss", "error", "prediction", "features", "missing", "delay"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)
_EVENT_COLUMNS: tuple[Signal, ...] = ("prediction", "missing")
_BY_MODEL: tuple[Signal, ...] = ("loss", "error", "prediction")  # they wander a little even where nothing changes
_ANSWER_COLUMNS: tuple[Signal, ...] = ("loss", "error", "delay")


@dataclass(frozen=True)
class SignalSpec:
    """What is looked at.

    Args:
        detector: which, and how easily all signals together are alarmed.
        signals: the ones to look at.
        max_features: how many features; those that come later are ignored.
    """

    detector: DetectorSpec = field(default_factory=DetectorSpec)
    signals: tuple[Signal, ...] = SIGNALS
    max_features: int = 50


class Detection(NamedTuple):
    """A signal has changed.

    Attributes:
        row: index of the row, among those given, at which it showed.
        signal: which.
        feature: its name, where the signal is a feature.
        statistic: `mean`, or `spread` (the mean distance from it).
        change: what changed.
        is_category: whether the values are texts; before and after then mean nothing.
    """

    row: int
    signal: Signal
    feature: str | None
    statistic: Statistic
    change: Change
    is_category: bool


class Signals:
    """Watches all signals of one stream. Rows are counted, so that no detection depends on where a batch was cut.

    Args:
        spec: what is looked at.
        classes: whether classes are predicted, not numbers.
    """

    def __init__(self, spec: SignalSpec, *, classes: bool) -> None:
        giving = [signal for signal in spec.signals if signal not in _BY_MODEL] or spec.signals
        self._every = spec.detector.false_alarm_every * max(1, len(giving))  # the others give next to none
        self._looks_at = set(spec.signals)
        self._features = FeatureColumns(spec.max_features if self._looks_at & {"features", "missing"} else 0)
        self._events, self._answers = Panel(spec.detector), Panel(spec.detector)
        for panel, columns in ((self._events, _EVENT_COLUMNS), (self._answers, _ANSWER_COLUMNS)):
            for name in columns:
                # Not the spread of predictions: a model that learns becomes surer, and that is no drift.
                statistics: Sequence[Statistic] = ("mean",) if name in self._looks_at else ()
                panel.add_column(
                    self._every, statistics, up_only=name in ("loss", "error"), lasting=name in _BY_MODEL,
                    shares=classes and name == "prediction",
                )  # fmt: skip

    def events(
        self, rows: Sequence[Mapping[str, Any]], predictions: Vector, table: Table | None = None
    ) -> list[Detection]:
        """Take in events in log order, when they are predicted.

        Args:
            rows: their features.
            predictions: float64 (n,): the number predicted, or the mean index of the class; NaN where there is none.
            table: the features, where they are one.

        Returns:
            What changed, in order.
        """
        if not self._looks_at & {"features", "missing", "prediction"}:
            return []
        values, missing, new = self._features.add(rows, table)
        if "features" in self._looks_at:
            for each in new:
                self._events.add_column(self._every * each.known, ("mean", "spread"))
        else:
            values = values[:, :0]
        return self._detections(
            self._events.add(np.column_stack([predictions, missing, values])), _EVENT_COLUMNS, self._features.names
        )

    def answers(self, losses: Vector, errors: Vector, delays: Vector) -> list[Detection]:
        """Take in labels in log order, when they are known.

        Args:
            losses: float64 (n,), of the predictions that were published; NaN where there was none.
            errors: float64 (n,), 1 for a wrong class, or the absolute error.
            delays: float64 (n,), seconds after the event; NaN where the label came with it.

        Returns:
            What changed, in order.
        """
        if not self._looks_at & {"loss", "error", "delay"}:
            return []
        return self._detections(self._answers.add(np.column_stack([losses, errors, delays])), _ANSWER_COLUMNS, ())

    def _detections(
        self, found: Sequence[Found], columns: Sequence[Signal], features: Sequence[str]
    ) -> list[Detection]:
        out = []
        for row, column, statistic, change in found:
            if column < len(columns):
                out.append(Detection(row, columns[column], None, statistic, change, is_category=False))
            else:
                name = features[column - len(columns)]
                is_category = name in self._features.categories
                out.append(Detection(row, "features", name, statistic, change, is_category))
        return out

    def shifts(self) -> list[tuple[Signal, str, float]]:
        """Return each signal, its feature's name ("" for the others), and how far it has moved lately.

        That is the running mean of its blocks' normal scores: about 0.2 where nothing moves, 1 and more where
        something does.
        """
        out: list[tuple[Signal, str, float]] = []
        panels = ((self._events, _EVENT_COLUMNS), (self._answers, _ANSWER_COLUMNS))
        for panel, columns in panels:
            for column, shift in panel.shifts():
                if column >= len(columns):
                    out.append(("features", self._features.names[column - len(columns)], shift))
                elif columns[column] in self._looks_at:
                    out.append((columns[column], "", shift))
        return out

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        return {
            "features": self._features.describe(),
            "events": self._events.describe(),
            "answers": self._answers.describe(),
        }

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays; not copies."""
        events = {f"events.{name}": array for name, array in self._events.state().items()}
        return events | {f"answers.{name}": array for name, array in self._answers.state().items()}

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `describe` and `state` gave."""
        self._features.restore(description["features"])
        self._events.restore(description["events"], under("events.", arrays))
        self._answers.restore(description["answers"], under("answers.", arrays))
