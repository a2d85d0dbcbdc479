"""The metrics of one partition, touched once a batch, never once an event."""

import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, get_args

from nnstream.conformal import Conformal
from nnstream.drift.signals import SIGNALS
from nnstream.health import health
from nnstream.model import Model
from nnstream.outcome import Outcome
from nnstream.prequential import Prequential
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
    EMBED = "embed"
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
        self._found: dict[tuple[str, ...], Any] = {}  # to find one by its labels takes longer than to count
        self._newest_ms = 0
        self._next_look = 0.0
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Let counters exist before they count: Prometheus takes no notice of a series' first increase otherwise."""
        for name in ("replayed", "checkpoint_failures"):
            self._own(name)
        for problem in get_args(Problem):
            self._own("dead_letters", problem)
        for reason in get_args(Reason):
            self._own("expired", reason)
        for signal in SIGNALS:
            self._own("drifts", signal)

    def _own(self, name: str, *labels: str) -> Any:
        """Return this partition's child of a metric of `Metrics`, by the name that it has there."""
        key = (name, *labels)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = getattr(self._all, name).labels(*self._labels, *labels)
        return found

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measure how long the block takes."""
        start = time.perf_counter()
        yield
        self._own("stage_seconds", stage).observe(time.perf_counter() - start)

    def batch(
        self, batch: Batch, joined: Joined, refused: Sequence[Refused], outcome: Outcome, *, pending: tuple[int, int]
    ) -> None:
        """Count a batch."""
        own, records = self._own, batch.records
        self._newest_ms = records[-1].timestamp
        own("pending").set(pending[0])
        own("early").set(pending[1])
        if not batch.live:
            own("replayed").inc(len(records))
            return
        own("events").inc(sum(joined.is_event) + len(refused))
        own("event_bytes").inc(sum([len(record.value or b"") for record in records]))
        own("batch_events").observe(len(records))
        own("predictions").inc(sum([len(segment.rows) for segment in outcome.segments]))
        own("learned").inc(outcome.learned)
        waited = max(0.0, time.time() - self._newest_ms / 1000)
        own("latency").observe(waited, {"offset": str(records[-1].offset)})
        if refused:
            newest = {each.problem: each.record.offset for each in refused}
            for problem, count in Tally(each.problem for each in refused).items():
                own("dead_letters", problem).inc(count, {"offset": str(newest[problem])})
        if not joined.plain:
            self._late(joined)

    def _late(self, joined: Joined) -> None:
        for reason, count in Tally(reason for _, _, reason in joined.expired).items():
            self._own("expired", reason).inc(count)
        for i, (is_event, entry) in enumerate(zip(joined.is_event, joined.entries, strict=True)):
            if not is_event and entry is not None:
                self._own("label_delay").observe(max(0.0, (joined.timestamps[i] - entry.ts) / 1000))

    def moved(self, monitor: Monitor) -> None:
        """Note what changes with each block of events only."""
        for metric, value in monitor.quality.scores("events").items():
            if metric != monitor.score.names[0]:
                self._own("score", metric, "model").set(value)
        for metric, value in monitor.quality.scores("time").items():
            self._own("recent", metric).set(value)
        for signal, feature, shift in monitor.shifts():
            self._own("shift", signal, feature).set(shift)

    def beside(self, conformal: Conformal | None, contributions: Mapping[str, float]) -> None:
        """Note how sure the predictions are, and what they owe to each feature."""
        if conformal is not None and conformal.scored:
            self._own("coverage").set(conformal.coverage)
            self._own("region_size").set(conformal.size)
        for feature, mean in contributions.items():
            self._own("contribution", feature).set(mean)

    def drift(self, drifts: Sequence[Drift]) -> None:
        """Count what changed."""
        for drift in drifts:
            self._own("detections", drift.signal, drift.detector).inc()
            if drift.is_alert:
                self._own("drifts", drift.signal).inc()

    def progress(self, model: Model, score: Prequential, lag: int | None, *, to_replay: int) -> None:
        """Note how far and how good the model is, how many events wait, and how many are learned again."""
        own = self._own
        self._score(score)
        own("version").set(model.version)
        own("to_replay").set(max(0, to_replay))
        for member, weight in model.member_weights().items():
            own("weight", member).set(weight)
        if lag is not None:
            own("lag").set(lag)
            waiting = lag and self._newest_ms
            own("lag_seconds").set(max(0.0, time.time() - self._newest_ms / 1000) if waiting else 0.0)
        if model.version and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            self._look(model)

    def _score(self, score: Prequential) -> None:
        summary, name = score.summary(rolling=True), score.names[0]
        self._own("loss").set(summary["loss"])
        for metric in (name, "kappa_temporal", "kappa_m"):
            if metric in summary:
                self._own("score", metric, "model").set(summary[metric])
        for baseline, value in summary["baselines"].items():
            self._own("score", name, baseline).set(value)

    def _look(self, model: Model) -> None:
        for each in health(predictor(model.learner)):
            self._own("rate", each.title).set(each.rate)
            self._own("weight_norm", each.title).set(each.weight_norm)
            self._own("gradient_norm", each.title).set(each.gradient_norm)
            self._own("dead", each.title).set(each.dead)

    def checkpointed(self, size_bytes: int, seconds: float) -> None:
        """Note a checkpoint that became durable after so many seconds."""
        self._own("checkpoint_seconds").observe(seconds)
        self._own("checkpoint_bytes").set(size_bytes)
        self._own("checkpoint_time").set_to_current_time()

    def checkpoint_failed(self) -> None:
        """Count a checkpoint that could not be written."""
        self._own("checkpoint_failures").inc()
