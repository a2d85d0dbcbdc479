"""Labels that come later, on a real broker: in the events topic, and in one of their own; killed in between."""

import pytest
from harness import answer, assert_same, essence, expected, generated, offsets, question
from judge import assert_learned_as_published

from nnstream.model import Model
from service.wiring import model_spec

pytestmark = pytest.mark.integration

COUNT, DELAY = 6_000, 700
OFTEN = {"every_events": 1_000}
PATIENCE = {"session_timeout_ms": 3_000}


def questions_and_answers(events):
    """Each event without its label, and the label `DELAY` events later."""
    out = []
    for i, event in enumerate(events):
        out.append(question(event))
        if i >= DELAY:
            out.append(answer(events[i - DELAY]))
    return out


def kill_and_go_on(service, before, after):
    service.start()
    before()
    service.wait_committed(COUNT // 4)
    service.kill()
    after()
    service.start(ready=False)


def test_labels_in_the_events_topic(new_service):
    service = new_service({"checkpoint": OFTEN, "kafka": PATIENCE})
    events = generated(COUNT, seed=5)
    log = questions_and_answers(events)
    half = len(log) // 2
    kill_and_go_on(service, lambda: service.produce(log[:half]), lambda: service.produce(log[half:]))
    service.wait_committed(len(log))
    assert service.status()[0]["labels_pending"] == DELAY
    service.stop()

    predictions = service.predictions(COUNT)[0]
    assert service.predicted() == COUNT
    rows = [event if "features" in event else events[event["id"]] for event in log]
    everything = expected(Model(model_spec(service.settings.model)), [
        {"features": row["features"], "label": each.get("label")} for row, each in zip(rows, log, strict=True)
    ])  # fmt: skip
    wanted = [body for body, each in zip(everything, log, strict=True) if "features" in each]
    assert_same(list(map(essence, predictions)), wanted)


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_labels_in_a_topic_of_their_own(new_service, kafka):
    service = new_service({"checkpoint": OFTEN, "kafka": PATIENCE})
    service.set({"topics": {"labels": f"{service.group}-labels"}})
    labels = service.settings.topics.labels
    events = generated(COUNT, seed=6)
    third = COUNT // 3

    def before():
        service.produce(list(map(question, events[: 2 * third])))
        kafka.produce(labels, [answer(event) for event in events[:third]])

    def after():
        service.produce(list(map(question, events[2 * third :])))
        kafka.produce(labels, [answer(event) for event in events[third:]])

    kill_and_go_on(service, before, after)
    service.wait_learned(COUNT)
    service.stop()

    predictions = service.predictions(COUNT)[0]
    assert service.predicted() == COUNT
    assert_same(offsets(predictions), list(range(COUNT)))
    assert_learned_as_published(service, events, predictions)
