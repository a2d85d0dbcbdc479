"""What Prometheus is told. docs/metrics.md lists every metric; a test fails when one is missing there."""

from collections.abc import Collection

from prometheus_client import Gauge
from prometheus_client.metrics import MetricWrapperBase

from service.client_statistics import ClientStatistics
from service.records import Partition
from service.telemetry.metrics import Metrics
from service.telemetry.partition import PartitionMetrics, Stage

__all__ = ["PartitionMetrics", "Stage", "Telemetry"]


class Telemetry(Metrics):
    """All metrics of a worker, in a registry of its own; see `Metrics`."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.registry_reachable = Gauge(
            "nnstream_schema_registry_reachable", "Whether the schema registry answered when it was last asked.",
            ("model",), registry=self.registry,
        )  # fmt: skip

    def client(self, said: ClientStatistics) -> None:
        """Note what a Kafka client says of itself."""
        self.client_waiting.labels(self.model, said.end).set(said.waiting)
        self.round_trip.labels(self.model, said.end).set(said.round_trip_seconds)

    def registry_answered(self, answers: bool) -> None:
        """Note whether the schema registry answers."""
        self.registry_reachable.labels(self.model).set(answers)

    def restarted(self, *, transactional: bool) -> None:
        """Count a start from the last commit; a transaction that was open then is given up."""
        self.restarts.labels(self.model).inc()
        if transactional:
            self.aborted.labels(self.model).inc()

    def partition(self, partition: Partition) -> PartitionMetrics:
        """Return the metrics of one partition."""
        self.shown.add(partition)
        return PartitionMetrics(self, partition)

    def owned(self, partitions: Collection[Partition]) -> None:
        """Note which partitions this worker owns: what others own is theirs to show, or sums would count it twice."""
        self.assigned.labels(self.model).set(len(partitions))
        metrics = [each for each in vars(self).values() if isinstance(each, MetricWrapperBase)]
        for partition in self.shown.difference(partitions):
            for metric in metrics:
                if "partition" in metric._labelnames:  # noqa: SLF001  # has no other name
                    metric.remove_by_labels({"partition": str(partition.number)})
        self.shown.intersection_update(partitions)
