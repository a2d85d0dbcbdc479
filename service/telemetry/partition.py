"""The metrics of one partition, touched once a batch, never once an event."""

import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import get_args

from prometheus_client import Gauge

from nnstream.conformal import Conformal
from nnstream.drift.signals import SIGNALS
from nnstream.health import health
from nnstream.model import Model
from nnstream.outcome import Outcome
from nnstream.responses import predictor
from service.events import Problem
from service.intake import Batch
from service.labels import Joined, Reason
from service.monitor import Drift, Monitor
from service.records import Partition, Refused
from service.telemetry.metrics import Metrics

_LOOK_SECONDS = 2.0  # between two looks at the networks: each takes milliseconds


class Stage(StrEnum):
    """The stages whose duration is measured."""

    DECODE = "decode"
    LEARN = "learn"
    MONITOR = "monitor"
    PUBLISH = "publish"
    COMMIT = "commit"
    CHECKPOINT = "checkpoint"


class PartitionMetrics:
    """The metrics of one partition, with its labels filled in."""

    def __init__(self, all_metrics: Metrics, partition: Partition) -> None:
        self._all = all_metrics
        self._labels = (all_metrics.model, str(partition.number))
        self._gauges: dict[tuple[str, ...], Gauge] = {}  # to find one by its labels takes longer than to set it
        self._newest_ms = 0
        self._next_look = 0.0
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Let counters exist before they count: Prometheus takes no notice of a series' first increase otherwise."""
        m, labels = self._all, self._labels
        for counter in (m.replayed, m.checkpoint_failures):
            counter.labels(*labels)
        for problem in get_args(Problem):
            m.dead_letters.labels(*labels, problem)
        for reason in get_args(Reason):
            m.expired.labels(*labels, reason)
        for signal in SIGNALS:
            m.drifts.labels(*labels, signal)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measure how long the block takes."""
        start = time.perf_counter()
        yield
        self._all.stage_seconds.labels(*self._labels, stage).observe(time.perf_counter() - start)

    def batch(
        self, batch: Batch, joined: Joined, refused: Sequence[Refused], outcome: Outcome, monitor: Monitor, *,
        pending: tuple[int, int],
    ) -> None:  # fmt: skip
        """Count a batch."""
        m, labels, records = self._all, self._labels, batch.records
        self._newest_ms = records[-1].timestamp
        m.pending.labels(*labels).set(pending[0])
        m.early.labels(*labels).set(pending[1])
        if not batch.live:
            m.replayed.labels(*labels).inc(len(records))
            return
        m.events.labels(*labels).inc(sum(joined.is_event) + len(refused))
        m.event_bytes.labels(*labels).inc(sum(map(len, [record.value or b"" for record in records])))
        m.batch_events.labels(*labels).observe(len(records))
        m.predictions.labels(*labels).inc(sum(len(segment.rows) for segment in outcome.segments))
        waited = max(0.0, time.time() - self._newest_ms / 1000)
        m.latency.labels(*labels).observe(waited, {"offset": str(records[-1].offset)})
        newest = {each.problem: each.record.offset for each in refused}
        for problem, count in Tally(each.problem for each in refused).items():
            m.dead_letters.labels(*labels, problem).inc(count, {"offset": str(newest[problem])})
        self._late(joined)
        self._quality(outcome, monitor)

    def _late(self, joined: Joined) -> None:
        m, labels = self._all, self._labels
        for reason, count in Tally(reason for _, _, reason in joined.expired).items():
            m.expired.labels(*labels, reason).inc(count)
        for i, (is_event, entry) in enumerate(zip(joined.is_event, joined.entries, strict=True)):
            if not is_event and entry is not None:
                m.label_delay.labels(*labels).observe(max(0.0, (joined.timestamps[i] - entry.ts) / 1000))

    def _quality(self, outcome: Outcome, monitor: Monitor) -> None:
        summary = monitor.score.summary(rolling=True)
        name = monitor.score.names[0]
        self._set("loss", summary["loss"])
        for kappa in ("kappa_temporal", "kappa_m"):
            if kappa in summary:
                self._set("score", summary[kappa], kappa, "model")
        self._set("score", summary[name], name, "model")
        for baseline, value in summary["baselines"].items():
            self._set("score", value, name, baseline)
        self._all.learned.labels(*self._labels).inc(outcome.learned)
        if monitor.moved:
            self._moved(monitor)

    def _set(self, name: str, value: float, *labels: str) -> None:
        key = (name, *labels)
        if key not in self._gauges:
            self._gauges[key] = getattr(self._all, name).labels(*self._labels, *labels)
        self._gauges[key].set(value)

    def _moved(self, monitor: Monitor) -> None:
        """Note what changes with each block of events only."""
        for metric, value in monitor.quality.scores("events").items():
            if metric != monitor.score.names[0]:
                self._set("score", value, metric, "model")
        for metric, value in monitor.quality.scores("time").items():
            self._set("recent", value, metric)
        for signal, feature, shift in monitor.shifts():
            self._set("shift", shift, signal, feature)

    def beside(self, conformal: Conformal | None, contributions: Mapping[str, float]) -> None:
        """Note how sure the predictions are, and what they owe to each feature."""
        m, labels = self._all, self._labels
        if conformal is not None and conformal.scored:
            m.coverage.labels(*labels).set(conformal.coverage)
            m.region_size.labels(*labels).set(conformal.size)
        for feature, mean in contributions.items():
            m.contribution.labels(*labels, feature).set(mean)

    def drift(self, drifts: Sequence[Drift]) -> None:
        """Count what changed."""
        for drift in drifts:
            self._all.detections.labels(*self._labels, drift.signal, drift.detector).inc()
            if drift.is_alert:
                self._all.drifts.labels(*self._labels, drift.signal).inc()

    def progress(self, model: Model, lag: int | None, *, to_replay: int) -> None:
        """Note how far the model is, how its networks are, how many events wait, and how many are learned again."""
        self._set("version", model.version)
        self._set("to_replay", max(0, to_replay))
        for member, weight in model.member_weights().items():
            self._set("weight", weight, member)
        if lag is not None:
            self._set("lag", lag)
            self._set(
                "lag_seconds", max(0.0, time.time() - self._newest_ms / 1000) if lag and self._newest_ms else 0.0
            )
        if model.version and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            self._look(model)

    def _look(self, model: Model) -> None:
        for each in health(predictor(model.learner)):
            self._set("rate", each.rate, each.title)
            self._set("weight_norm", each.weight_norm, each.title)
            self._set("gradient_norm", each.gradient_norm, each.title)
            self._set("dead", each.dead, each.title)

    def checkpointed(self, size_bytes: int, seconds: float) -> None:
        """Note a checkpoint that became durable after so many seconds."""
        self._all.checkpoint_seconds.labels(*self._labels).observe(seconds)
        self._all.checkpoint_bytes.labels(*self._labels).set(size_bytes)
        self._all.checkpoint_time.labels(*self._labels).set_to_current_time()

    def checkpoint_failed(self) -> None:
        """Count a checkpoint that could not be written."""
        self._all.checkpoint_failures.labels(*self._labels).inc()
