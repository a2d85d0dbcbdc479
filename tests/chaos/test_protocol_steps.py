"""A crash at every step of the commit protocol, one after the other on the same stream."""

import subprocess
import sys
from pathlib import Path

import pytest
from harness import PATIENCE_SECONDS, ROOT, environment, generated
from judge import assert_nothing_lost_nothing_twice

sys.path.insert(0, str(Path(__file__).parent))

from steps import POINTS

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

CHUNK = 400


@pytest.mark.parametrize("layout", ["topic", pytest.param("directory", marks=pytest.mark.long_chaos)])
def test_a_crash_at_every_step(new_service, layout):
    service = new_service(
        {
            "kafka": {"session_timeout_ms": 3_000, "instance_id": "one", "max_batch": 50},
            "delivery": {"commit_interval_ms": 20},
            "checkpoint": {"every_events": 100, "keep": 2},
        }
    )
    if layout == "topic":
        service.set({"checkpoint": {"url": None}, "topics": service.checkpoint_topic()})
    points = [point for point in POINTS if layout == "topic" or POINTS[point][0] == "store"]
    events = generated(CHUNK * (len(points) + 1), seed=9)
    service.start()  # the topics are there, and the first checkpoint
    service.produce(events[:CHUNK])
    service.wait_committed(CHUNK)
    service.kill()
    for number, point in enumerate(points, 1):
        service.produce(events[number * CHUNK : (number + 1) * CHUNK])
        once = POINTS[point][1] in ("committed", "load")  # asked only when taking over
        run(service, point, 1 if once else 3)
    service.start(ready=False)
    service.wait_committed(len(events))
    service.stop()
    assert_nothing_lost_nothing_twice(service, [[event | {"id": event["id"]} for event in events]])


def run(service, point, count):
    """Let a worker run until it ends itself there."""
    script = Path(__file__).with_name("steps.py")
    done = subprocess.run(
        [sys.executable, script, service.config, point, str(count)],
        cwd=ROOT, env=environment() | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == -9, f"{point}: {done.stderr[-3000:]}"
