"""What happened on a stream, put together from its public records: predictions, late labels, alerts, dead letters."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.losses import LARGEST_LOG_LOSS
from nnstream.model import Task
from nnstream.prequential import Prequential
from nnstream.schema import category_text

Body = Mapping[str, Any]
_BINS = 240
_REASONS = 5


@dataclass
class Records:
    """The public records of a stretch of a stream, decoded, each kind in log order within its partition.

    Attributes:
        predictions: as published.
        late_labels: label by the id of its event, for events that were sent without one.
        alerts: as published.
        dead_letters: the header of each.
        timed: whether timestamps mean anything; those of a file do not.
    """

    predictions: list[Body] = field(default_factory=list)
    late_labels: dict[Any, Any] = field(default_factory=dict)
    alerts: list[Body] = field(default_factory=list)
    dead_letters: list[Body] = field(default_factory=list)
    timed: bool = True


@dataclass(frozen=True)
class Curves:
    """Means over bins of consecutive labelled events; all float64 (bins,).

    Attributes:
        event: number of the bin's last labelled event.
        score: accuracy, or mean absolute error.
        baselines: the same of what needs no model, by name.
        loss: NaN where no loss is known.
    """

    event: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    baselines: dict[str, npt.NDArray[np.float64]]
    loss: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """A drift alert and its place on the curves.

    Attributes:
        event: number of labelled events before it.
        alert: the record.
    """

    event: int
    alert: Body


@dataclass(frozen=True)
class Story:
    """Everything the page tells.

    Attributes:
        task: classification or regression.
        models: names of the models that predicted.
        events: how many were predicted.
        labelled: how many of these have a label.
        start_ms: of the first event, ms since 1970; None without events, or where timestamps mean nothing.
        end_ms: of the last.
        summary: as `Prequential.summary` gives it, over all partitions.
        curves: over time.
        marks: drift alerts, in order.
        pairs: label and prediction of each labelled event, in order.
        problems: dead letters by problem.
        reasons: the newest dead letters.
        partitions: events by partition.
    """

    task: Task
    models: list[str]
    events: int
    labelled: int
    start_ms: int | None
    end_ms: int | None
    summary: dict[str, Any]
    curves: Curves
    marks: list[Mark]
    pairs: list[tuple[Any, Any]]
    problems: Counter[str]
    reasons: list[Body]
    partitions: Counter[int]


def tell(records: Records) -> Story:
    """Return the story of these records; each partition is scored beside its own baselines."""
    predictions = sorted(records.predictions, key=lambda body: (body["ts"], _place(body)))
    known = [(body, label) for body in predictions if (label := _label(body, records.late_labels)) is not None]
    numbers = all("probabilities" not in body for body, _ in known if body["prediction"] is not None)
    task: Task = "regression" if known and numbers else "classification"
    rows = _scored(known, task)
    names = Prequential(task).names
    means = _mean(rows)
    return Story(
        task=task,
        models=sorted({body["model"]["name"] for body in predictions}),
        events=len(predictions),
        labelled=len(known),
        start_ms=predictions[0]["ts"] if predictions and records.timed else None,
        end_ms=predictions[-1]["ts"] if predictions and records.timed else None,
        summary={names[0]: means[0], "loss": means[3], "baselines": {names[1]: means[1], names[2]: means[2]}},
        curves=_curves(rows, names),
        marks=_marks(records.alerts, [body for body, _ in known]),
        pairs=[(label, body["prediction"]) for body, label in known],
        problems=Counter(letter["problem"] for letter in records.dead_letters),
        reasons=records.dead_letters[: -_REASONS - 1 : -1],
        partitions=Counter(body["source"]["partition"] for body in predictions),
    )


def _place(body: Body) -> tuple[int, int]:
    return body["source"]["partition"], body["source"]["offset"]


def _label(body: Body, late: Mapping[Any, Any]) -> Any:
    return body["label"] if "label" in body else late.get(body["id"])


def _scored(known: Sequence[tuple[Body, Any]], task: Task) -> npt.NDArray[np.float64]:
    """Return float64 (n, 4): score, two baselines, loss (NaN where unknown)."""
    scores: dict[int, Prequential] = {}
    rows = np.empty((len(known), 4))
    for i, (body, label) in enumerate(known):
        score = scores.setdefault(body["source"]["partition"], Prequential(task, 1))
        rows[i] = score.update([label], [body["prediction"]], [0.0])[0]
        rows[i, 3] = _loss(body, label)
    return rows


def _loss(body: Body, label: Any) -> float:
    if "loss" in body:
        return float(body["loss"])
    if "label" in body or "probabilities" not in body:
        return math.nan
    return min(LARGEST_LOG_LOSS, -math.log(max(body["probabilities"].get(category_text(label), 0.0), 1e-300)))


def _curves(rows: npt.NDArray[np.float64], names: tuple[str, str, str]) -> Curves:
    edges = np.unique(np.linspace(0, len(rows), min(_BINS, len(rows)) + 1).astype(int))
    parts = [rows[start:stop] for start, stop in pairwise(edges)]
    means = np.array([_mean(part) for part in parts]).reshape(-1, 4)
    baselines = {names[1]: means[:, 1], names[2]: means[:, 2]}
    return Curves(edges[1:].astype(float), means[:, 0], baselines, means[:, 3])


def _mean(part: npt.NDArray[np.float64]) -> list[float]:
    columns = (column[np.isfinite(column)] for column in part.T)
    return [float(column.mean()) if len(column) else math.nan for column in columns]


def _marks(alerts: Iterable[Body], known: Sequence[Body]) -> list[Mark]:
    places = {_place(body): i for i, body in enumerate(known)}
    moments = np.array([body["ts"] for body in known])
    ordered = sorted(alerts, key=lambda alert: (alert["ts"], _place(alert)))
    return [Mark(places.get(_place(a), int(np.searchsorted(moments, a["ts"]))), a) for a in ordered]
