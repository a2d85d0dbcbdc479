"""Intervals, sets and explanations in the stream: the same after any cut, crash and late label; counted, served."""

import asyncio
import contextlib
import json

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import OFTEN, P0, P1, Rig, filled_log, make_settings

from nnstream.explain import sampled
from nnstream.kernels.elementary import random_bits
from nnstream.model import Model
from service import events
from service.errors import BrokerError
from service.reasons import OTHERS, Reasons
from service.settings import HttpSettings
from service.testing import MemoryLog
from service.web.app import create_app
from service.wiring import model_spec

COUNT = 300
BOTH = pytest.mark.parametrize("task", ["classification", "regression"])


def config(task="classification", **more):
    sections = {"model": {"task": task, "confidence": 0.9}, "explain": {"share": 0.2}}
    return make_settings(**{name: sections.get(name, {}) | more.get(name, {}) for name in sections | more})


def delayed_log(task, delay, count=COUNT, partitions=(P0,)):
    """Events without labels, each label `delay` events later; every seventh comes with its label."""
    log, rng = MemoryLog(list(partitions)), np.random.default_rng(3)
    for partition in partitions:
        waiting = []
        for i in range(count):
            x, noise = rng.normal(size=2).tolist()
            label = 3 * x + noise if task == "regression" else "up" if x + noise > 0 else "down"
            event = {"id": i, "features": {"x": x, "kind": "abc"[i % 3]}}
            waiting.append({"id": i, "label": label})
            if i % 7 == 0:
                event["label"] = waiting.pop()["label"]
            log.append(partition, json.dumps(event).encode(), key=b"key")
            if len(waiting) > delay:
                log.append(partition, json.dumps(waiting.pop(0)).encode(), key=b"key")
    return log


def bodies(rig):
    return [json.loads(record.value) for record in rig.publisher.topic("predictions")]


def metric(rig, name, **labels):
    labels = {"model": "default", "partition": "0"} | labels
    return rig.telemetry.registry.get_sample_value(f"nnstream_{name}", labels)


@BOTH
@settings(max_examples=12, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), max_size=40), delay=st.integers(0, 30))
def test_any_cut_into_polls_publishes_the_same(task, sizes, delay):
    whole = Rig(delayed_log(task, delay), config(task)).run()
    parts = Rig(delayed_log(task, delay), config(task), batch_sizes=sizes).run()
    assert parts.published() == whole.published()
    assert parts.final() == whole.final()


@BOTH
@settings(max_examples=10, deadline=None)
@given(crashes=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 40)), max_size=4), delay=st.integers(0, 30))
def test_any_number_of_crashes_publishes_the_same(task, crashes, delay):
    """Explanations, intervals and sets are replayed to the bit, also of events whose label was still to come."""
    often = config(task, checkpoint={"every_events": 25})
    whole = Rig(delayed_log(task, delay), often).run()
    rig, seen = Rig(delayed_log(task, delay), often), {}
    for after, size in crashes:
        rig = rig.again(batch_size=size)
        rig.publisher.fail("flush", BrokerError("gone"), after=after)
        with contextlib.suppress(BrokerError):
            rig.run()
        for place, records in rig.predictions().items():
            assert set(records) == set(whole.predictions()[place])
            seen[place] = records
    rig = rig.again().run()
    assert seen | rig.predictions() == whole.predictions()
    assert rig.final() == whole.final()


@BOTH
def test_what_is_published_fits_the_public_record(task):
    found = bodies(Rig(delayed_log(task, 5), config(task)).run())
    records = [events.Prediction.model_validate(body) for body in found]
    late = records[60:]
    assert {record.confidence for record in late} == {0.9}
    if task == "regression":
        assert all(record.interval.lower <= record.prediction <= record.interval.upper for record in late)
        assert all(record.prediction_set is None for record in records)
    else:
        assert all(set(record.prediction_set) <= {"up", "down"} for record in late)
        assert any(record.prediction_set for record in late)
    explained = [record for record in records if record.explanation is not None]
    assert 0.1 < len(explained) / len(records) < 0.3
    for record in explained[10:]:
        reasons = record.explanation
        assert reasons.contributions.keys() == {"x", "kind"}
        assert sum(reasons.contributions.values()) == pytest.approx(reasons.output - reasons.baseline, abs=1e-4)
        assert reasons.label == (None if task == "regression" else record.prediction)
        if task == "regression":
            assert reasons.output == pytest.approx(record.prediction, abs=1e-4)
        else:
            share = record.probabilities[record.prediction]
            assert reasons.output == pytest.approx(np.log(share / (1 - share)), abs=1e-3)


def test_the_events_to_explain_follow_from_partition_offset_and_seed():
    log = lambda: delayed_log("classification", 4, partitions=(P0, P1))  # noqa: E731
    rig = Rig(log(), config(), batch_size=13).run()
    for partition in (0, 1):
        own = [body for body in bodies(rig) if body["source"]["partition"] == partition]
        offsets = np.array([body["source"]["offset"] for body in own])
        chosen = {body["source"]["offset"] for body in own if "explanation" in body}
        assert chosen == set(offsets[sampled(offsets, 0.2, 0, partition)].tolist())
        words = [int(random_bits(0, int(offset), partition)) for offset in offsets]
        assert chosen == {int(offset) for offset, word in zip(offsets, words, strict=True) if word / 2**64 < 0.2}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_the_share_is_kept(share):
    offsets = np.arange(200_000)
    for seed in (0, 1, 12345):
        assert sampled(offsets, share, seed).mean() == pytest.approx(share, abs=0.005)
    assert (sampled(offsets, share, 1) == sampled(offsets, share, 2)).mean() < 1 or share in (0, 1)


