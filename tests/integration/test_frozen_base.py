"""A worker on a real Kafka is killed while photos go through a frozen network: every bit is as without the kill."""

import numpy as np
import pytest
from frozen_models import encoded, image_model, photo
from harness import assert_same, essence, offsets, wait_until

from nnstream.frozen import Embedding
from service.wiring import model_spec

pytestmark = pytest.mark.integration

COUNT = 3_000


def photos(count):
    rng = np.random.default_rng(8)
    labels = np.array(["warm", "cold"])[rng.integers(2, size=count)]
    shops = np.array(["a", "b", "c"])[rng.integers(3, size=count)]
    return [
        {"features": {"photo": encoded(photo(rng, label)), "shop": str(shop)}, "label": str(label)}
        for label, shop in zip(labels, shops, strict=True)
    ]


def test_sigkill_while_photos_go_through_a_frozen_network(new_service, tmp_path):
    features = {
        "photo": {"encoder": "onnx", "model": str(image_model(tmp_path / "net.onnx"))},
        "shop": {"kind": "category"},
    }
    service = new_service(
        {
            "model": {"features": features},
            "checkpoint": {"every_events": 400},
            "kafka": {"session_timeout_ms": 3_000},
            "delivery": {"guarantee": "exactly_once"},
        }
    )
    events = photos(COUNT)
    service.start()
    service.produce(events[: COUNT // 2])
    wait_until(lambda: service.predicted() >= 500, "500 predictions", service.check)
    service.kill()
    service.produce(events[COUNT // 2 :])
    service.start(ready=False)
    service.wait_committed(COUNT)
    service.stop()

    predictions = service.predictions(COUNT)[0]
    assert_same(offsets(predictions), list(range(COUNT)))
    rows = Embedding(model_spec(service.settings.model)).rows([event["features"] for event in events])
    read = [event | {"features": row} for event, row in zip(events, rows, strict=True)]
    assert_same(list(map(essence, predictions)), service.offline(read))
    right = [each["prediction"] == each["label"] for each in predictions[-500:]]
    assert np.mean(right) > 0.9


def test_a_worker_refuses_a_model_file_that_was_swapped(new_service, tmp_path):
    path = image_model(tmp_path / "net.onnx")
    service = new_service({"model": {"features": {"photo": {"encoder": "onnx", "model": str(path)}}}})
    service.start()
    service.produce(photos(50))
    service.wait_committed(50)
    service.stop()
    image_model(path, seed=1)
    code, said = service.refusal()
    assert code == 4, said
    assert "model.features.photo.identity.sha256 was" in said
    assert "Traceback" not in said
