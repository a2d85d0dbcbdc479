"""The clock of the service's machine jumps forward and back: only what is shown to people goes by it."""

import time
from pathlib import Path

import pytest
from harness import wait_until
from judge import assert_nothing_lost_nothing_twice, mixed_log

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

HOUR = 3600
JUMPS = [HOUR, -HOUR, 30 * HOUR, 0]  # beyond what Kafka takes as the timestamp of a record, too
CHECKPOINTS, CLOCK = "nnstream_checkpoint_duration_seconds_count", "nnstream_checkpoint_timestamp_seconds"


@pytest.fixture
def clock(tmp_path):
    """Sets the clock that a service sees, by so many seconds; monotonic time goes on, as it does in reality."""
    path = tmp_path / "clock"

    def jump(seconds):
        path.with_suffix(".new").write_text(f"{seconds}")
        path.with_suffix(".new").rename(path)

    jump(0)
    jump.environment = {"PYTHONPATH": str(Path(__file__).parent / "clock"), "CLOCK_FILE": str(path)}
    return jump


def test_the_clock_jumps_while_labels_are_waited_for(new_service, clock):
    service = new_service(
        {
            "kafka": {"session_timeout_ms": 3_000},
            "delivery": {"commit_interval_ms": 50},
            "checkpoint": {"every_events": 10**6, "every_seconds": 1, "url": None},
            "labels": {"max_wait_seconds": HOUR / 2},
        }
    )
    service.set({"topics": service.checkpoint_topic()})
    service.environment = clock.environment
    log = mixed_log(6_000, seed=41)
    size = len(log) // (len(JUMPS) + 1) + 1
    chunks = [log[start : start + size] for start in range(0, len(log), size)]
    service.start()
    sent = 0
    for jump, chunk in zip([0, *JUMPS], chunks, strict=True):
        clock(jump)
        written = service.metric(CHECKPOINTS)
        service.produce(chunk)
        sent += len(chunk)
        service.wait_committed(sent)
        wait_until(lambda n=written: service.metric(CHECKPOINTS) > n, "a checkpoint after the jump", service.check)
        if jump == -HOUR:
            service.kill()
            service.start()
        else:
            wait_until(lambda s=jump: shows(service, s), "the clock has jumped", service.check)
    assert service.metric("nnstream_labels_expired_total") == 0
    service.stop()
    assert_nothing_lost_nothing_twice(service, [log])


def shows(service, jump):
    """Whether the newest checkpoint is dated by the clock that was set."""
    return abs(service.metric(CLOCK) - (time.time() + jump)) < HOUR / 2
