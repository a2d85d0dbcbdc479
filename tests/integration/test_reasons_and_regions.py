"""Reasons and prediction sets on a real broker: after a kill they are those of the library, to the bit."""

import numpy as np
import pytest
from harness import generated, wait_until

from nnstream.conformal import Conformal
from nnstream.explain import Request, sampled
from nnstream.model import Model
from service.wiring import model_spec

pytestmark = pytest.mark.integration

COUNT = 5_000


def test_a_kill_in_the_middle_changes_no_reason_and_no_set(new_service, kafka):
    sections = {"model": {"confidence": 0.9}, "explain": {"share": 0.02}, "kafka": {"session_timeout_ms": 3_000}}
    service = new_service(sections | {"checkpoint": {"every_events": 1_000}})
    events = generated(COUNT, seed=5)
    service.start()
    service.produce(events[: COUNT // 2])
    wait_until(lambda: service.predicted() >= COUNT // 4, "predictions", service.check)
    service.kill()
    service.produce(events[COUNT // 2 :])
    service.start(ready=False)
    service.wait_committed(COUNT)
    metrics = service.get("/metrics").text
    answer = service.post("/predict", {"features": events[0]["features"], "explain": True}).json()
    service.stop()

    rows, labels = [event["features"] for event in events], [event["label"] for event in events]
    chosen = np.flatnonzero(sampled(np.arange(COUNT), 0.02)).tolist()
    model, conformal = Model(model_spec(service.settings.model)), Conformal(0.9, regression=False)
    outcome = model.predict_then_learn(rows, labels, Request({i: rows[i] for i in chosen}))
    regions = conformal.observe(outcome, labels)
    published = {each["source"]["offset"]: each for each in service.predictions(service.predicted())[0]}
    assert [each.get("prediction_set") for _, each in sorted(published.items())] == regions
    explained = {offset: each["explanation"] for offset, each in published.items() if "explanation" in each}
    assert sorted(explained) == chosen
    for offset, found in explained.items():
        own = outcome.explanations[offset]
        assert found["contributions"] == own.contributions
        assert (found["output"], found["baseline"]) == (own.output, own.baseline)
    coverage = f'nnstream_coverage{{model="default",partition="0"}} {conformal.coverage}'
    assert coverage in metrics
    assert answer["confidence"] == 0.9
    assert answer["explanation"]["contributions"] == model.explain_one(rows[0]).contributions
