"""A crash at every step of the commit protocol, one after the other on the same stream."""

import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from harness import PATIENCE_SECONDS, ROOT, environment, generated
from judge import assert_nothing_lost_nothing_twice

sys.path.insert(0, str(Path(__file__).parent))

from steps import POINTS

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

CHUNK = 200
FEED_SECONDS = 0.5
MOST_EVENTS = 100_000


@pytest.mark.parametrize(
    ("layout", "client"),
    [
        ("topic", "kafka-python"),
        ("topic", "librdkafka"),
        pytest.param("directory", "kafka-python", marks=pytest.mark.long_chaos),
    ],
)
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
    stream = iter(generated(MOST_EVENTS, seed=9))
    sent: list[dict[str, object]] = []

    def feed():
        chunk = list(islice(stream, CHUNK))
        assert chunk, "the stream ended before the worker did"
        service.produce(chunk)
        sent.extend(chunk)

    service.start()  # the topics are there, and the first checkpoint
    feed()
    service.wait_committed(len(sent))
    service.kill()
    for point in points:
        once = POINTS[point][1] in ("committed", "load")  # asked only when taking over
        run(service, point, 1 if once else 3, feed)
    service.start(ready=False)
    service.wait_committed(len(sent))
    service.stop()
    assert_nothing_lost_nothing_twice(service, [[event | {"id": event["id"]} for event in sent]])


def run(service, point, count, feed):
    """Let a worker run until it ends itself there, and feed it all the while: how much it does at once is its own."""
    script = Path(__file__).with_name("steps.py")
    with TemporaryFile("w+") as log, subprocess.Popen(
        [sys.executable, script, service.config, point, str(count)],
        cwd=ROOT, env=environment() | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    ) as worker:  # fmt: skip
        deadline = time.monotonic() + PATIENCE_SECONDS
        while worker.poll() is None and time.monotonic() < deadline:
            feed()
            time.sleep(FEED_SECONDS)
        worker.kill()
        log.seek(0)
        assert worker.wait() == -signal.SIGKILL, f"{point}: {log.read()[-3000:]}"
        assert time.monotonic() < deadline, f"{point} was not reached: {log.read()[-3000:]}"
