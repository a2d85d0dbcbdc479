"""The loop around the tasks: poll, hand out, commit in time, take over and hand over partitions, stop in order."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import structlog

from service.connection import Connection
from service.deadline import Deadline
from service.errors import CommitPostponedError, StartOverError
from service.positions import Position
from service.records import Partition, Record
from service.settings import Settings
from service.standby import Standby
from service.task import Task
from service.telemetry import Telemetry

log = structlog.get_logger()

_POLL_SECONDS = 0.2
_SHORTEST_POLL_SECONDS = 0.01
_INSTANT_POLL_SECONDS = 0.001
_REJOIN_POLL_SECONDS = 1.0  # a poll that is too short never gets to join the group anew
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0


class Worker:
    """One member of the consumer group, with a task for each partition it owns.

    Args:
        settings: of the service.
        connect: makes the connection to Kafka and to the checkpoints; called again whenever it is lost.
        new_task: makes a task for a partition.
        standby: keeps copies of others' partitions while it has none.
        telemetry: of this worker.
        clock: seconds, monotonic.

    Attributes:
        trouble: why it had to start over, until it works again.
        joined: whether it has been given partitions, or, for as long as a session may last, there were none for it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: Callable[[], Connection],
        new_task: Callable[[Partition, Connection], Task],
        standby: Standby,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tasks: dict[Partition, Task] = {}
        self.joined = False
        self.state: Literal["starting", "running", "reconnecting", "stopped"] = "starting"
        self.trouble: str | None = None
        self.telemetry = telemetry
        self._settings, self._connect, self._new_task, self._standby = settings, connect, new_task, standby
        self._committed: dict[Partition, Position] = {}
        self._topic_ids: dict[Partition, str | None] = {}
        self._deadline = Deadline(settings.delivery.commit_interval_ms / 1000, clock)
        self._patient = Deadline(settings.kafka.session_timeout_ms / 1000, clock)
        self._rejoining = False
        self._failure: StartOverError | None = None
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the loop to end after the current batch; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop` is called; then commit everything and leave the group.

        A connection that is lost, and a transaction that another worker or the broker has ended, are no end: the
        tasks are dropped, and everything begins anew from the last commit.
        """
        pause = _SHORTEST_PAUSE_SECONDS
        try:
            while not self._stopping.is_set():
                try:
                    self.work()
                except StartOverError as error:
                    if self.state == "starting":
                        raise
                    pause = (
                        _SHORTEST_PAUSE_SECONDS if self.state == "running" else min(2 * pause, _LONGEST_PAUSE_SECONDS)
                    )
                    self.state, self.trouble = "reconnecting", str(error)
                    log.warning("starting over from the last commit", reason=str(error), pause_seconds=pause)
                    self.telemetry.restarted(transactional=self._publisher.identity is not None)
                    self._stopping.wait(pause)
        finally:
            self.state = "stopped"

    def work(self) -> None:
        """Connect, join the group and work until told to stop; what was not committed is dropped on any error."""
        connection = self._connect()
        try:
            self.begin(connection)
            while not self._stopping.is_set():
                self.step()
        except BaseException:
            self.forget()  # a batch was left half done: only what was committed before it counts
            connection.abandon()
            raise
        connection.close()
        if self._failure is not None:  # while leaving, on another thread
            raise self._failure

    def begin(self, connection: Connection) -> None:
        """Join the group."""
        self._source, self._publisher = connection.source, connection.publisher
        self._connection, self._failure = connection, None
        self._patient.restart()
        self._source.subscribe(self._settings.topics.events, self)

    def forget(self) -> None:
        """Drop all tasks as they are."""
        self.tasks.clear()
        self._committed.clear()
        self._standby.forget()
        self.telemetry.assigned.labels(self.telemetry.model).set(0)

    def step(self) -> None:
        """Take one poll's records through the tasks, and commit when it is time."""
        batches = self._source.poll(self._patience())
        if self._failure is not None:
            raise self._failure
        self.state, self.trouble = "running", None
        for partition, records in batches.items():
            self._hand_out(partition, records)
        if self.tasks:
            self._standby.clear(self._source)
        else:
            self._standby.step(self._connection)
            self.joined |= self._patient.expired() and not self._standby.behind
        if self._deadline.expired():
            self.commit()
            self._deadline.restart()
        if not batches and self._settings.kafka.idle_sleep_ms:
            self._stopping.wait(self._settings.kafka.idle_sleep_ms / 1000)

    def _hand_out(self, partition: Partition, records: Sequence[Record]) -> None:
        topics = self._settings.topics
        task = self.tasks.get(Partition(topics.events, partition.number))
        if not records:
            return
        if task is None:
            self._standby.add(partition, records, self._source)
        elif partition.topic == topics.labels:
            task.process_labels(records)
        else:
            task.process(records)

    def _patience(self) -> float:
        if self._rejoining:
            return _REJOIN_POLL_SECONDS
        if self._standby.behind:
            return _SHORTEST_POLL_SECONDS
        if self._settings.kafka.idle_sleep_ms:
            return _INSTANT_POLL_SECONDS  # such a broker answers at once, and the client would ask again and again
        return max(_SHORTEST_POLL_SECONDS, min(_POLL_SECONDS, self._deadline.remaining()))

    # -- the commit protocol: numbers as in service/checkpoint.py

    def commit(self, leaving: Sequence[Partition] = ()) -> bool:
        """Make what is done durable, where anything was done since the last commit.

        Args:
            leaving: partitions that somebody else continues after this commit.

        Returns:
            Whether that succeeded; when the group is sharing out its partitions it has to wait.
        """
        for task in self.tasks.values():
            task.prepare_commit(hand_over=task.partition in leaving)  # 1
        done = {p: self._position(task, p in leaving) for p, task in self.tasks.items()}
        positions = {p: place for p, place in done.items() if place is not None and place != self._committed.get(p)}
        if positions:
            try:
                with self._timed():
                    self._publisher.commit(positions, self._source)  # 2, 3
            except CommitPostponedError as error:
                log.info("commit postponed", reason=str(error))
                self._rejoining = True
                return False
            self._rejoining = False
            for partition, position in positions.items():
                self._committed[partition] = position
                if partition not in leaving:
                    self.tasks[partition].committed(position)  # 4
        for partition, task in self.tasks.items():
            if partition not in leaving:
                task.lag = self._source.lag(partition)
                to_replay = task.live_from - task.offset
                task.metrics.progress(task.learner.model, task.monitor.score, task.lag, to_replay=to_replay)
        return True

    def _position(self, task: Task, leaves: bool) -> Position | None:
        """Return what to commit for a task; while it replays, only that it is nobody's any more."""
        if not task.caught_up:
            return replace(self._committed[task.partition], owner=None) if leaves else None
        owner = None if leaves else self._publisher.identity
        return replace(task.position, owner=owner, topic_id=self._topic_ids.get(task.partition))

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.telemetry.commits.labels(self.telemetry.model).inc()
        self.telemetry.commit_seconds.labels(self.telemetry.model).observe(time.perf_counter() - start)

    # -- partitions come and go

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Take over partitions: restore each one's state and continue where it was committed."""
        self.state = "running"
        fresh = [partition for partition in partitions if partition not in self.tasks]
        owners = {each.owner for each in self._source.last_committed(fresh).values() if each.owner is not None}
        for owner in owners - {self._publisher.identity}:
            log.info("fencing the predecessor", owner=owner)
            self._publisher.fence(owner)
        for partition in partitions:
            if partition not in self.tasks:
                self.tasks[partition] = self._take_over(partition)
            self._source.seek(partition, self.tasks[partition].offset)
        self.joined = True
        self.telemetry.owned(self.tasks)
        self.commit()

    def _take_over(self, partition: Partition) -> Task:
        task = self._new_task(partition, self._connection)
        committed, log_range = self._source.committed(partition), self._source.log_range(partition)
        self._topic_ids[partition] = log_range.topic_id
        labels = partition.beside(self._settings.topics.labels)
        labels_range = None if labels is None else self._source.log_range(labels)
        if committed is None:
            earliest = self._settings.kafka.start_from == "earliest"
            first, first_label = (
                0 if each is None else each.start if earliest else each.end for each in (log_range, labels_range)
            )
            task.begin(first, first_label)
        else:
            task.recover(committed, log_range, labels_range, self._standby.hand_on(partition, self._source))
            self._committed[partition] = committed
        if labels is not None:
            self._source.follow(labels, task.intake.labels_offset)
        log.info("partition assigned", partition=str(partition), offset=task.offset, live_from=task.live_from)
        return task

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Hand over: checkpoint, and commit everything; a transaction holds the results of all partitions."""
        try:
            self.commit(leaving=partitions)
        except StartOverError as error:
            self._failure = error  # on the client's thread: the loop will see it
        self._drop(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        """Drop partitions that are already somebody else's: what was sent for them must never be committed."""
        self._drop(partitions)
        self._failure = StartOverError("partitions went to another worker before they could be handed over")

    def _drop(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            self.tasks.pop(partition, None)
            self._committed.pop(partition, None)
            labels = partition.beside(self._settings.topics.labels)
            if labels is not None:
                self._source.unfollow(labels)
            log.info("partition given up", partition=str(partition))
        if not self._stopping.is_set():  # the last numbers of a worker that leaves may still be read
            self.telemetry.owned(self.tasks)
