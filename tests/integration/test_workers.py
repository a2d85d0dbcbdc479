"""Workers of one group share the partitions, and hand them over without losing or repeating anything."""

import json
import os
import signal
from pathlib import Path

import httpx
import pytest
from harness import assert_same, essence, generated, offsets, wait_until

pytestmark = pytest.mark.integration

PARTITIONS = range(4)
PHASE = 1_000  # events a partition and phase


def owned(*services):
    """Return which partitions each worker says it owns."""
    return [sorted(service.status()) for service in services]


def children(pid):
    """Return the processes that a process has started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def shared_fairly(first, second):
    mine, yours = owned(first, second)
    return len(mine) == len(yours) == 2 and sorted(mine + yours) == list(PARTITIONS)


def send(service, streams, phase):
    for number in PARTITIONS:
        service.produce(streams[number][phase * PHASE : (phase + 1) * PHASE], number)


def assert_exact(service, streams, phases):
    """Every event was predicted once, in order, as the library alone predicts it."""
    count = phases * PHASE
    predictions = service.predictions(count * len(PARTITIONS))
    assert service.predicted() == count * len(PARTITIONS)
    for number in PARTITIONS:
        assert_same(offsets(predictions[number]), list(range(count)))
        assert_same(list(map(essence, predictions[number])), service.offline(streams[number][:count]))


@pytest.fixture
def streams():
    return [generated(4 * PHASE, seed=number) for number in PARTITIONS]


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_two_workers_share_four_partitions_and_one_takes_over_when_the_other_stops(new_service, streams):
    settings = {"topics": {"partitions": 4}}
    first = new_service(settings, worker="first").start()
    wait_until(lambda: owned(first) == [list(PARTITIONS)], "the first worker owns all", first.check)
    send(first, streams, 0)
    first.wait_committed(4 * PHASE)
    send(first, streams, 1)  # these are on their way while the partitions move

    second = new_service(settings, worker="second").start()
    wait_until(lambda: shared_fairly(first, second), "two partitions each", second.check)
    send(first, streams, 2)
    first.wait_committed(12 * PHASE)
    assert shared_fairly(first, second)
    versions = {n: each["model_version"] for s in (first, second) for n, each in s.status().items()}
    assert versions == dict.fromkeys(PARTITIONS, 3 * PHASE)

    second.stop()
    wait_until(lambda: owned(first) == [list(PARTITIONS)], "the first worker owns all again", first.check)
    send(first, streams, 3)
    first.wait_committed(16 * PHASE)
    first.stop()
    assert_exact(first, streams, 4)
    topic = first.topics["events"]
    assert first.kafka.committed(topic, first.group) == first.kafka.end_offsets(topic)


@pytest.mark.parametrize("client", ["kafka-python", pytest.param("librdkafka", marks=pytest.mark.long_chaos)])
def test_a_worker_that_is_killed_is_replaced_by_the_other(new_service, streams):
    settings = {"topics": {"partitions": 4}, "kafka": {"session_timeout_ms": 3_000}}
    first = new_service(settings, worker="first").start()
    second = new_service(settings, worker="second").start()
    wait_until(lambda: shared_fairly(first, second), "two partitions each", second.check)
    send(first, streams, 0)
    first.wait_committed(4 * PHASE)

    second.kill()
    wait_until(lambda: owned(first) == [list(PARTITIONS)], "the first worker owns all", first.check)
    send(first, streams, 1)
    first.wait_committed(8 * PHASE)
    first.stop()
    assert_exact(first, streams, 2)


def started(service):
    """Return the workers by number: how often each listens, and the newest address."""
    lines = [json.loads(line) for line in service.log().splitlines() if '"listening"' in line]
    return {number: [each["url"] for each in lines if each["worker"] == number] for number in (0, 1)}


def owned_at(url):
    return [each["partition"] for each in httpx.get(f"{url}/status").json()["partitions"]]


def test_one_command_runs_two_workers_and_starts_a_killed_one_again(new_service, streams):
    both = new_service({"topics": {"partitions": 4}, "kafka": {"session_timeout_ms": 3_000}}, worker="both")
    both.options = ("--workers", "2")
    both.launch()
    wait_until(lambda: all(started(both).values()), "both listen", both.check)
    wait_until(
        lambda: sorted(len(owned_at(urls[-1])) for urls in started(both).values()) == [2, 2], "two each", both.check
    )
    send(both, streams, 0)
    both.wait_committed(4 * PHASE)

    [pid] = [int(found) for found in children(both.pid) if b"--worker\x001" in command_of(found)]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(started(both)[1]) == 2, "the second worker listens again", both.check)
    send(both, streams, 1)
    both.wait_committed(8 * PHASE)
    both.stop()
    assert_exact(both, streams, 2)

    both.launch()
    wait_until(lambda: all(started(both).values()), "both listen", both.check)
    both.kill()  # and with it the pipes that it holds
    wait_until(lambda: both.log().count('"stopped"') == 2, "both have left")
