"""All stages of one input partition, in order, on one screen. Nothing here knows which worker runs it."""

from collections.abc import Sequence
from typing import Any

import structlog

from nnstream.conformal import Region
from nnstream.drift.detectors import DetectorSpec
from nnstream.drift.signals import SignalSpec
from nnstream.frozen import Embedding
from nnstream.model import Model, ModelSpec
from nnstream.outcome import Outcome
from nnstream.snapshot import Captured
from service import checkpoint, publish
from service.checkpoint import Restored, State
from service.confidence import Confidence
from service.decode import decode
from service.formats import Format
from service.intake import Batch, Intake, off_the_way
from service.labels import Joined, LabelJoin
from service.learner import Learner
from service.monitor import Drift, Monitor, MonitorSpec
from service.observe import Unseen, observed
from service.positions import Position
from service.publish import Publisher
from service.reasons import Reasons, as_record
from service.records import Outgoing, Partition, Record, Refused
from service.recovery import Checkpoints
from service.settings import Settings
from service.source import LogRange
from service.telemetry import PartitionMetrics, Stage
from service.watch import Nobody, Watcher

log = structlog.get_logger()


class Task:
    """One input partition: its model, its waiting labels, its monitor, its position, its checkpoints.

    Args:
        partition: of the events topic.
        settings: of the service.
        spec: of the model.
        start: the model where nothing was committed; None is a fresh one.
        form: reads the records that come in.
        publisher: where results go.
        checkpoints: of this partition.
        metrics: of this partition.
        largest_dead_letter_bytes: larger dead letters are cut.
        watcher: shown what each batch did.
    """

    def __init__(
        self,
        partition: Partition,
        settings: Settings,
        spec: ModelSpec,
        *,
        start: Model | None = None,
        form: Format,
        publisher: Publisher,
        checkpoints: Checkpoints,
        metrics: PartitionMetrics,
        largest_dead_letter_bytes: int = 1_000_000,
        watcher: Watcher | None = None,
    ) -> None:
        self.partition = partition
        self.metrics = metrics
        self.learner = Learner(settings.model.name, start or Model(spec))
        self.embedding = Embedding(spec)
        self.labels = LabelJoin(settings.labels, form.features_of, form.label_of)
        self.monitor = Monitor(_monitor_spec(settings))
        self.confidence = Confidence(settings.model.confidence, regression=settings.model.task == "regression")
        self.reasons = Reasons(
            settings.explain.share, settings.explain.method, settings.model.network.seed, partition.number
        )
        self.intake = Intake(labels_topic=settings.topics.labels is not None)
        self._unseen = Unseen()
        self.lag: int | None = None
        self.dead_letters = 0
        self._settings, self._spec, self._form = settings, spec, form
        self._largest_dead_letter = largest_dead_letter_bytes
        self._publisher, self._checkpoints, self._watcher = publisher, checkpoints, watcher or Nobody()
        self._named: int | None = None
        self._offsets: dict[int, int] = {}  # event offsets of the newest checkpoints, by their names

    # -- the way of an event

    def process(self, records: Sequence[Record]) -> None:
        """Take events in offset order through all stages; what was committed before is only learned."""
        self.intake.add(records)
        for batch in self.intake.batches():
            self._process(batch)

    def process_labels(self, records: Sequence[Record]) -> None:
        """Take in records of the labels topic; they are learned with the next commit."""
        self.intake.add_labels(records)
        for batch in self.intake.batches():
            self._process(batch)

    def _process(self, batch: Batch) -> None:
        where, limit = f"{self.partition.topic}/{self.partition.number}", self._settings.delivery.max_event_bytes
        with self.metrics.stage(Stage.DECODE):
            check = self.learner.model.check_label
            events = decode(batch.records, where, limit, check, self._form, labels_only=batch.labels)
            joined = self.labels.join(events)
        if self.embedding.names:
            with self.metrics.stage(Stage.EMBED):
                joined.features = self.embedding.rows(joined.features)
        with self.metrics.stage(Stage.LEARN):
            outcome = self.learner.learn(joined.features, joined.labels, self.reasons.request(joined))
            regions = self.confidence.observe(joined, outcome, self.learner.model)
        published = self._predictions(joined, outcome, regions, live=batch.live)
        refused = _in_order(events.refused, joined, outcome)
        if batch.live:
            with self.metrics.stage(Stage.PUBLISH):
                self._publish(joined, published, refused)
            self.reasons.note(list(outcome.explanations.values()))
            self.metrics.beside(self.confidence.conformal, self.reasons.means)
        self._observe(joined, outcome, live=batch.live)  # predictions do not wait for this
        self.metrics.batch(batch, joined, refused, outcome, pending=self.labels.pending)

    def _predictions(
        self, joined: Joined, outcome: Outcome, regions: Sequence[Region | None], *, live: bool
    ) -> list[Outgoing | None]:
        """Return what is (or was) published about each row, and keep it for those that wait for their label."""
        waits = not joined.plain and any(entry is not None for entry in joined.entries)
        if not (live or waits):
            return []
        with self.metrics.stage(Stage.PUBLISH):
            name, topic = self.learner.name, self._settings.topics.predictions
            more = self.confidence.as_records(regions)
            for i, explanation in outcome.explanations.items():
                more[i] = more.get(i, {}) | as_record(explanation)
            published = publish.predictions(joined, outcome, name, self.partition, topic, more)
        if waits:
            self.labels.note_predictions(joined, published)
        return published

    def _observe(self, joined: Joined, outcome: Outcome, *, live: bool) -> None:
        """Keep what a batch gave for the monitor, and show it once there may be a block."""
        part = observed(joined, outcome, self.learner.model)
        self._watcher.scored(self.partition.number, part.labels, part.published)
        if not self.monitor.spec.enabled:
            return
        if self._unseen.live is not live:
            self._look()
        self._unseen.add(joined, part, live=live)
        if self._unseen.is_block:
            self._look()

    def _look(self) -> None:
        """Show the monitor what it has not seen, and tell what changed."""
        seen, self._unseen = self._unseen, Unseen()
        if not seen.records:
            return
        with self.metrics.stage(Stage.MONITOR):
            drifts = self.monitor.observe(seen.together())
        if seen.live:
            self._alert(seen, [drift for drift in drifts if drift.is_alert])
            self.metrics.drift(drifts)
            if self.monitor.moved:
                self.metrics.moved(self.monitor)

    def _publish(self, joined: Joined, published: Sequence[Outgoing | None], refused: Sequence[Refused]) -> None:
        topics = self._settings.topics
        out = [record for record in published if record is not None]
        out += publish.dead_letters(refused, self.partition, topics.dead_letters, self._largest_dead_letter)
        if topics.expired is not None:
            out += [
                publish.expired(each, each.ts, why, self.partition, topics.expired) for _, each, why in joined.expired
            ]
        self._send(out)
        self.dead_letters += len(refused)

    def _send(self, out: Sequence[Outgoing]) -> None:
        self._publisher.send(out)
        self._watcher.published(out)

    def _alert(self, seen: Unseen, drifts: Sequence[Drift]) -> None:
        out = []
        for drift in drifts:
            record, ts = seen.records[drift.row], seen.timestamps[drift.row]
            body = self._alert_body(drift, record, ts)
            out.append(publish.alert(body, self._settings.topics.alerts, publish.stamp(ts, record)))
        if out:
            self._send(out)

    def _alert_body(self, drift: Drift, record: Record, ts: int) -> dict[str, object]:
        what = {"signal": drift.signal, "feature": drift.feature, "before": drift.before, "after": drift.after}
        log.warning("drift", partition=str(self.partition), offset=record.offset, **what)
        source = {"topic": self.partition.topic, "partition": self.partition.number, "offset": record.offset}
        return {"model": self.learner.name, "source": source, "ts": ts, **drift.body()}

    # -- checkpoints and recovery

    @property
    def offset(self) -> int:
        """Return the offset of the next event."""
        return self.intake.offset

    @property
    def live_from(self) -> int:
        """Return the offset at which the replay after a restart ends."""
        return self.intake.live_from

    @property
    def caught_up(self) -> bool:
        """Return whether the replay after a restart is over."""
        return self.intake.caught_up

    @property
    def position(self) -> Position:
        """Return how far this partition is done, and its newest durable checkpoint."""
        return Position(self.offset, self._checkpoints.newest, labels=self.intake.history)

    def prepare_commit(self, *, hand_over: bool) -> None:
        """Take the labels that have arrived, and begin a checkpoint when one is due.

        Args:
            hand_over: wait for a checkpoint of this very moment.
        """
        for batch in self.intake.labels_now():
            self._process(batch)
        self._look()
        self._checkpoints.settle()
        name = self.offset + self.intake.labels_offset
        if self.caught_up and (hand_over or self.intake.crowded or self._checkpoints.due(name)):
            self._checkpoints.write(name, self._capture, wait=hand_over or self.intake.crowded)

    def _capture(self) -> Captured:
        with self.metrics.stage(Stage.CHECKPOINT):
            model, state = self.restored()
            self._offsets[state.name] = state.offset
            return checkpoint.pack(model, self.partition, state)

    def restored(self) -> Restored:
        """Return what a task that goes on from here needs; this one must not go on meanwhile."""
        self._look()
        state = State(
            self.offset, self.intake.labels_offset, self.monitor.describe(), self.monitor.state(),
            self.labels.state(), self.confidence.describe(), self.confidence.state(),
        )  # fmt: skip
        return Restored(self.learner.model, state)

    def committed(self, position: Position) -> None:
        """Remove what a commit has made needless: older checkpoints, and the history before them."""
        if position.checkpoint == self._named:
            return
        before, self._named = self._named, position.checkpoint
        if before in self._offsets:  # should the newest be damaged, this one is still of use
            self.intake.forget_before(self._offsets.pop(before))
        self._checkpoints.remove_old()

    def begin(self, offset: int, labels_offset: int = 0) -> None:
        """Start a partition that was never committed."""
        self.intake.begin(offset, labels_offset)

    def recover(
        self,
        committed: Position,
        log_range: LogRange,
        labels: LogRange | None = None,
        warm: Restored | None = None,
    ) -> None:
        """Restore the state of `committed`: load a checkpoint; `process` then replays what lies between.

        Args:
            committed: where the predecessor stood.
            log_range: of the events.
            labels: of the labels topic, where there is one.
            warm: what a warm copy of this partition has come to; used instead where it is on the way.

        Raises:
            CheckpointError: no checkpoint can be used, or this is not the log that was committed.
        """

        def problem(state: State) -> str | None:
            if labels is not None and state.labels_offset < labels.start:
                return f"the labels begin at {labels.start}, those from {state.labels_offset} on are gone"
            return off_the_way(committed, state.offset, state.labels_offset)

        model, state = self._checkpoints.find(committed, log_range, self._spec, problem, warm)
        self.learner = Learner(self.learner.name, model)
        self.monitor.restore(state.monitor, state.monitor_arrays)
        self.labels.restore(state.waiting)
        self.confidence.restore(state.confidence, state.confidence_arrays)
        self.intake.resume(state.offset, state.labels_offset, committed)
        self._named, self._offsets[state.name] = committed.checkpoint, state.offset
        log.info(
            "recovered", partition=str(self.partition), checkpoint=self._checkpoints.newest, offset=self.offset,
            live_from=committed.offset, warm=warm is not None and model is warm.model,
        )  # fmt: skip
        if log_range.start > self.offset:
            lost = log_range.start - self.offset
            log.error("events lost to retention before they were read", partition=str(self.partition), events=lost)
            self.begin(log_range.start, self.intake.labels_offset)

    def leads_to(self, committed: Position) -> bool:
        """Return whether going on from here leads to what is committed now."""
        return (
            committed.offset >= self.offset and off_the_way(committed, self.offset, self.intake.labels_offset) is None
        )

    def replay_to(self, committed: Position) -> None:
        """Replay up to what is committed now."""
        self.intake.resume(self.offset, self.intake.labels_offset, committed)


def _monitor_spec(settings: Settings) -> MonitorSpec:
    wanted = settings.monitor
    detector = DetectorSpec(wanted.detector, wanted.false_alarm_every, wanted.detector_parameters)
    signals = SignalSpec(detector, wanted.signals, wanted.max_features)
    return MonitorSpec(
        settings.model.task, wanted.window, wanted.window_seconds, signals, wanted.cool_down_events, wanted.enabled
    )


def _in_order(undecoded: Sequence[Refused], joined: Joined, outcome: Outcome) -> list[Refused]:
    """Return everything that was refused in the order of the records at which that was found."""
    found: list[tuple[int, Refused]] = [(each.record.offset, each) for each in undecoded] + joined.refused
    for i, reason in outcome.refused.items():
        record = joined.records[i]
        problem: Any = "features" if joined.is_event[i] else "label"
        why = reason if joined.is_event[i] else f"its event cannot be learned: {reason}"
        found.append((record.offset, Refused(record, problem, why)))
    return [refused for _, refused in sorted(found, key=lambda each: each[0])]
