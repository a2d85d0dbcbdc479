"""The checkpoints of one partition: when one is due, writing it beside the loop, finding one to go on from."""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future

import structlog

from nnstream.errors import SnapshotError
from nnstream.model import ModelSpec
from nnstream.snapshot import Captured
from service import checkpoint
from service.checkpoint import CheckpointStore, Restored, State
from service.errors import BrokerError, CheckpointError, TopicMissingError
from service.positions import Position
from service.records import Partition
from service.settings import CheckpointSettings
from service.source import LogRange
from service.telemetry import PartitionMetrics

log = structlog.get_logger()

_RETRY_SECONDS = 5.0
_UNWRITTEN = (CheckpointError, BrokerError, TopicMissingError)  # the loop can go on with the checkpoint before


class Checkpoints:
    """Writes and finds the checkpoints of one partition.

    Writing takes a copy of the state at once, and the rest of the time on a thread: the loop goes on meanwhile, and
    commits go on naming the checkpoint before until the new one is durable.

    Args:
        partition: whose.
        settings: how often, and how many to keep.
        store: where they lie.
        executor: runs what need not be waited for; one thread, so that the order is kept.
        metrics: of the partition.
        clock: seconds, monotonic.

    Attributes:
        newest: name of the newest durable one that this worker wrote or went on from.
    """

    def __init__(
        self,
        partition: Partition,
        settings: CheckpointSettings,
        store: CheckpointStore,
        executor: Executor,
        metrics: PartitionMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.newest: int | None = None
        self._partition, self._settings, self._store = partition, settings, store
        self._executor, self._metrics, self._clock = executor, metrics, clock
        self._pending: tuple[int, Future[int]] | None = None
        self._begun_at, self._begun_at_name = clock(), 0
        self._retry_at = float("-inf")

    def due(self, name: int) -> bool:
        """Return whether enough records or time have passed since the last one was begun."""
        if self._pending is not None or self._clock() < self._retry_at:
            return False
        behind = name - self._begun_at_name
        late = self._clock() - self._begun_at >= self._settings.every_seconds
        return self.newest is None or behind >= self._settings.every_events or (behind > 0 and late)

    def write(self, name: int, pack: Callable[[], Captured], *, wait: bool) -> None:
        """Write the state that `pack` copies; `wait` until it is durable.

        Raises:
            CheckpointError: it could not be written, and there is none before it.
            BrokerError: the same, because Kafka does not answer or refuses.
        """
        self.settle(wait=True)
        if self.newest == name:
            return
        start = time.perf_counter()
        packed = pack()
        self._begun_at, self._begun_at_name = self._clock(), name
        self._pending = name, self._executor.submit(self._save, name, packed, start)
        self.settle(wait=wait or self.newest is None)

    def _save(self, name: int, packed: Captured, start: float) -> int:
        data = packed.to_bytes()
        self._store.save(self._partition, name, data)
        self._metrics.checkpointed(len(data), time.perf_counter() - start)
        return name

    def settle(self, *, wait: bool = False) -> None:
        """Take note of a checkpoint that has become durable, or could not be written."""
        if self._pending is None or not (wait or self._pending[1].done()):
            return
        (name, future), self._pending = self._pending, None
        try:
            self.newest = future.result()
        except _UNWRITTEN as error:
            self._retry_at, self._begun_at_name = self._clock() + _RETRY_SECONDS, self.newest or 0
            self._metrics.checkpoint_failed()
            problem = {"partition": str(self._partition), "offset": name, "reason": str(error)}
            log.error("checkpoint not written", **problem)  # noqa: TRY400  # it says what is wrong, and where
            if self.newest is None:
                raise

    def remove_old(self) -> None:
        """Keep the newest ones that are not ahead of the committed position; a crash left those ahead."""
        newest = self.newest
        if newest is not None:
            self._executor.submit(self._remove, newest)

    def _remove(self, newest: int) -> None:
        try:
            done = [offset for offset in self._store.offsets(self._partition) if offset <= newest]
            for offset in done[self._settings.keep :]:
                self._store.delete(self._partition, offset)
        except _UNWRITTEN as error:
            log.warning("old checkpoints not removed", partition=str(self._partition), reason=str(error))

    def find(
        self,
        committed: Position,
        log_range: LogRange,
        spec: ModelSpec,
        problem_with: Callable[[State], str | None],
        warm: Restored | None = None,
    ) -> Restored:
        """Return the newest usable state that is not ahead of what is committed: the warm one, or a checkpoint.

        Args:
            committed: where the predecessor stood.
            log_range: of the events.
            spec: of the model.
            problem_with: says what else keeps a checkpoint from being used; None where nothing does.
            warm: what a warm copy of this partition has come to.

        Raises:
            CheckpointError: there is none; the message says what is wrong with each, and what to do.
            BrokerError: the store is in Kafka, which does not answer: no reason to take an older one.
        """
        self._check_log(committed, log_range)
        if warm is not None and committed.checkpoint is not None and _on_the_way(warm.state, committed, problem_with):
            self.newest = self._begun_at_name = committed.checkpoint
            return warm
        problems = []
        newest = committed.offset if committed.checkpoint is None else committed.checkpoint
        for name in self._store.offsets(self._partition):
            if name > newest:
                continue
            try:
                found = checkpoint.unpack(self._store.load(self._partition, name), spec)
                problem = _unreachable(found.state, committed, log_range) or problem_with(found.state)
            except (SnapshotError, CheckpointError) as error:
                problem = str(error)
            if problem is None:
                self.newest = self._begun_at_name = name
                return found
            problems.append(f"  offset {name}: {problem}")
            log.warning("checkpoint refused", partition=str(self._partition), offset=name, reason=problem)
        tried = "\n".join(problems) or "  there is none"
        raise CheckpointError(
            f"{self._partition} is committed at offset {committed.offset}, but no checkpoint up to it can be used:\n"
            f"{tried}\n{self._advice}"
        )

    def _check_log(self, committed: Position, log_range: LogRange) -> None:
        """Refuse to go on in a log that is not the one that was committed."""
        if None not in (committed.topic_id, log_range.topic_id) and committed.topic_id != log_range.topic_id:
            raise CheckpointError(
                f"the topic {self._partition.topic} was created anew: it had the id {committed.topic_id} when offset "
                f"{committed.offset} was committed, and has {log_range.topic_id} now. {self._advice}"
            )
        if committed.offset > log_range.end:
            raise CheckpointError(
                f"{self._partition} is committed at offset {committed.offset}, but its log ends at {log_range.end}: "
                f"records were lost, or the topic was created anew. {self._advice}"
            )
        if committed.checkpoint is None:
            log.warning(
                "another program set the committed offset; going on from the newest checkpoint before it",
                partition=str(self._partition), offset=committed.offset,
            )  # fmt: skip

    @property
    def _advice(self) -> str:
        place = self._settings.url or "the topic topics.checkpoints"
        return (
            "Learning from the wrong place would give wrong predictions without a sign of it. Make the checkpoints "
            f"(checkpoint.url: {place}) and the log reachable again; see `nnstream checkpoint verify`. Or start the "
            "model anew, with another model.name and another kafka.group_id."
        )


def _on_the_way(state: State, committed: Position, problem_with: Callable[[State], str | None]) -> bool:
    return state.offset <= committed.offset and problem_with(state) is None


def _unreachable(state: State, committed: Position, log_range: LogRange) -> str | None:
    if state.offset < min(log_range.start, committed.offset):
        return f"the log begins at {log_range.start}, the events in between are gone"
    return None
