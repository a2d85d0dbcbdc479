"""The HTTP interface over a worker of fakes."""

import asyncio
import json
import threading
from collections import Counter

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from rig import P0, P1, Rig, filled_log, make_settings

from nnstream.model import Model
from nnstream.schema import category_text
from service.settings import HttpSettings
from service.testing import MemoryLog
from service.web.app import create_app

COUNT = 90


class Client:
    """Requests to an application in this process."""

    def __init__(self, app):
        self._app = app

    def get(self, path, **more):
        return asyncio.run(self._request("GET", path, **more))

    def post(self, path, **body):
        return asyncio.run(self._request("POST", path, **body))

    async def _request(self, method, path, **body):
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://nnstream") as client:
            return await client.request(method, path, **body)


def client_of(rig, **http):
    return Client(create_app(rig.worker, HttpSettings(**http)))


@pytest.fixture
def rig():
    return Rig(filled_log(COUNT)).started()


@pytest.fixture
def client(rig):
    return client_of(rig)


# -- health


def test_alive_before_and_while_running_and_not_after():
    rig = Rig(filled_log(COUNT))
    client = client_of(rig)
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"state": "starting"})
    rig.started()
    assert client.get("/healthz").json() == {"state": "running"}
    rig.run()
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (503, {"state": "stopped"})


def test_not_ready_before_partitions_are_assigned():
    rig = Rig(filled_log(COUNT), assign_all=False).started()
    answer = client_of(rig).get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "waiting_for": ["the worker is running and has no partitions yet"]}


def test_ready_to_stand_by_when_there_are_no_partitions_for_it():
    rig = Rig(filled_log(COUNT), assign_all=False)
    rig.source.on_end = lambda: None
    rig.started()
    rig.clock.advance(11.0)
    rig.worker.step()
    assert client_of(rig).get("/readyz").status_code == 200


def test_ready_with_all_taken_in(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "waiting_for": []})


def test_ready_with_no_partition_left_for_this_worker(rig, client):
    rig.source.revoke([P0])
    rig.worker.step()
    assert client.get("/readyz").status_code == 200


def test_not_ready_far_behind():
    rig = Rig(filled_log(COUNT), batch_size=10).started()
    answer = client_of(rig, ready_lag=79).get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["waiting_for"] == ["events-0 lies 80 events behind, more than http.ready_lag of 79"]
    assert client_of(rig, ready_lag=80).get("/readyz").status_code == 200


def test_not_ready_while_replaying():
    first = Rig(filled_log(COUNT), batch_size=30).started(steps=2)
    second = first.again(batch_size=10).started()
    answer = client_of(second).get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["waiting_for"] == ["events-0 is being replayed, 50 events to go"]


# -- predict


def test_a_prediction_is_what_the_model_says(rig, client):
    row = {"x": 1.5, "y": None, "kind": "a", "never seen": 3}
    body = client.post("/predict", json={"features": row}).json()
    segment, version = rig.worker.tasks[P0].learner.predict(row)
    names = [category_text(label) for label in segment.classes]
    assert body["probabilities"] == dict(zip(names, segment.outputs[0].tolist(), strict=True))
    assert body["prediction"] == max(body["probabilities"], key=body["probabilities"].get)
    assert body["model"] == {"name": "default", "version": version}
    assert body["partition"] == 0


def test_asking_changes_nothing(rig, client):
    rig.run()
    learner = rig.worker.tasks
    assert learner == {}
    other = Rig(filled_log(COUNT)).started()
    client_of(other).post("/predict", json={"features": {"x": 99.0, "new": "thing"}})
    other.worker.run()
    assert other.final() == rig.final()


def test_before_the_first_label_there_is_no_prediction():
    rig = Rig(MemoryLog([P0])).started()
    answer = client_of(rig).post("/predict", json={"features": {"x": 1}})
    assert answer.status_code == 200
    assert answer.json()["prediction"] is None


def test_a_regression_answers_with_a_number():
    log = MemoryLog([P0])
    for i in range(40):
        log.append(P0, json.dumps({"features": {"x": i % 7}, "label": 3.0 * (i % 7)}).encode())
    body = client_of(Rig(log, make_settings(model={"task": "regression"})).started()).post(
        "/predict", json={"features": {"x": 3}}
    )
    assert isinstance(body.json()["prediction"], float)
    assert body.json()["probabilities"] is None


