"""The main job: events in, one exact prediction each out, and what HTTP says about it meanwhile."""

import json
import uuid
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import pytest
from harness import Service, assert_same, essence, generated, offsets, wait_until
from prometheus_client.parser import text_string_to_metric_families
from river import datasets

from nnstream.model import Model
from service.adapters.kafka_python.publisher import KafkaPythonPublisher
from service.formats.json_object import JsonFormat
from service.produce import produce
from service.wiring import model_spec, prepare_topics

pytestmark = pytest.mark.integration

COUNT = 5_000


def send(service, samples):
    prepare_topics(service.settings)
    with closing(KafkaPythonPublisher(service.settings.kafka)) as publisher:
        return produce(samples, publisher, service.settings.topics.events, JsonFormat())


def metrics_of(text):
    """Return the value of each sample, summed over its partitions, by name."""
    totals = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0) + sample.value
    return totals


@dataclass
class Run:
    service: Service
    events: dict
    records: dict
    predictions: dict
    replies: dict
    ends: dict


@pytest.fixture(scope="module")
def shuttle(kafka, compiled, tmp_path_factory):
    """5,000 real events over two partitions through one service, from start to SIGTERM."""
    name = f"shuttle-{uuid.uuid4().hex[:8]}"
    service = Service(kafka, tmp_path_factory.mktemp(name), name, {"topics": {"partitions": 2}})
    assert send(service, islice(datasets.Shuttle(), COUNT)) == COUNT
    try:
        service.start()
        service.wait_committed(COUNT)
        records = kafka.read(service.topics["predictions"], COUNT, service.check)
        replies = {path: service.get(path) for path in ("/healthz", "/readyz", "/metrics", "/status")}
        service.stop()
    finally:
        service.kill()
    events = kafka.read(service.topics["events"], COUNT)
    predictions = {number: [json.loads(record.value) for record in each] for number, each in records.items()}
    return Run(service, events, records, predictions, replies, kafka.count(service.topics["predictions"]))


class TestShuttle:
    def test_both_partitions_have_events(self, shuttle):
        assert sorted(shuttle.events) == [0, 1]

    def test_every_event_has_exactly_one_prediction_in_its_partition_in_order(self, shuttle):
        assert {number: len(records) for number, records in shuttle.events.items()} == shuttle.ends
        for number, records in shuttle.events.items():
            assert_same(offsets(shuttle.predictions[number]), [record.offset for record in records])
            sources = {(p["source"]["topic"], p["source"]["partition"]) for p in shuttle.predictions[number]}
            assert sources == {(shuttle.service.topics["events"], number)}

    def test_id_ts_key_and_label_are_carried_over(self, shuttle):
        for number, records in shuttle.events.items():
            results = zip(records, shuttle.records[number], shuttle.predictions[number], strict=True)
            for sent, received, prediction in results:
                event = json.loads(sent.value)
                assert (prediction["id"], prediction["ts"], prediction["label"]) == (
                    event["id"], event["ts"], event["label"],
                )  # fmt: skip
                assert (received.key, received.timestamp) == (sent.key, event["ts"])
                assert prediction["model"]["name"] == "default"

    def test_only_the_first_prediction_has_no_loss(self, shuttle):
        for predictions in shuttle.predictions.values():
            assert [p["source"]["offset"] for p in predictions if "loss" not in p] == [0]
            assert predictions[0]["prediction"] is None

    @pytest.mark.parametrize("block", [1, 977, COUNT])
    def test_the_library_alone_says_the_same_to_the_bit(self, shuttle, block):
        for number, records in shuttle.events.items():
            events = [json.loads(record.value) for record in records]
            assert_same(list(map(essence, shuttle.predictions[number])), shuttle.service.offline(events, block))

    def test_everything_is_committed_after_sigterm(self, shuttle, kafka):
        topic = shuttle.service.topics["events"]
        assert kafka.committed(topic, shuttle.service.group) == kafka.end_offsets(topic)

    def test_healthz_and_readyz(self, shuttle):
        health, ready = shuttle.replies["/healthz"], shuttle.replies["/readyz"]
        assert (health.status_code, health.json()) == (200, {"state": "running"})
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "waiting_for": []})

    def test_metrics_count_what_was_sent(self, shuttle):
        totals = metrics_of(shuttle.replies["/metrics"].text)
        size = sum(len(record.value) for records in shuttle.events.values() for record in records)
        assert totals["nnstream_events_total"] == COUNT
        assert totals["nnstream_event_bytes_total"] == size
        assert totals["nnstream_predictions_total"] == COUNT
        assert totals["nnstream_samples_learned_total"] == COUNT
        assert totals["nnstream_batch_events_sum"] == COUNT
        assert totals["nnstream_model_version"] == COUNT
        assert totals["nnstream_assigned_partitions"] == 2
        assert totals["nnstream_consumer_lag_events"] == 0
        assert totals["nnstream_commits_total"] > 0
        assert totals.get("nnstream_dead_letters_total", 0) == 0
        assert totals.get("nnstream_events_replayed_total", 0) == 0

    def test_status_tells_position_and_score(self, shuttle):
        status = shuttle.replies["/status"].json()
        assert status["state"] == "running"
        assert [each["partition"] for each in status["partitions"]] == [0, 1]
        for each in status["partitions"]:
            count = shuttle.ends[each["partition"]]
            assert (each["offset"], each["model_version"], each["lag"], each["dead_letters"]) == (count, count, 0, 0)
            scored = shuttle.predictions[each["partition"]]
            accuracy = sum(p["prediction"] == p["label"] for p in scored) / count
            assert each["score"]["n"] == count
            assert each["score"]["accuracy"] == pytest.approx(accuracy)
            assert each["score"]["accuracy"] > each["score"]["baselines"]["majority"]


