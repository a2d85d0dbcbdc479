"""All stages of one input partition, in order, on one screen. Nothing here knows which worker runs it."""

from collections.abc import Callable, Sequence

import structlog

from nnstream.model import Model, ModelSpec
from service import checkpoint, publish
from service.decode import decode
from service.learner import Learner
from service.monitor import Drift, Monitor
from service.positions import Position
from service.publish import Publisher
from service.records import Outgoing, Partition, Record, Refused
from service.recovery import Checkpoints
from service.settings import Settings
from service.source import LogRange
from service.telemetry import PartitionMetrics, Stage

log = structlog.get_logger()


class Task:
    """One input partition: its model, its monitor, its position, its checkpoints.

    Args:
        partition: of the events topic.
        settings: of the service.
        spec: of the model.
        publisher: where results go.
        checkpoints: of this partition.
        metrics: of this partition.
        largest_dead_letter_bytes: larger dead letters are cut.
        published: told of what each batch published.
    """

    def __init__(
        self,
        partition: Partition,
        settings: Settings,
        spec: ModelSpec,
        *,
        publisher: Publisher,
        checkpoints: Checkpoints,
        metrics: PartitionMetrics,
        largest_dead_letter_bytes: int = 1_000_000,
        published: Callable[[Sequence[Outgoing]], None] = lambda _: None,
    ) -> None:
        self.partition = partition
        self.metrics = metrics
        self.learner = Learner(settings.model.name, Model(spec))
        self.monitor = self._new_monitor(settings)
        self.offset = 0
        self.lag: int | None = None
        self.dead_letters = 0
        self.live_from = 0
        self._settings, self._spec = settings, spec
        self._largest_dead_letter = largest_dead_letter_bytes
        self._publisher, self._checkpoints, self._published = publisher, checkpoints, published
        self._named: int | None = None

    @staticmethod
    def _new_monitor(settings: Settings) -> Monitor:
        return Monitor(settings.model.task, settings.monitor.window, settings.monitor.drift_delta)

    # -- the way of an event

    def process(self, records: Sequence[Record]) -> None:
        """Take records in offset order through all stages; those before `live_from` are only learned."""
        replayed = sum(record.offset < self.live_from for record in records)
        if replayed:
            self._process(records[:replayed], live=False)
        if replayed < len(records):
            self._process(records[replayed:], live=True)

    def _process(self, records: Sequence[Record], *, live: bool) -> None:
        topics, where = self._settings.topics, f"{self.partition.topic}/{self.partition.number}"
        with self.metrics.stage(Stage.DECODE):
            limit = self._settings.delivery.max_event_bytes
            events = decode(records, where, limit, self.learner.model.check_label)
        with self.metrics.stage(Stage.LEARN):
            outcome = self.learner.learn(events.features, events.labels)
        with self.metrics.stage(Stage.MONITOR):
            kept = [i for i in range(len(events.records)) if i not in outcome.refused]
            predicted = outcome.predictions()
            drifts = self.monitor.observe(
                [events.labels[i] for i in kept], [predicted[i] for i in kept], outcome.losses[kept].tolist()
            )
        refused = events.refused + [
            Refused(events.records[i], "features", reason) for i, reason in outcome.refused.items()
        ]
        refused.sort(key=lambda each: each.record.offset)  # dead letters keep the log order too
        self.offset = records[-1].offset + 1
        if live:
            with self.metrics.stage(Stage.PUBLISH):
                name, number = self.learner.name, self.partition.number
                out = publish.predictions(events, outcome, name, self.partition, topics.predictions, number)
                out += publish.dead_letters(refused, self.partition, topics.dead_letters, self._largest_dead_letter)
                for drift in drifts:
                    i = kept[drift.index]
                    record, ts = events.records[i], events.timestamps[i]
                    out.append(
                        publish.alert(self._alert(drift, record, ts), topics.alerts, publish.stamp(ts, record))
                    )
                self._publisher.send(out)
                self._published(out)
            self.dead_letters += len(refused)
            self.metrics.drift(self.monitor.signal, len(drifts))
        self.metrics.batch(records, refused, outcome, self.monitor, live=live)

    def _alert(self, drift: Drift, record: Record, ts: int) -> dict[str, object]:
        log.warning(
            "drift", partition=str(self.partition), offset=record.offset, before=drift.before, after=drift.after
        )
        return {
            "model": self.learner.name,
            "signal": self.monitor.signal,
            "detector": self.monitor.detector,
            "source": {"topic": self.partition.topic, "partition": self.partition.number, "offset": record.offset},
            "ts": ts,
            "before": drift.before,
            "after": drift.after,
        }

    # -- checkpoints and recovery

    @property
    def position(self) -> Position:
        """Return how far this partition is done, and its newest durable checkpoint."""
        return Position(self.offset, self._checkpoints.newest)

    @property
    def caught_up(self) -> bool:
        """Return whether the replay after a restart is over."""
        return self.offset >= self.live_from

    def keep(self, *, hand_over: bool) -> None:
        """Begin a checkpoint when one is due; when handing over, wait for one of this very moment."""
        self._checkpoints.settle()
        if self.caught_up and (hand_over or self._checkpoints.due(self.offset)):
            self._checkpoints.write(self.offset, self._pack, wait=hand_over)

    def _pack(self) -> checkpoint.Packed:
        with self.metrics.stage(Stage.CHECKPOINT):
            return checkpoint.pack(
                self.learner.model, self.partition, self.offset, self.monitor.describe(), self.monitor.state()
            )

    def committed(self, position: Position) -> None:
        """Remove the checkpoints that a commit has made needless."""
        if position.checkpoint != self._named:
            self._named = position.checkpoint
            self._checkpoints.remove_old()

    def begin(self, offset: int) -> None:
        """Start a partition that was never committed, at `offset`."""
        self.offset = self.live_from = offset

    def recover(self, committed: Position, log_range: LogRange) -> None:
        """Restore the state of `committed`: load a checkpoint; `process` then replays what lies between.

        Raises:
            CheckpointError: no checkpoint can be used, or this is not the log that was committed.
        """
        restored = self._checkpoints.find(committed, log_range, self._spec)
        self.learner = Learner(self.learner.name, restored.model)
        self.monitor = self._new_monitor(self._settings)
        self.monitor.restore(restored.monitor, restored.arrays)
        self.offset, self.live_from, self._named = restored.offset, committed.offset, committed.checkpoint
        log.info("recovered", partition=str(self.partition), checkpoint=self.offset, live_from=committed.offset)
        if log_range.start > self.offset:
            lost = log_range.start - self.offset
            log.error("events lost to retention before they were read", partition=str(self.partition), events=lost)
            self.begin(log_range.start)