REFUSED = {
    "no features": ({}, "features"),
    "features a list": ({"features": [1]}, "features"),
    "unknown field": ({"features": {}, "label": 1}, "label"),
    "an object": ({"features": {"x": {}}}, "x"),
    "a text for a number": ({"features": {"x": "high"}}, "features.x: expected a number"),
    "partition a text": ({"features": {}, "partition": "a"}, "partition"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_encoded_is_refused(name, client):
    body, words = REFUSED[name]
    answer = client.post("/predict", json=body)
    assert answer.status_code == 422
    assert words in answer.text


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"1e999", b"[1, NaN]"])
def test_nan_and_infinity_are_refused(value, client):
    answer = client.post(
        "/predict", content=b'{"features": {"x": ' + value + b"}}", headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422


def test_without_partitions_it_asks_to_come_back():
    rig = Rig(filled_log(COUNT), assign_all=False).started()
    answer = client_of(rig).post("/predict", json={"features": {}})
    assert answer.status_code == 503
    assert "/readyz" in answer.json()["detail"]


def test_with_several_partitions_one_must_be_chosen():
    client = client_of(Rig(filled_log(COUNT, (P0, P1))).started())
    answer = client.post("/predict", json={"features": {"x": 1}})
    assert answer.status_code == 409
    assert answer.json()["detail"].endswith("add one of partition: 0, 1")
    assert client.post("/predict", json={"features": {"x": 1}, "partition": 1}).json()["partition"] == 1
    answer = client.post("/predict", json={"features": {"x": 1}, "partition": 7})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "partition 7 is not on this worker; it owns 0, 1"


def test_weights_are_never_seen_half_updated():
    """Every answer under a learning thread is that of some whole version between two batches."""
    row = {"x": 0.3, "y": -0.2, "kind": "b"}
    settings = make_settings(model={"network": {"hidden": [64, 64]}})
    count, size = 3000, 25
    log = filled_log(count)
    rig = Rig(log, settings, batch_size=size).started()
    model = Model(rig.spec)
    task = Rig(filled_log(count), settings, batch_size=size).started()
    expected = {}
    while not task.source.at_end:
        segment, version = task.worker.tasks[P0].learner.predict(row)
        expected[version] = segment.outputs[0].tolist()
        task.worker.step()
    assert model.version == 0
    client = client_of(rig)
    thread = threading.Thread(target=lambda: [rig.worker.step() for _ in range(count // size - 2)])
    thread.start()
    seen = set()
    while thread.is_alive():
        body = client.post("/predict", json={"features": row}).json()
        version = body["model"]["version"]
        assert list(body["probabilities"].values()) == expected[version]
        seen.add(version)
    thread.join()
    assert seen


# -- status and metrics


def test_status_of_nothing_yet_is_finite_json():
    status = client_of(Rig(MemoryLog([P0])).started()).get("/status").json()
    (partition,) = status["partitions"]
    assert status["state"] == "running"
    assert partition["score"] == {
        "n": 0, "accuracy": None, "loss": None, "baselines": {"no_change": None, "majority": None},
        "kappa_temporal": None, "kappa_m": None,
    }  # fmt: skip


def test_status_tells_position_and_score(client):
    (partition,) = client.get("/status").json()["partitions"]
    assert (partition["topic"], partition["partition"], partition["offset"], partition["lag"]) == ("events", 0, 90, 0)
    assert partition["dead_letters"] == len([i for i in range(COUNT) if i % 17 == 5])
    assert 0 < partition["score"]["accuracy"] <= 1
    assert partition["score"]["n"] == partition["model_version"]
    assert partition["rolling"].keys() == partition["score"].keys()


def test_metrics_can_be_parsed_and_count(client):
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    values = Counter()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            values[sample.name] += sample.value
    dead = len([i for i in range(COUNT) if i % 17 == 5])
    assert values["nnstream_events_total"] == COUNT
    assert values["nnstream_dead_letters_total"] == dead
    assert values["nnstream_predictions_total"] == COUNT - dead
    assert values["nnstream_consumer_lag_events"] == 0
    assert values["nnstream_assigned_partitions"] == 1


def test_openmetrics_where_it_is_asked_for_with_the_event_behind_a_number(client):
    answer = client.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = {}
    for family in openmetrics_families(answer.text):
        for sample in family.samples:
            if sample.exemplar is not None:
                found[family.name, sample.labels.get("problem")] = sample.exemplar.labels
    bad = [i for i in range(COUNT) if i % 17 == 5]
    assert found["nnstream_dead_letters", "not_json"] == {"offset": str(bad[-1])}
    assert found["nnstream_event_latency_seconds", None] == {"offset": str(COUNT - 1)}


def test_how_the_networks_are_is_told(client):
    values = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.labels.get("member") == "network":
                values[sample.name] = sample.value
    assert values["nnstream_member_learning_rate"] > 0
    assert values["nnstream_weight_norm"] > 0
    assert values["nnstream_gradient_norm"] > 0
    assert 0 <= values["nnstream_dead_relu_ratio"] <= 1


def test_the_interface_describes_itself(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/healthz", "/readyz", "/metrics", "/status", "/predict"} <= paths.keys()
