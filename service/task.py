"""All stages of one input partition, in order, on one screen. Nothing here knows which worker runs it."""

import time
from collections.abc import Callable, Sequence

import structlog

from nnstream.errors import SnapshotError
from nnstream.model import Model, ModelSpec
from service import checkpoint, publish
from service.checkpoint import CheckpointStore
from service.decode import decode
from service.errors import CheckpointError
from service.learner import Learner
from service.monitor import Drift, Monitor
from service.publish import Publisher
from service.records import Partition, Position, Record, Refused
from service.settings import Settings
from service.telemetry import PartitionMetrics, Stage

log = structlog.get_logger()


class Task:
    """One input partition: its model, its monitor, its position, its checkpoints.

    Args:
        partition: of the events topic.
        settings: of the service.
        spec: of the model.
        publisher: where results go.
        store: where checkpoints lie.
        metrics: of this partition.
        largest_dead_letter_bytes: larger dead letters are cut.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        partition: Partition,
        settings: Settings,
        spec: ModelSpec,
        *,
        publisher: Publisher,
        store: CheckpointStore,
        metrics: PartitionMetrics,
        largest_dead_letter_bytes: int = 1_000_000,
        clock: Callable[[], float] = time.monotonic,
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
        self._publisher, self._store, self._clock = publisher, store, clock
        self._checkpoint: int | None = None
        self._checkpointed_at = clock()

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
        """Return how far this partition is done, and its newest checkpoint."""
        return Position(self.offset, self._checkpoint)

    @property
    def caught_up(self) -> bool:
        """Return whether the replay after a restart is over."""
        return self.offset >= self.live_from

    @property
    def checkpoint_due(self) -> bool:
        """Return whether enough events or time have passed since the last checkpoint."""
        if self._checkpoint is None:
            return True
        behind = self.offset - self._checkpoint
        limits = self._settings.checkpoint
        late = self._clock() - self._checkpointed_at >= limits.every_seconds
        return self.caught_up and (behind >= limits.every_events or (behind > 0 and late))

    def save_checkpoint(self) -> None:
        """Write the whole state of this partition as it is now."""
        if self._checkpoint == self.offset:
            return
        with self.metrics.stage(Stage.CHECKPOINT):
            data = checkpoint.pack(
                self.learner.model, self.partition, self.offset, self.monitor.describe(), self.monitor.state()
            )
            self._store.save(self.partition, self.offset, data)
        self._checkpoint, self._checkpointed_at = self.offset, self._clock()
        self.metrics.checkpointed(len(data))

    def remove_old_checkpoints(self) -> None:
        """Keep the newest checkpoints that are not ahead of the committed position."""
        newest = self.offset if self._checkpoint is None else self._checkpoint
        done = [offset for offset in self._store.offsets(self.partition) if offset <= newest]
        for offset in done[self._settings.checkpoint.keep :]:
            self._store.delete(self.partition, offset)

    def begin(self, offset: int) -> None:
        """Start a partition that was never committed, at `offset`."""
        self.offset = self.live_from = offset

    def recover(self, committed: Position, log_start: int) -> None:
        """Restore the state of `committed`: load a checkpoint; `process` then replays what lies between.

        Raises:
            CheckpointError: no checkpoint can be used, or the log no longer reaches back to it.
        """
        problems = []
        for offset in self._candidates(committed):
            if offset < min(log_start, committed.offset):
                problems.append(f"offset {offset}: the log begins at {log_start}, the events in between are gone")
                continue
            try:
                restored = checkpoint.unpack(self._store.load(self.partition, offset), self._spec)
            except (SnapshotError, CheckpointError) as error:
                problems.append(f"offset {offset}: {error}")
                log.warning("checkpoint refused", partition=str(self.partition), offset=offset, reason=str(error))
                continue
            self.learner = Learner(self.learner.name, restored.model)
            self.monitor = self._new_monitor(self._settings)
            self.monitor.restore(restored.monitor, restored.arrays)
            self.offset, self.live_from, self._checkpoint = restored.offset, committed.offset, offset
            log.info("recovered", partition=str(self.partition), checkpoint=offset, live_from=committed.offset)
            if log_start > self.offset:
                lost = log_start - self.offset
                log.error(
                    "events lost to retention before they were read", partition=str(self.partition), events=lost
                )
                self.begin(log_start)
            return
        found = "\n".join(f"  {problem}" for problem in problems) or "  there is none"
        raise CheckpointError(
            f"{self.partition} is committed at offset {committed.offset}, but no checkpoint up to it can be used:\n"
            f"{found}\n"
            "Learning from the wrong place would give wrong predictions without a sign of it. Make the checkpoints "
            f"reachable again (checkpoint.url is {self._settings.checkpoint.url}), "
            "or start the model anew with another model.name and another kafka.group_id."
        )

    def _candidates(self, committed: Position) -> list[int]:
        newest = committed.offset if committed.checkpoint is None else committed.checkpoint
        return [offset for offset in self._store.offsets(self.partition) if offset <= newest]