def test_predict_over_http_changes_nothing(new_service):
    service = new_service().start()
    events = generated(400)
    service.produce(events[:200])
    service.wait_committed(200)

    model = Model(model_spec(service.settings.model))
    model.predict_then_learn(
        [event["features"] for event in events[:200]], [event["label"] for event in events[:200]]
    )
    for event in events[200:]:
        reply = service.post("/predict", {"features": event["features"]})
        segment = model.predict([event["features"]])
        probabilities = dict(zip(map(str, segment.classes), segment.outputs[0].tolist(), strict=True))
        assert reply.status_code == 200
        assert reply.json()["probabilities"] == probabilities
        assert reply.json()["model"] == {"name": "default", "version": 200}
        assert reply.json()["partition"] == 0

    service.produce(events[200:])
    assert_same(list(map(essence, service.predictions(400)[0])), service.offline(events))
    service.stop()


def test_predict_over_http_names_the_wrong_feature(new_service):
    service = new_service().start()
    service.produce(generated(50))
    service.wait_committed(50)
    for wrong in ("text", {"an": "object"}, [1.0, 2.0]):
        reply = service.post("/predict", {"features": {"a": 1.0, "b": wrong}})
        assert reply.status_code == 422
        assert '"b"' in reply.text or "features.b" in reply.text
    assert service.post("/predict", {"features": {"a": 1.0, "unheard_of": 1.0}}).status_code == 200
    assert service.post("/predict", {"attributes": {}}).status_code == 422
    assert service.status()[0]["model_version"] == 50
    service.stop()


def test_predict_over_http_asks_which_of_several_models(new_service):
    service = new_service({"topics": {"partitions": 2}}).start()
    wait_until(lambda: len(service.status()) == 2, "two partitions", service.check)
    refused = service.post("/predict", {"features": {"a": 1.0}})
    assert refused.status_code == 409
    assert "partition" in refused.json()["detail"]
    assert service.post("/predict", {"features": {"a": 1.0}, "partition": 7}).status_code == 409
    answered = service.post("/predict", {"features": {"a": 1.0}, "partition": 1})
    assert (answered.status_code, answered.json()["partition"]) == (200, 1)
    service.stop()


def test_events_without_a_label_are_predicted_and_not_learned(new_service):
    service = new_service().start()
    events = generated(300)
    for event in events[::3]:
        del event["label"]
    for event in events[1::6]:
        event["label"] = None
    service.produce(events)
    predictions = service.predictions(300)[0]
    assert_same(list(map(essence, predictions)), service.offline(events))
    unlabelled = [p for p, event in zip(predictions, events, strict=True) if event.get("label") is None]
    assert len(unlabelled) == 150
    assert not any("label" in p or "loss" in p for p in unlabelled)
    service.wait_committed(300)
    assert service.status()[0]["model_version"] == 150
    service.stop()


def test_an_event_without_id_and_ts_gets_its_position_and_the_time_of_its_record(new_service, kafka):
    service = new_service().start()
    service.produce([{"features": {"a": 1.0}, "label": 1}], key=b"the key")
    [prediction] = service.predictions(1)[0]
    [sent] = kafka.read(service.topics["events"], 1)[0]
    [received] = kafka.read(service.topics["predictions"], 1)[0]
    assert prediction["id"] == f"{service.topics['events']}/0/0"
    assert prediction["ts"] == sent.timestamp
    assert received.key == b"the key"
    service.stop()


def test_a_regression_predicts_numbers_to_the_bit(new_service, kafka):
    service = new_service({"model": {"task": "regression"}})
    count = send(service, datasets.TrumpApproval())
    service.start()
    predictions = service.predictions(count)[0]
    service.stop()
    events = [json.loads(record.value) for record in kafka.read(service.topics["events"], count)[0]]
    assert_same(list(map(essence, predictions)), service.offline(events))
    assert all(isinstance(p["prediction"], float) and "probabilities" not in p for p in predictions)
    assert service.predicted() == count == 1_001
