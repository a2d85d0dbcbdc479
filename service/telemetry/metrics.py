"""Every metric name, once. Prometheus' own rules: base units, `_total`, few labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from nnstream import __version__
from service.records import Partition

_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_BATCH = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)


class Metrics:
    """All metrics of a worker, in a registry of its own.

    Args:
        model: name of the model, the first label of everything that belongs to it.

    Attributes:
        shown: the partitions that there are metrics of.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.registry = CollectorRegistry()
        self.shown: set[Partition] = set()
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
            "nnstream_score",
            "Scores over the last events (monitor.window), of the model and (accuracy, mae) of the baselines.",
            (*own, "metric", "of"), registry=r,
        )  # fmt: skip
        self.recent = Gauge(
            "nnstream_recent_score", "Scores of the model over the last minutes (monitor.window_seconds).",
            (*own, "metric"), registry=r,
        )  # fmt: skip
        self.weight = Gauge(
            "nnstream_member_weight", "Share of each network in the ensemble's mixture.", (*own, "member"), registry=r
        )
        self.rate = Gauge(
            "nnstream_member_learning_rate", "Learning rate of each network, before any schedule.", (*own, "member"),
            registry=r,
        )  # fmt: skip
        self.weight_norm = Gauge(
            "nnstream_weight_norm", "Euclidean length of all weights of each network.", (*own, "member"), registry=r
        )
        self.gradient_norm = Gauge(
            "nnstream_gradient_norm", "Mean length of each network's gradients of the newest learned events.",
            (*own, "member"), registry=r,
        )  # fmt: skip
        self.dead = Gauge(
            "nnstream_dead_relu_ratio", "Hidden ReLU units that were 0 in all of the newest learned events.",
            (*own, "member"), registry=r,
        )  # fmt: skip
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
        self.lag_seconds = Gauge(
            "nnstream_consumer_lag_seconds", "Age of the newest event taken in while others wait; 0 while none does.",
            own, registry=r,
        )  # fmt: skip
        self.to_replay = Gauge(
            "nnstream_events_to_replay", "Events still to be learned again after a restart.", own, registry=r
        )
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
        self.commits = Counter(
            "nnstream_commits", "Commits of input offsets; exactly once: of transactions.", ("model",), registry=r
        )
        self.aborted = Counter(
            "nnstream_transactions_aborted", "Transactions given up; what was published in them never counts.",
            ("model",), registry=r,
        )  # fmt: skip
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
        for counter in (self.restarts, self.commits, self.aborted):
            counter.labels(model)
        Info("nnstream_build", "What is running.", registry=r).info({"version": __version__})
