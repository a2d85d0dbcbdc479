"""Labels that come later, on a real broker: in the events topic, and in one of their own; killed in between."""

import pytest
from harness import assert_same, essence, expected, generated, offsets

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
        out.append({name: value for name, value in event.items() if name != "label"})
        if i >= DELAY:
            out.append(answer(events[i - DELAY]))
    return out


def answer(event):
    return {"id": event["id"], "label": event["label"]}


def asked(events):
    return [{name: value for name, value in event.items() if name != "label"} for event in events]


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


def test_labels_in_a_topic_of_their_own(new_service, kafka):
    service = new_service({"checkpoint": OFTEN, "kafka": PATIENCE})
    service.set({"topics": {"labels": f"{service.group}-labels"}})
    labels = service.settings.topics.labels
    events = generated(COUNT, seed=6)
    third = COUNT // 3

    def before():
        service.produce(asked(events[: 2 * third]))
        kafka.produce(labels, [answer(event) for event in events[:third]])

    def after():
        service.produce(asked(events[2 * third :]))
        kafka.produce(labels, [answer(event) for event in events[third:]])

    kill_and_go_on(service, before, after)
    service.wait_learned(COUNT)
    service.stop()

    predictions = service.predictions(COUNT)[0]
    assert service.predicted() == COUNT
    assert_same(offsets(predictions), list(range(COUNT)))
    assert_learned_as_published(service, events, predictions)


def assert_learned_as_published(service, events, predictions):
    """Learn as many labels before each event as its published version says, and predict it again."""
    model, learned, rows = Model(model_spec(service.settings.model)), 0, []
    for event, body in zip(events, predictions, strict=True):
        version = body["model"]["version"]
        rows += [(True, each) for each in events[learned:version]] + [(False, event)]
        learned = version
    outcome = model.predict_then_learn(
        [event["features"] for _, event in rows], [event["label"] if learn else None for learn, event in rows]
    )
    wanted = {}
    for segment in outcome.segments:
        for i, outputs in zip(segment.rows, segment.outputs.tolist(), strict=True):
            if not rows[i][0]:
                wanted[rows[i][1]["id"]] = outputs
    found = [list(body.get("probabilities", {}).values()) for body in predictions]
    assert_same(found, [wanted[event["id"]] for event in events])
    assert 0 < predictions[-1]["model"]["version"] <= COUNT
