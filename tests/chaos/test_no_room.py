"""A checkpoint cannot be written: the service goes on, says so, and writes the next one when there is room again.

In a directory: a limit on the size of the files that the process may write (RLIMIT_FSIZE, set from outside while it
runs) ends the writing in the middle of a checkpoint, as a full disk does, without the rights to mount one. In Kafka:
the topic is told to take no records of that size.
"""

import json
import resource

import pytest
from harness import generated, question, wait_until
from judge import assert_nothing_lost_nothing_twice

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

CHUNK = 2_000
FAILED, WRITTEN = "nnstream_checkpoint_failures_total", "nnstream_checkpoint_duration_seconds_count"
SETTINGS = {
    "kafka": {"session_timeout_ms": 3_000, "instance_id": "one"},
    "delivery": {"commit_interval_ms": 50},
    "checkpoint": {"every_events": 500},
}


class Disk:
    """The directory of the checkpoints; none of the other files that the service writes is half as large as one."""

    problem = "File too large"

    def __init__(self, service):
        self._service = service

    def fill(self):
        size = self._service.checkpoint_files()[0].stat().st_size
        resource.prlimit(self._service.pid, resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))

    def make_room(self):
        resource.prlimit(self._service.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    def restarted(self):
        self.fill()


class Topic:
    """The topic of the checkpoints."""

    problem = "MessageSizeTooLarge"

    def __init__(self, service):
        self._service = service
        service.set({"checkpoint": {"url": None}, "topics": service.checkpoint_topic()})
        self._name = service.settings.topics.checkpoints

    def fill(self):
        self._service.kafka.configure(self._name, max_message_bytes=2_000)

    def make_room(self):
        self._service.kafka.configure(self._name, max_message_bytes=2**20)

    def restarted(self):
        """It is as full as it was."""


@pytest.mark.parametrize("place", [Disk, Topic])
def test_the_service_goes_on_without_room(new_service, place):
    service = new_service(SETTINGS)
    room = place(service)
    events = [question(event) if i % 50 == 0 else event for i, event in enumerate(generated(5 * CHUNK, seed=31))]
    chunks = [events[start : start + CHUNK] for start in range(0, len(events), CHUNK)]

    def process(number):
        service.produce(chunks[number])
        service.wait_committed((number + 1) * CHUNK)

    service.start()
    process(0)
    room.fill()
    process(1)
    wait_until(lambda: service.metric(FAILED) >= 1, "a checkpoint that is not written", service.check)
    assert '"event": "checkpoint not written"' in service.log()
    assert room.problem in service.log()
    service.kill()
    service.launch()
    room.restarted()
    service.wait_started()
    assert recovered_from(service) <= CHUNK, "not the checkpoint before the trouble"
    process(2)
    assert service.metric(WRITTEN) == 0
    wait_until(lambda: service.metric(FAILED) >= 1, "a checkpoint that is not written", service.check)
    written = service.metric(WRITTEN)
    room.make_room()
    wait_until(lambda: service.metric(WRITTEN) > written, "a new checkpoint, though no event comes", service.check)
    process(3)  # whose commit names it
    service.kill()
    service.start()
    assert recovered_from(service) > 2 * CHUNK, "not the new checkpoint"
    process(4)
    service.stop()
    assert_nothing_lost_nothing_twice(service, [events])


def recovered_from(service):
    """The checkpoint that the service says that it went on from; a copy that it kept meanwhile comes first."""
    line, *_ = [line for line in service.log().splitlines() if '"event": "recovered"' in line]
    return json.loads(line)["checkpoint"]
