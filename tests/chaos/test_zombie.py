"""A worker that was asleep for longer than its session: it may wake up, but not speak for its partitions again."""

import signal
import time

import pytest
from harness import generated, wait_until
from judge import assert_nothing_lost_nothing_twice

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

COUNT = 12_000
SETTINGS = {
    "kafka": {"session_timeout_ms": 3_000},
    "delivery": {"commit_interval_ms": 50},
    "checkpoint": {"every_events": 2_000},
}


def owns(service):
    return bool(service.status())


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_worker_that_was_stopped_can_neither_publish_nor_commit(new_service):
    """It is stopped in the middle of its work, and wakes up when another has long gone on."""
    first, second = new_service(SETTINGS, worker="first"), new_service(SETTINGS, worker="second")
    events = generated(COUNT, seed=10)
    first.start()
    second.start(ready=False)
    wait_until(lambda: owns(first) != owns(second), "one of them has the partition")
    asleep, awake = (first, second) if owns(first) else (second, first)
    asleep.produce(events[: COUNT // 2])
    wait_until(lambda: asleep.predicted() > 500, "some predictions", asleep.check)
    asleep.signal(signal.SIGSTOP)
    wait_until(lambda: owns(awake), "the other has taken over", awake.check)
    awake.produce(events[COUNT // 2 :])
    awake.wait_committed(COUNT // 2 + 1_000)
    asleep.signal(signal.SIGCONT)
    awake.wait_committed(COUNT)
    wait_until(lambda: asleep.get("/healthz").json()["state"] == "running", "it is a member again", asleep.check)
    awake.stop()
    wait_until(lambda: owns(asleep), "it takes over in its turn", asleep.check)
    asleep.stop(quiet=False)
    assert_nothing_lost_nothing_twice(first, [events])


@pytest.mark.long_chaos
def test_a_worker_that_sleeps_through_its_transaction_starts_over(new_service):
    """Nobody else is there: the broker itself ends the transaction of a worker that is silent."""
    service = new_service(SETTINGS | {"delivery": {"commit_interval_ms": 50, "transaction_timeout_ms": 1_000}})
    events = generated(COUNT, seed=11)
    service.start()
    service.produce(events[: COUNT // 2])
    wait_until(lambda: service.predicted() > 500, "some predictions", service.check)
    service.signal(signal.SIGSTOP)
    time.sleep(14)  # a broker looks for such transactions every ten seconds
    service.signal(signal.SIGCONT)
    service.produce(events[COUNT // 2 :])
    service.wait_committed(COUNT)
    service.stop(quiet=False)
    assert_nothing_lost_nothing_twice(service, [events])