def test_without_the_settings_nothing_is_added():
    rig = Rig(delayed_log("classification", 5)).run()
    assert not any({"interval", "prediction_set", "confidence", "explanation"} & body.keys() for body in bodies(rig))
    assert metric(rig, "coverage") is None
    assert metric(rig, "contribution", feature="x") is None


@BOTH
def test_explanations_and_intervals_change_no_prediction(task):
    plain = Rig(delayed_log(task, 5), make_settings(model={"task": task})).run()
    rich = Rig(delayed_log(task, 5), config(task)).run()
    more = ("interval", "prediction_set", "confidence", "explanation")
    assert [{k: v for k, v in body.items() if k not in more} for body in bodies(rich)] == bodies(plain)


@BOTH
@pytest.mark.parametrize("delay", [0, 20])
def test_measured_coverage_is_that_of_what_was_published(task, delay):
    rig = Rig(delayed_log(task, delay, count=1500), config(task)).run()
    labels = {}
    for record in rig.log.read(P0, 0, 10_000):
        body = json.loads(record.value)
        if "label" in body:
            labels[body["id"]] = body["label"]
    hits = []
    for body in bodies(rig):
        if "confidence" not in body or body["id"] not in labels:
            continue
        label, region = labels[body["id"]], body.get("interval")
        hits.append(region["lower"] <= label <= region["upper"] if region else label in body["prediction_set"])
    assert metric(rig, "coverage") == pytest.approx(np.mean(hits))
    assert np.mean(hits) == pytest.approx(0.9, abs=0.03)
    assert metric(rig, "region_size") > 0


def test_contributions_are_counted_by_feature():
    rig = Rig(delayed_log("classification", 5, count=1000), config()).run()
    explained = [body["explanation"]["contributions"] for body in bodies(rig) if "explanation" in body]
    for feature in ("x", "kind"):
        expected = np.mean([abs(each[feature]) for each in explained])
        assert metric(rig, "contribution", feature=feature) == pytest.approx(expected)
    assert metric(rig, "contribution", feature="x") > metric(rig, "contribution", feature="kind")


def test_more_features_than_a_dashboard_bears_count_as_one():
    rows = [{f"f{i}": float(k + i) for i in range(130)} for k in range(40)]
    model = Model(model_spec(make_settings().model))
    model.predict_then_learn(rows, [k % 2 for k in range(40)])
    reasons = Reasons(1.0, "integrated_gradients", 0, 0)
    found = model.explain_one(rows[3])
    reasons.note([found])
    assert len(reasons.means) == 101
    assert sum(reasons.means.values()) == pytest.approx(sum(map(abs, found.contributions.values())))
    assert OTHERS in reasons.means


def test_a_correction_is_not_scored_again():
    log = MemoryLog([P0])
    for i in range(200):
        log.append(P0, json.dumps({"id": i, "features": {"x": i % 5}, "label": "ab"[i % 2]}).encode())
    for i in range(150, 200):
        log.append(P0, json.dumps({"id": i, "label": "ba"[i % 2]}).encode())
    rig = Rig(log, config(labels={"second": "correction"})).started(60)
    conformal = rig.worker.tasks[P0].confidence.conformal
    assert rig.worker.tasks[P0].learner.model.version == 250
    assert conformal.scored == 200 - 12  # two bring their classes, and ten labels come before the first set


def test_switched_on_later_it_begins_with_what_comes():
    first = Rig(delayed_log("classification", 5), OFTEN, batch_size=20)
    first.publisher.fail("flush", BrokerError("gone"), after=8)
    with pytest.raises(BrokerError):
        first.run()
    first.settings = config(checkpoint={"every_events": 10, "keep": 3})
    second = first.again().run()
    assert "prediction_set" in bodies(second)[-1]


# -- asked over HTTP


def ask(rig, **body):
    async def request():
        app = create_app(rig.worker, HttpSettings())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://nnstream") as client:
            return await client.post("/predict", json=body)

    return asyncio.run(request())


@BOTH
def test_an_answer_says_how_sure_it_is_and_why(task):
    rig = Rig(delayed_log(task, 5), config(task)).started(20)
    plain = ask(rig, features={"x": 1.5, "kind": "a"}).json()
    assert plain["confidence"] == 0.9
    assert plain["explanation"] is None
    assert (plain["interval"] is not None) == (task == "regression")
    assert (plain["prediction_set"] is not None) == (task == "classification")
    reasons = ask(rig, features={"x": 1.5, "kind": "a"}, explain=True).json()["explanation"]
    found = rig.worker.tasks[P0].learner.model.explain_one({"x": 1.5, "kind": "a"})
    assert reasons["contributions"] == pytest.approx(found.contributions)


def test_an_answer_without_a_confidence_says_nothing_of_it():
    answer = ask(Rig(filled_log(90)).started(20), features={"x": 1.5}).json()
    assert answer["confidence"] is answer["interval"] is answer["prediction_set"] is None
