"""How far a group has come, and at what cost: topics filled beforehand, commits watched from outside."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from kafka import KafkaAdminClient
from kafka.errors import RetriableError

PATIENCE_SECONDS = 300.0


class Moment(NamedTuple):
    """A commit that was seen.

    Attributes:
        done: events that are committed.
        seconds: the time.
        busy: processor seconds of the processes so far.
    """

    done: int
    seconds: float
    busy: float


class Progress:
    """A cluster, seen from outside.

    Args:
        servers: of Kafka.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self.admin = AdminClient({"bootstrap.servers": servers})
        self._groups = KafkaAdminClient(bootstrap_servers=servers)

    def prepare(self, name: str, values: Sequence[bytes], count: int, partitions: int = 1) -> None:
        """Make the topics NAME-events and NAME-predictions; fill in `count` events, the values again and again."""
        topics = [NewTopic(f"{name}-{kind}", partitions, 1) for kind in ("events", "predictions")]
        for made in self.admin.create_topics(topics).values():
            made.result()
        self.fill(name, values, count, partitions)

    def fill(self, name: str, values: Sequence[bytes], count: int, partitions: int = 1) -> None:
        """Send `count` events, the values again and again, to the partitions in turns."""
        producer = Producer({"bootstrap.servers": self._servers, "linger.ms": 5, "batch.size": 2**20})
        for i in range(count):
            while True:
                try:
                    producer.produce(f"{name}-events", values[i % len(values)], None, i % partitions)
                    break
                except BufferError:
                    producer.poll(0.05)
        producer.flush()

    def shared_out(self, group: str, members: int) -> None:
        """Wait until so many members own partitions."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(KafkaException):
                found = self.admin.describe_consumer_groups([group])[group].result()
                if sum(bool(each.assignment.topic_partitions) for each in found.members) == members:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the group {group} never had {members} members with partitions")

    def _committed(self, group: str) -> int:
        return sum(each.offset for each in self._groups.list_group_offsets([group])[group].values())

    def written(self, topic: str) -> int:
        """Return how many records partition 0 of a topic has taken."""
        found = self.admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest()})
        return int(next(iter(found.values())).result().offset)

    def wait(
        self,
        process: "subprocess.Popen[bytes]",
        group: str,
        count: int,
        busy: Callable[[], float] | None = None,
        done: Callable[[], int] | None = None,
    ) -> Moment:
        """Return the moment at which `count` events were done.

        Args:
            process: must go on meanwhile.
            group: that commits.
            count: of events.
            busy: returns processor seconds; None takes those of the process.
            done: returns how many are; None takes those that the group has committed.

        Raises:
            RuntimeError: the process ended, or stood still.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"it ended with exit code {process.returncode}")
            with suppress(RetriableError):  # the very first group is not there at once
                found = self._committed(group) if done is None else done()
                if found >= count:
                    return Moment(found, time.monotonic(), busy_seconds(process.pid) if busy is None else busy())
            time.sleep(0.02)
        raise RuntimeError(f"it stood still before {count} events")


def busy_seconds(pid: int) -> float:
    """Return the processor seconds of a process and all its threads."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
