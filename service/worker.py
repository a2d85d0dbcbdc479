"""The loop around the tasks: poll, hand out, commit in time, take over and hand over partitions, stop in order."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import structlog

from service.errors import CommitPostponedError
from service.publish import Publisher
from service.records import Partition, Position
from service.settings import Settings
from service.source import Source
from service.task import Task
from service.telemetry import Telemetry

log = structlog.get_logger()

_POLL_SECONDS = 0.2
_SHORTEST_POLL_SECONDS = 0.01
_INSTANT_POLL_SECONDS = 0.001
_REJOIN_POLL_SECONDS = 1.0  # a poll that is too short never gets to join the group anew


class Deadline:
    """A moment in the future.

    Args:
        seconds: from now.
        clock: seconds, monotonic.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self._end = self._clock() + self._seconds

    def remaining(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self._end - self._clock())

    def expired(self) -> bool:
        """Return whether it has passed."""
        return self._clock() >= self._end


class Worker:
    """One member of the consumer group, with a task for each partition it owns.

    Args:
        settings: of the service.
        source: where events come from.
        publisher: where results go.
        new_task: makes a task for a partition.
        telemetry: of this worker.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        source: Source,
        publisher: Publisher,
        new_task: Callable[[Partition], Task],
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tasks: dict[Partition, Task] = {}
        self.joined = False
        self.state: Literal["starting", "running", "stopped"] = "starting"
        self._settings, self._source, self._publisher = settings, source, publisher
        self._new_task, self.telemetry = new_task, telemetry
        self._committed: dict[Partition, Position] = {}
        self._deadline = Deadline(settings.delivery.commit_interval_ms / 1000, clock)
        self._rejoining = False
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the loop to end after the current batch; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop` is called; then commit everything and leave the group."""
        self._source.subscribe(self._settings.topics.events, self)
        self.state = "running"
        try:
            while not self._stopping.is_set():
                self.step()
        except BaseException:
            self.tasks.clear()  # a batch was left half done: only what was committed before it counts
            raise
        finally:
            self.state = "stopped"
            try:
                self._source.close()
            finally:
                self._publisher.close()

    def step(self) -> None:
        """Take one poll's records through the tasks, and commit when it is time."""
        batches = self._source.poll(self._patience())
        for partition, records in batches.items():
            if partition in self.tasks and records:
                self.tasks[partition].process(records)
        if self._deadline.expired():
            self.commit(self.tasks)
            self._deadline.restart()
        if not batches and self._settings.kafka.idle_sleep_ms:
            self._stopping.wait(self._settings.kafka.idle_sleep_ms / 1000)

    def _patience(self) -> float:
        if self._rejoining:
            return _REJOIN_POLL_SECONDS
        if self._settings.kafka.idle_sleep_ms:
            return _INSTANT_POLL_SECONDS  # such a broker answers at once, and the client would ask again and again
        return max(_SHORTEST_POLL_SECONDS, min(_POLL_SECONDS, self._deadline.remaining()))

    # -- the commit protocol: numbers as in service/checkpoint.py

    def commit(self, partitions: Sequence[Partition] | Mapping[Partition, Task]) -> None:
        """Make what is done durable, where anything was done since the last commit."""
        positions = self._prepare([self.tasks[p] for p in partitions], checkpoint=False)
        if positions:
            try:
                with self._timed():
                    self._publisher.flush()  # 2
                    self._source.commit(positions)  # 3
            except CommitPostponedError as error:
                log.info("commit postponed", reason=str(error))
                self._rejoining = True
                return
            self._rejoining = False
            self._finish(positions)
        for partition, task in self.tasks.items():
            task.lag = self._source.lag(partition)
            task.metrics.progress(task.learner.model.version, task.lag)

    def _prepare(self, tasks: Sequence[Task], *, checkpoint: bool) -> dict[Partition, Position]:
        for task in tasks:
            if task.caught_up and (checkpoint or task.checkpoint_due):
                task.save_checkpoint()  # 1
        positions = {task.partition: task.position for task in tasks if task.caught_up}
        return {p: position for p, position in positions.items() if self._committed.get(p) != position}

    def _finish(self, positions: Mapping[Partition, Position]) -> None:
        for partition, position in positions.items():
            previous = self._committed.get(partition)
            if previous is None or previous.checkpoint != position.checkpoint:
                self.tasks[partition].remove_old_checkpoints()  # 4
            self._committed[partition] = position

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.telemetry.commits.labels(self.telemetry.model).inc()
        self.telemetry.commit_seconds.labels(self.telemetry.model).observe(time.perf_counter() - start)

    # -- partitions come and go

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Take over partitions: restore each one's state and continue where it was committed."""
        for partition in partitions:
            if partition in self.tasks:  # still ours after a rebalance: its state is newer than any checkpoint
                self._source.seek(partition, self.tasks[partition].offset)
                continue
            task = self._new_task(partition)
            committed = self._source.committed(partition)
            start, end = self._source.log_range(partition)
            if committed is None:
                task.begin(start if self._settings.kafka.start_from == "earliest" else end)
            else:
                task.recover(committed, start)
                self._committed[partition] = committed
            self.tasks[partition] = task
            self._source.seek(partition, task.offset)
            log.info("partition assigned", partition=str(partition), offset=task.offset, live_from=task.live_from)
        self.joined = True
        self.telemetry.assigned.labels(self.telemetry.model).set(len(self.tasks))
        self.commit(self.tasks)

    def revoked(self, partitions: Sequence[Partition]) -> Mapping[Partition, Position]:
        """Hand over: checkpoint, flush, and let the source commit the final positions."""
        owned = [self.tasks[p] for p in partitions if p in self.tasks]
        positions = self._prepare(owned, checkpoint=True)
        if positions:
            self._publisher.flush()
        self.lost(partitions)  # old checkpoints are the successor's to remove: nothing is committed yet
        return positions

    def lost(self, partitions: Sequence[Partition]) -> None:
        """Forget partitions that are already somebody else's."""
        for partition in partitions:
            self.tasks.pop(partition, None)
            self._committed.pop(partition, None)
            log.info("partition given up", partition=str(partition))
        self.telemetry.assigned.labels(self.telemetry.model).set(len(self.tasks))
