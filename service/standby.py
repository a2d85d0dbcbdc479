"""Warm copies of partitions that others own: a worker that takes one over has only the newest events to replay.

A copy is a task that only ever replays. It begins at a checkpoint, as a successor would, and follows the log up to
what is committed; learning is deterministic, so it then is what the owner was at that commit.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile

import structlog

from service.checkpoint import Restored
from service.connection import Connection
from service.deadline import Deadline
from service.errors import BrokerError, CheckpointError, RegistryAwayError
from service.positions import Position
from service.records import Partition, Record
from service.settings import Settings
from service.source import Source
from service.task import Task
from service.telemetry import Telemetry

log = structlog.get_logger()

_LOOK_SECONDS = 0.5  # how often it asks what has been committed
_REST_SECONDS = 30.0  # before a partition that could not be copied is tried again
_MOST_AHEAD = 20  # polls' worth of events that wait for their commit


class Copy:
    """One partition, as it was at a commit.

    Args:
        task: that replays.
        most_ahead: events beyond the commit that it holds before it is crowded.

    Attributes:
        next_offset: of the next event to give it.
    """

    def __init__(self, task: Task, most_ahead: int) -> None:
        self.task, self.next_offset = task, task.offset
        self._ahead: deque[Record] = deque()
        self._most_ahead = most_ahead

    @property
    def crowded(self) -> bool:
        """Return whether it should be given no more events before the commit has moved on."""
        return len(self._ahead) > self._most_ahead

    def add(self, events: Sequence[Record]) -> None:
        """Take events in offset order, and learn those that were committed."""
        self._ahead.extend(events)
        self.next_offset = events[-1].offset + 1
        self._learn()

    def advance(self, committed: Position) -> None:
        """Learn up to what has been committed."""
        self.task.replay_to(committed)
        self._learn()

    def _learn(self) -> None:
        done = list(takewhile(lambda event: event.offset < self.task.live_from, self._ahead))
        for _ in done:
            self._ahead.popleft()
        self.task.process(done)


class Standby:
    """The copies of a worker that owns nothing.

    Args:
        settings: of the service.
        new_copy: makes a task that tells nobody what it does.
        telemetry: of this worker.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        settings: Settings,
        new_copy: Callable[[Partition, Connection], Task],
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._new_copy, self._telemetry = settings, new_copy, telemetry
        self._copies: dict[Partition, Copy] = {}
        self._resting: dict[Partition, Deadline] = {}
        self._clock = clock
        self._look = Deadline(_LOOK_SECONDS, clock)

    @property
    def behind(self) -> bool:
        """Return whether any copy still has committed events to learn."""
        return any(not copy.task.caught_up for copy in self._copies.values())

    def step(self, connection: Connection) -> None:
        """Bring the copies up to what is committed now, and begin at most one more."""
        if not self._look.expired():
            return
        try:
            self._follow(connection)
        except RegistryAwayError:
            raise  # a copy was left half done
        except BrokerError as error:  # whether it can still work, the next poll tells
            log.info("no look at the others' partitions", reason=str(error))
        self._count()
        self._look.restart()

    def _follow(self, connection: Connection) -> None:
        source, most = connection.source, self._settings.kafka.standby_partitions
        partitions = source.partitions(self._settings.topics.events)[:most] if most else []
        committed = source.last_committed(partitions)
        for partition, position in committed.items():
            if partition in self._copies:
                self._advance(partition, position, source)
        missing = [
            each for each, position in committed.items() if position.checkpoint is not None and self._is_missing(each)
        ]
        for partition in missing[:1]:
            self._begin(partition, committed[partition], connection)

    def _is_missing(self, partition: Partition) -> bool:
        resting = self._resting.get(partition)
        return partition not in self._copies and (resting is None or resting.expired())

    def _begin(self, partition: Partition, committed: Position, connection: Connection) -> None:
        source, labels = connection.source, partition.beside(self._settings.topics.labels)
        task = self._new_copy(partition, connection)
        try:
            task.recover(committed, source.log_range(partition), None if labels is None else source.log_range(labels))
        except CheckpointError as error:
            self._resting[partition] = Deadline(_REST_SECONDS, self._clock)
            log.warning("no warm copy", partition=str(partition), reason=str(error))
            return
        self._copies[partition] = Copy(task, _MOST_AHEAD * self._settings.kafka.max_batch)
        source.follow(partition, task.offset)
        if labels is not None:
            source.follow(labels, task.intake.labels_offset)

    def _advance(self, partition: Partition, committed: Position, source: Source) -> None:
        copy = self._copies[partition]
        if not copy.task.leads_to(committed):
            self._drop(partition, source)
            return
        crowded = copy.crowded
        copy.advance(committed)
        if crowded and not copy.crowded:
            source.follow(partition, copy.next_offset)

    def add(self, partition: Partition, records: Sequence[Record], source: Source) -> None:
        """Take records of a partition that is followed, events or labels."""
        if partition.topic == self._settings.topics.labels:
            copy = self._copies.get(Partition(self._settings.topics.events, partition.number))
            if copy is not None:
                copy.task.process_labels(records)
            return
        copy = self._copies.get(partition)
        if copy is not None:
            copy.add(records)
            if copy.crowded:
                source.unfollow(partition)

    def hand_on(self, partition: Partition, source: Source) -> Restored | None:
        """Give up the copy of a partition; None where there is none."""
        copy = self._copies.get(partition)
        if copy is None:
            return None
        self._drop(partition, source)
        return copy.task.restored()

    def clear(self, source: Source) -> None:
        """Give up all copies: the worker has partitions of its own."""
        for partition in list(self._copies):
            self._drop(partition, source)

    def forget(self) -> None:
        """Drop all copies; the connection is gone."""
        self._copies.clear()
        self._count()

    def _count(self) -> None:
        self._telemetry.standby.labels(self._telemetry.model).set(len(self._copies))

    def _drop(self, partition: Partition, source: Source) -> None:
        del self._copies[partition]
        source.unfollow(partition)
        labels = partition.beside(self._settings.topics.labels)
        if labels is not None:
            source.unfollow(labels)
        self._count()
