"""The owner of a partition is killed; the standby has a warm copy, and goes on from it as the owner would have."""

import random

import pytest
from harness import answer, assert_same, generated, offsets, question, wait_until
from judge import assert_learned_as_published, last_model

from nnstream import snapshot

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

SETTINGS = {
    "kafka": {"session_timeout_ms": 3_000},
    "delivery": {"commit_interval_ms": 100},
    "checkpoint": {
        "every_events": 100_000,
        "url": None,
    },  # only what a hand-over writes: without copies all is replayed
}
CHUNK = 2_000


def test_the_standby_takes_over_again_and_again(new_service, kafka, dose):
    takeovers = max(2, dose.kills // 10)
    workers = [new_service(SETTINGS, worker=name) for name in ("one", "two")]
    names = {"labels": f"{workers[0].group}-labels"} | workers[0].checkpoint_topic()
    for worker in workers:
        worker.set({"topics": names})
    events = generated((2 * takeovers + 1) * CHUNK, seed=random.randrange(10**6))
    owner, standby = workers
    owner.start()
    standby.start(ready=False)

    def feed(start):
        stretch = events[start : start + CHUNK]
        owner.produce([question(each) for each in stretch])
        kafka.produce(names["labels"], [answer(each) for each in stretch])

    for number in range(takeovers):
        feed(2 * number * CHUNK)
        owner.wait_committed((2 * number + 1) * CHUNK)
        wait_until(lambda s=standby: copies(s) == 1, "a warm copy", standby.check)
        feed((2 * number + 1) * CHUNK)
        owner.kill()
        wait_until(lambda s=standby: s.status(), "the standby owns the partition", standby.check)
        assert '"warm": true' in standby.log()
        owner, standby = standby, owner.start(ready=False)
    feed(2 * takeovers * CHUNK)
    owner.wait_learned(len(events))
    for worker in (standby, owner):
        worker.stop()
    predictions = owner.predictions(len(events))[0]
    assert owner.predicted() == len(events)
    assert_same(offsets(predictions), list(range(len(events))))
    model = assert_learned_as_published(owner, events, predictions)
    assert snapshot.dump(last_model(owner, 0)) == snapshot.dump(model)


def copies(service):
    """How many warm copies a worker says that it has."""
    lines = [
        line for line in service.get("/metrics").text.splitlines() if line.startswith("nnstream_standby_partitions{")
    ]
    return float(lines[0].split()[-1]) if lines else 0
