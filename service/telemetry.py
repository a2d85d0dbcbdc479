"""Every metric name, once. Metric objects are touched once a batch, never once an event.

docs/metrics.md lists them; a test fails when one is missing there.
"""

import time
from collections import Counter as Tally
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

from nnstream import __version__
from nnstream.conformal import Conformal
from nnstream.drift.signals import SIGNALS
from nnstream.model import Model
from nnstream.outcome import Outcome
from service.client_statistics import ClientStatistics
from service.events import Problem
from service.intake import Batch
from service.labels import Joined, Reason
from service.monitor import Drift, Monitor
from service.records import Partition, Refused


class Stage(StrEnum):
    """The stages whose duration is measured."""

    DECODE = "decode"
    LEARN = "learn"
    MONITOR = "monitor"
    PUBLISH = "publish"
    COMMIT = "commit"
    CHECKPOINT = "checkpoint"


_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_BATCH = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)


class Telemetry:
    """All metrics of a worker, in a registry of its own.

    Args:
        model: name of the model, the first label of everything that belongs to it.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.registry = CollectorRegistry()
        self._shown: set[Partition] = set()
        r, own = self.registry, ("model", "partition")
        self.events = Counter("nnstream_events", "Events taken in.", own, registry=r)
        self.event_bytes = Counter("nnstream_event_bytes", "Bytes of event values taken in.", own, registry=r)
        self.replayed = Counter("nnstream_events_replayed", "Events learned again after a restart.", own, registry=r)
        self.predictions = Counter("nnstream_predictions", "Predictions published.", own, registry=r)
        self.learned = Counter("nnstream_samples_learned", "Labelled events learned.", own, registry=r)
        self.dead_letters = Counter(
            "nnstream_dead_letters", "Events that could not be used.", (*own, "problem"), registry=r
        )
        self.drifts = Counter(
            "nnstream_drift_alerts", "Changes that were noticed; one alert a change.", (*own, "signal"), registry=r
        )
        self.detections = Counter(
            "nnstream_drift_detections", "Signals that changed; several may have to do with one change.",
            (*own, "signal", "detector"), registry=r,
        )  # fmt: skip
        self.shift = Gauge(
            "nnstream_drift_shift",
            "How far a signal has moved lately, in standard deviations; 0.2 is usual, 1 and more is a change.",
            (*own, "signal", "feature"), registry=r,
        )  # fmt: skip
        self.pending = Gauge("nnstream_labels_pending", "Events that wait for their label.", own, registry=r)
        self.early = Gauge("nnstream_labels_early", "Labels that wait for their event.", own, registry=r)
        self.expired = Counter(
            "nnstream_labels_expired", "Events whose label is waited for no longer.", (*own, "reason"), registry=r
        )
        self.label_delay = Histogram(
            "nnstream_label_delay_seconds", "From an event's ts to that of its late label.", own,
            registry=r, buckets=(0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 604_800.0),
        )  # fmt: skip
        self.loss = Gauge("nnstream_loss", "Mean loss over the window.", own, registry=r)
        self.score = Gauge(
            "nnstream_score", "Rolling accuracy or mean absolute error.", (*own, "metric", "of"), registry=r
        )
        self.weight = Gauge(
            "nnstream_member_weight", "Share of each network in the ensemble's mixture.", (*own, "member"), registry=r
        )
        self.coverage = Gauge(
            "nnstream_coverage", "Share of the newest intervals or sets that held their label.", own, registry=r
        )
        self.region_size = Gauge(
            "nnstream_region_size",
            "Mean width of the newest intervals, or classes in the newest sets.",
            own,
            registry=r,
        )
        self.contribution = Gauge(
            "nnstream_contribution", "Mean absolute contribution of a feature to the newest explained predictions.",
            (*own, "feature"), registry=r,
        )  # fmt: skip
        self.version = Gauge("nnstream_model_version", "Samples the model has learned.", own, registry=r)
        self.lag = Gauge("nnstream_consumer_lag_events", "Events not yet taken in.", own, registry=r)
        self.batch_events = Histogram("nnstream_batch_events", "Events in a batch.", own, registry=r, buckets=_BATCH)
        self.stage_seconds = Histogram(
            "nnstream_stage_duration_seconds", "Time a batch spends in a stage.", (*own, "stage"),
            registry=r, buckets=_SECONDS,
        )  # fmt: skip
        self.latency = Histogram(
            "nnstream_event_latency_seconds", "Newest event of a batch: from its timestamp to its prediction.", own,
            registry=r, buckets=(*_SECONDS, 60.0, 600.0),
        )  # fmt: skip
        self.checkpoint_bytes = Gauge("nnstream_checkpoint_bytes", "Size of the newest checkpoint.", own, registry=r)
        self.checkpoint_time = Gauge(
            "nnstream_checkpoint_timestamp_seconds", "When the newest checkpoint was written.", own, registry=r
        )
        self.checkpoint_seconds = Histogram(
            "nnstream_checkpoint_duration_seconds", "Time until a checkpoint is durable; the loop goes on meanwhile.",
            own, registry=r, buckets=_SECONDS,
        )  # fmt: skip
        self.checkpoint_failures = Counter(
            "nnstream_checkpoint_failures", "Checkpoints that could not be written.", own, registry=r
        )
        self.restarts = Counter(
            "nnstream_restarts", "Times a worker started over from its last commit.", ("model",), registry=r
        )
        self.commits = Counter("nnstream_commits", "Commits of input offsets.", ("model",), registry=r)
        self.commit_seconds = Histogram(
            "nnstream_commit_duration_seconds", "Time until results are acknowledged and offsets committed.",
            ("model",), registry=r, buckets=_SECONDS,
        )  # fmt: skip
        self.assigned = Gauge("nnstream_assigned_partitions", "Partitions this worker owns.", ("model",), registry=r)
        self.standby = Gauge(
            "nnstream_standby_partitions", "Partitions of others that this worker keeps a warm copy of.", ("model",),
            registry=r,
        )  # fmt: skip
        self.client_waiting = Gauge(
            "nnstream_kafka_client_records",
            "Records that librdkafka holds: fetched and not yet taken, or taken and not yet acknowledged.",
            ("model", "end"), registry=r,
        )  # fmt: skip
        self.round_trip = Gauge(
            "nnstream_kafka_round_trip_seconds", "Mean of librdkafka's newest requests, of the slowest broker.",
            ("model", "end"), registry=r,
        )  # fmt: skip
        self.broker_reachable = Gauge(
            "nnstream_broker_reachable", "Whether any bootstrap server takes a connection.", ("model",), registry=r
        )
        for counter in (self.restarts, self.commits):
            counter.labels(model)
        Info("nnstream_build", "What is running.", registry=r).info({"version": __version__})

    def restarted(self) -> None:
        """Count a start from the last commit."""
        self.restarts.labels(self.model).inc()

    def client(self, said: ClientStatistics) -> None:
        """Note what a Kafka client says of itself."""
        self.client_waiting.labels(self.model, said.end).set(said.waiting)
        self.round_trip.labels(self.model, said.end).set(said.round_trip_seconds)

    def partition(self, partition: Partition) -> "PartitionMetrics":
        """Return the metrics of one partition."""
        self._shown.add(partition)
        return PartitionMetrics(self, partition)

    def owned(self, partitions: Collection[Partition]) -> None:
        """Note which partitions this worker owns: what others own is theirs to show, or sums would count it twice."""
        self.assigned.labels(self.model).set(len(partitions))
        metrics = [each for each in vars(self).values() if isinstance(each, MetricWrapperBase)]
        for partition in self._shown.difference(partitions):
            for metric in metrics:
                if "partition" in metric._labelnames:  # noqa: SLF001  # has no other name
                    metric.remove_by_labels({"partition": str(partition.number)})
        self._shown.intersection_update(partitions)


class PartitionMetrics:
    """The metrics of one partition, with its labels filled in."""

    def __init__(self, all_metrics: Telemetry, partition: Partition) -> None:
        self._all = all_metrics
        self._labels = (all_metrics.model, str(partition.number))
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
        m.pending.labels(*labels).set(pending[0])
        m.early.labels(*labels).set(pending[1])
        if not batch.live:
            m.replayed.labels(*labels).inc(len(records))
            return
        m.events.labels(*labels).inc(sum(joined.is_event) + len(refused))
        m.event_bytes.labels(*labels).inc(sum(map(len, [record.value or b"" for record in records])))
        m.batch_events.labels(*labels).observe(len(records))
        m.predictions.labels(*labels).inc(sum(len(segment.rows) for segment in outcome.segments))
        m.latency.labels(*labels).observe(max(0.0, time.time() - records[-1].timestamp / 1000))
        for problem, count in Tally(each.problem for each in refused).items():
            m.dead_letters.labels(*labels, problem).inc(count)
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
        m, labels = self._all, self._labels
        summary = monitor.score.summary(rolling=True)
        name = monitor.score.names[0]
        m.loss.labels(*labels).set(summary["loss"])
        m.score.labels(*labels, name, "model").set(summary[name])
        for baseline, value in summary["baselines"].items():
            m.score.labels(*labels, name, baseline).set(value)
        m.learned.labels(*labels).inc(outcome.learned)
        for signal, feature, shift in monitor.shifts() if monitor.moved else ():
            m.shift.labels(*labels, signal, feature).set(shift)

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

    def progress(self, model: Model, lag: int | None) -> None:
        """Note how far the model is, whom its mixture listens to, and how many events wait."""
        self._all.version.labels(*self._labels).set(model.version)
        for member, weight in model.member_weights().items():
            self._all.weight.labels(*self._labels, member).set(weight)
        if lag is not None:
            self._all.lag.labels(*self._labels).set(lag)

    def checkpointed(self, size_bytes: int, seconds: float) -> None:
        """Note a checkpoint that became durable after so many seconds."""
        self._all.checkpoint_seconds.labels(*self._labels).observe(seconds)
        self._all.checkpoint_bytes.labels(*self._labels).set(size_bytes)
        self._all.checkpoint_time.labels(*self._labels).set_to_current_time()

    def checkpoint_failed(self) -> None:
        """Count a checkpoint that could not be written."""
        self._all.checkpoint_failures.labels(*self._labels).inc()
