"""SIGKILL at random times: in the end every event has one prediction, and the weights are those of a quiet run."""

import random
import time

import pytest
from harness import answer, assert_same, generated, offsets
from judge import assert_learned_as_published, assert_nothing_lost_nothing_twice, last_model, mixed_log, wait_settled

from nnstream import snapshot

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(1800)]

PARTITIONS = range(3)
COMMON = {
    "kafka": {"session_timeout_ms": 3_000},
    "delivery": {"commit_interval_ms": 100},
    "checkpoint": {"every_events": 1_500, "url": None},
}


def killed(workers, kills, pause, rng, meanwhile):
    """Kill one of the workers again and again; each comes back at once, and sometimes one is away for a while."""
    away = None
    for number in range(kills):
        meanwhile(number)
        time.sleep(rng.uniform(0.2, 2 * pause - 0.2))
        victim = rng.choice(workers)
        if victim is away:
            victim.start(ready=False)
            away = None
            continue
        victim.kill()
        if away is None and len(workers) > 1 and rng.random() < 0.2:
            away = victim  # the others take its partitions over, and give them back later
        else:
            victim.start(ready=False)
    if away is not None:
        away.start(ready=False)


@pytest.mark.parametrize("client", ["kafka-python", pytest.param("librdkafka", marks=pytest.mark.long_chaos)])
def test_two_workers_three_partitions_late_labels(new_service, dose):
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    settings = COMMON | {"topics": {"partitions": len(PARTITIONS)}}
    workers = [new_service(settings, worker="dynamic"), new_service(settings, worker="static")]
    workers[1].set({"kafka": {"instance_id": "static"}})
    for worker in workers:
        worker.set({"topics": worker.checkpoint_topic()})
    logs = [mixed_log(dose.events // len(PARTITIONS), seed + number) for number in PARTITIONS]

    def feed(number):
        for partition, log in enumerate(logs):
            size = len(log) // dose.kills
            end = len(log) if number == dose.kills - 1 else (number + 1) * size
            workers[0].produce(log[number * size : end], partition)

    for worker in workers:
        worker.start(ready=False)
    killed(workers, dose.kills, dose.pause, rng, feed)
    workers[0].wait_committed(sum(map(len, logs)))
    wait_settled(*workers, partitions=len(PARTITIONS))
    for worker in workers:
        worker.stop()
    assert_nothing_lost_nothing_twice(workers[0], logs)


@pytest.mark.parametrize("client", ["kafka-python", pytest.param("librdkafka", marks=pytest.mark.long_chaos)])
def test_labels_in_a_topic_of_their_own(new_service, kafka, dose):
    seed = random.randrange(10**6)
    service = new_service(COMMON)
    names = {"labels": f"{service.group}-labels"} | service.checkpoint_topic()
    service.set({"topics": names})
    kills = max(5, dose.kills // 4)
    events = generated(max(8_000, dose.events // 8), seed)
    chunk = len(events) // kills
    service.start(ready=False)

    def feed(number):
        start, end = number * chunk, len(events) if number == kills - 1 else (number + 1) * chunk
        service.produce(
            [{name: value for name, value in each.items() if name != "label"} for each in events[start:end]]
        )
        late = events[max(0, start - chunk) : start] if number < kills - 1 else events[start - chunk :]
        kafka.produce(names["labels"], [answer(each) for each in late])

    killed([service], kills, dose.pause, random.Random(seed), feed)
    service.wait_learned(len(events))
    service.stop()
    predictions = service.predictions(len(events))[0]
    assert service.predicted() == len(events)
    assert_same(offsets(predictions), list(range(len(events))))
    model = assert_learned_as_published(service, events, predictions)
    assert snapshot.dump(last_model(service, 0)) == snapshot.dump(model)
