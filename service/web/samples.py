"""The metrics as the page shows them: read from the registry itself, so the page and /metrics cannot differ."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry

# What the page shows, under the name it has there; labels but model and partition become the key, with slashes.
SHOWN = {
    "nnstream_events_total": "events",
    "nnstream_predictions_total": "predictions",
    "nnstream_samples_learned_total": "learned",
    "nnstream_events_replayed_total": "replayed",
    "nnstream_dead_letters_total": "dead_letters",
    "nnstream_drift_alerts_total": "alerts",
    "nnstream_drift_shift": "shift",
    "nnstream_loss": "loss",
    "nnstream_score": "score",
    "nnstream_member_weight": "weight",
    "nnstream_model_version": "version",
    "nnstream_consumer_lag_events": "lag",
    "nnstream_stage_duration_seconds_sum": "stages",
    "nnstream_event_latency_seconds_bucket": "latency",
    "nnstream_coverage": "coverage",
    "nnstream_checkpoint_bytes": "checkpoint_bytes",
    "nnstream_checkpoint_timestamp_seconds": "checkpoint_time",
    "nnstream_commits_total": "commits",
    "nnstream_commit_duration_seconds_sum": "commit_seconds",
    "nnstream_assigned_partitions": "assigned",
    "nnstream_broker_reachable": "broker_reachable",
    "nnstream_build_info": "build",
}
CHARTED = ("events", "loss", "lag", "score", "weight")

Values = dict[str, Any]


def sample(registry: CollectorRegistry) -> tuple[Values, dict[int, Values]]:
    """Return the shown metrics of the worker and of each partition; NaN and infinity are None."""
    worker: Values = {}
    partitions: dict[int, Values] = {}
    for family in registry.collect():
        for each in family.samples:
            name = SHOWN.get(each.name)
            if name is None:
                continue
            labels = {key: value for key, value in each.labels.items() if key != "model"}
            number = labels.pop("partition", None)
            target = worker if number is None else partitions.setdefault(int(number), {})
            value = each.value if math.isfinite(each.value) else None
            if labels:
                target.setdefault(name, {})["/".join(filter(None, labels.values()))] = value
            else:
                target[name] = value
    return worker, partitions


class History:
    """The last `capacity` moments of what is charted, in flat memory.

    Args:
        capacity: moments kept.
    """

    def __init__(self, capacity: int) -> None:
        self._times = np.zeros(capacity)
        self._columns: dict[str, npt.NDArray[np.float64]] = {}
        self._count = 0

    def add(self, seconds: float, values: Mapping[str, Any]) -> None:
        """Append a moment, seconds since 1970."""
        place, capacity = self._count % len(self._times), len(self._times)
        self._times[place] = seconds
        for column in self._columns.values():
            column[place] = np.nan
        for name, value in flat(values).items():
            if name not in self._columns:
                self._columns[name] = np.full(capacity, np.nan)
            self._columns[name][place] = np.nan if value is None else value
        self._count += 1

    def describe(self) -> dict[str, list[float | None]]:
        """Return `t` and each series, oldest first, None where it had no value."""
        kept = min(self._count, len(self._times))
        order = np.arange(self._count - kept, self._count) % len(self._times)
        out = {"t": self._times[order].tolist()}
        for name, column in self._columns.items():
            out[name] = [None if value != value else value for value in column[order].tolist()]  # noqa: PLR0124
        return out


def flat(values: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what is charted of a partition's values, as `loss` and `score.accuracy/model`."""
    out: dict[str, float | None] = {}
    for name in CHARTED:
        value = values.get(name)
        if isinstance(value, dict):
            out |= {f"{name}.{key}": each for key, each in value.items()}
        elif name in values:
            out[name] = value
    return out
