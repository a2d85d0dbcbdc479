"""Events in formats beside JSON, through a real broker: predicted as the library alone predicts them."""

import numpy as np
import pytest
from harness import assert_same, essence, generated

from service.adapters.kafka_python.publisher import KafkaPythonPublisher
from service.formats.known import FORMATS
from service.produce import produce

pytestmark = pytest.mark.integration

COUNT = 3_000


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"json"}))
def test_a_stream_in_this_format(new_service, name):
    events = [{"features": as_sent(each["features"], name), "label": each["label"]} for each in generated(COUNT, 5)]
    service = new_service({"topics": {"format": name}}).start()
    publisher = KafkaPythonPublisher(service.settings.kafka)
    samples = [(each["features"], each["label"]) for each in events]
    produce(samples, publisher, service.topics["events"], FORMATS[name]())
    publisher.close()
    predictions = service.predictions(COUNT)[0]
    service.stop()
    assert [prediction["id"] for prediction in predictions] == [f"e-{i}" for i in range(COUNT)]
    assert_same(list(map(essence, predictions)), service.offline(events))


def as_sent(features, name):
    if name != "f32":
        return features
    return {"vector": [None if each is None else float(np.float32(each)) for each in features.values()]}
