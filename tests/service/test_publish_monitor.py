"""What goes out, and how the stream is watched."""

import json
from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import P0, Rig, filled_log, make_settings

from nnstream.model import Model
from nnstream.prequential import Prequential
from service import publish
from service.events import DEAD_LETTER_HEADER, DeadLetter, DriftAlert, Prediction
from service.monitor import Monitor
from service.records import Refused
from service.testing import MemoryLog, MemoryRecord

COUNT = 90


@pytest.fixture(scope="module")
def rig():
    return Rig(filled_log(COUNT)).run()


# -- predictions


def test_bodies_are_public_records_of_exactly_what_the_library_says(rig):
    log = [msgspec.json.decode(r.value) | {"offset": r.offset} for r in rig.log.read(P0, 0, COUNT) if b"{" in r.value]
    outcome = Model(rig.spec).predict_then_learn(
        [event["features"] for event in log], [event.get("label") for event in log]
    )
    expected = {
        i: dict(zip(segment.classes, row, strict=True))
        for segment in outcome.segments
        for i, row in zip(segment.rows, segment.outputs.tolist(), strict=True)
    }
    records = rig.publisher.topic("predictions")
    assert len(records) == len(log)
    for i, (record, event) in enumerate(zip(records, log, strict=True)):
        body = Prediction.model_validate_json(record.value)
        assert body.probabilities == (expected[i] or None)
        assert body.prediction == outcome.predictions()[i]
        assert body.loss == (outcome.losses[i] if outcome.losses[i] == outcome.losses[i] else None)
        assert (body.id, body.ts, body.label) == (event["id"], event["offset"], event.get("label"))
        assert body.source.offset == event["offset"]
        assert body.model.version == outcome.versions[i]
        assert (record.key, record.partition) == (b"key", 0)


def test_what_is_not_known_is_absent(rig):
    bodies = [msgspec.json.decode(record.value) for record in rig.publisher.topic("predictions")]
    assert "loss" not in bodies[0]
    for body in bodies:
        assert ("loss" in body) <= ("label" in body)
        assert None not in (body.get("label", 0), body.get("loss", 0), body.get("probabilities", 0))


@pytest.mark.parametrize(("ts", "stamp"), [(0, 0), (5, 5), (-1, 1000), (2000, 1000), (2**70, 1000)])
def test_a_record_never_claims_to_come_from_the_future(ts, stamp):
    log = MemoryLog([P0])
    log.append(P0, json.dumps({"ts": ts, "features": {"x": 1}}).encode(), timestamp_ms=1000)
    (record,) = Rig(log).run().publisher.topic("predictions")
    assert record.timestamp_ms == stamp
    assert msgspec.json.decode(record.value)["ts"] == ts


def test_a_regression_has_no_probabilities():
    log = MemoryLog([P0])
    for i in range(30):
        log.append(P0, json.dumps({"features": {"x": i}, "label": i / 3}).encode())
    bodies = [
        msgspec.json.decode(record.value)
        for record in Rig(log, make_settings(model={"task": "regression"})).run().publisher.topic("predictions")
    ]
    assert all("probabilities" not in body and isinstance(body["prediction"], float) for body in bodies)
    assert all(body["loss"] >= 0 for body in bodies)


# -- dead letters


RECORD = MemoryRecord(7, 123, b"k", b"\xffraw", (("trace", b"t"),))


def test_a_dead_letter_is_the_record_as_it_came_and_why():
    (letter,) = publish.dead_letters([Refused(RECORD, "not_utf8", "why")], P0, "dead", 1_000_000)
    assert (letter.topic, letter.key, letter.value, letter.timestamp_ms) == ("dead", b"k", b"\xffraw", 123)
    assert letter.headers[0] == ("trace", b"t")
    name, text = letter.headers[-1]
    assert name == DEAD_LETTER_HEADER
    body = DeadLetter.model_validate_json(text)
    assert (body.problem, body.reason, body.ts, body.source.offset) == ("not_utf8", "why", 123, 7)
    assert b"null" not in text


def test_a_tombstone_stays_a_tombstone():
    (letter,) = publish.dead_letters(
        [Refused(MemoryRecord(7, 123, None, None, ()), "tombstone", "why")], P0, "dead", 1_000_000
    )
    assert letter.value is None


def test_a_letter_too_large_for_its_topic_is_cut_and_says_what_it_was():
    large = MemoryRecord(7, 123, b"k", b"x" * 50_000, (("trace", b"t"),))
    (whole,) = publish.dead_letters([Refused(large, "too_large", "why")], P0, "dead", 1_000_000)
    assert whole.value == large.value
    (cut,) = publish.dead_letters([Refused(large, "too_large", "why")], P0, "dead", 10_000)
    assert large.value.startswith(cut.value)
    assert 4_000 < len(cut.value) < 10_000
    assert cut.headers[0] == ("trace", b"t")
    body = DeadLetter.model_validate_json(cut.headers[-1][1])
    assert (body.truncated_from_bytes, body.reason) == (50_000, "why")


# -- the monitor


def observed(losses, delta=0.002):
    """Offsets at which drift was found in a stream of losses."""
    monitor = Monitor("classification", 100, delta)
    return [drift.index for drift in monitor.observe([1] * len(losses), [1] * len(losses), losses)]


@pytest.mark.parametrize("seed", range(5))
def test_an_abrupt_drift_raises_an_alert_soon(seed):
    rng = np.random.default_rng(seed)
    losses = np.concatenate([rng.exponential(0.1, 2000), rng.exponential(0.8, 1000)])
    found = observed(losses.tolist())
    assert found
    assert 2000 <= found[0] < 2300


@pytest.mark.parametrize("seed", range(5))
def test_learning_raises_no_alert(seed):
    rng = np.random.default_rng(seed)
    assert observed((rng.exponential(1, 5000) * np.linspace(1, 0.05, 5000)).tolist()) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_stationary_stream_raises_no_alert(seed):
    assert observed(np.random.default_rng(seed).exponential(0.3, 5000).tolist()) == []


def test_a_drift_goes_out_as_an_alert():
    rng = np.random.default_rng(0)
    log = MemoryLog([P0])
    for i in range(3000):
        x = float(rng.normal())
        event = {"ts": 10 * i, "features": {"x": x}, "label": (x > 0) == (i < 1500)}
        log.append(P0, json.dumps(event).encode(), timestamp_ms=10 * i + 5)
    rig = Rig(log, batch_size=100).run()
    (alert, *_) = rig.publisher.topic("alerts")
    body = DriftAlert.model_validate_json(alert.value)
    assert (body.model, body.signal, body.detector, alert.key) == ("default", "loss", "adwin", b"default")
    assert 1500 <= body.source.offset < 2000
    assert body.ts == alert.timestamp_ms == 10 * body.source.offset
    assert body.after > body.before


# -- scores and baselines


def plain_scores(labels, predictions):
    """Accuracy, no-change and majority by the book."""
    counts, last, hits = Counter(), None, np.zeros((len(labels), 3))
    for i, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
        majority = max(counts, key=counts.get, default=None)
        hits[i] = prediction == label, last == label, majority == label
        counts[label] += 1
        last = label
    return hits


@settings(max_examples=60, deadline=None)
@given(
    stream=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=60
    ),
    cuts=st.lists(st.integers(0, 60), max_size=6).map(sorted),
    window=st.integers(1, 20),
)
def test_scores_are_those_of_a_plain_loop_for_any_cut(stream, cuts, window):
    labels, predictions = [label for label, _ in stream], [prediction for _, prediction in stream]
    score = Prequential("classification", window)
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        score.update(labels[start:stop], predictions[start:stop], [0.5] * len(labels[start:stop]))
    hits = plain_scores(labels, predictions)
    for rolling, expected in ((False, hits.mean(axis=0)), (True, hits[-window:].mean(axis=0))):
        summary = score.summary(rolling=rolling)
        found = [summary["accuracy"], summary["baselines"]["no_change"], summary["baselines"]["majority"]]
        assert found == pytest.approx(expected.tolist())
        assert summary["n"] == len(stream)


def test_regression_baselines_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    y, guess = rng.normal(5, 2, 200).tolist(), rng.normal(5, 2, 200).tolist()
    score = Prequential("regression", 50)
    score.update(y, guess, [0.0] * 200)
    summary = score.summary()
    means = [np.mean(y[:i]) if i else 0.0 for i in range(200)]
    assert summary["mae"] == pytest.approx(np.abs(np.subtract(y, guess)).mean())
    assert summary["baselines"]["no_change"] == pytest.approx(np.abs(np.diff([0.0, *y])).mean())
    assert summary["baselines"]["mean"] == pytest.approx(np.abs(np.subtract(y, means)).mean())


@pytest.mark.parametrize("task", ["classification", "regression"])
@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=30).map(sorted))
def test_the_monitor_does_not_see_where_a_stream_was_cut(task, cuts):
    rng = np.random.default_rng(1)
    labels = [None if rng.random() < 0.2 else int(rng.integers(3)) for _ in range(400)]
    predictions = rng.integers(0, 3, 400).tolist()
    losses = [float("nan") if label is None else loss for label, loss in zip(labels, rng.random(400), strict=True)]

    def run(cuts):
        monitor, found = Monitor(task, 30, 0.1), []
        for start, stop in zip([0, *cuts], [*cuts, 400], strict=True):
            part = slice(start, stop)
            drifts = monitor.observe(labels[part], predictions[part], losses[part])
            found += [(start + drift.index, drift.before, drift.after) for drift in drifts]
        state = {name: array.tobytes() for name, array in monitor.state().items()}
        return found, state, json.dumps(monitor.describe())

    assert run(cuts) == run([])


def test_unlabelled_events_are_not_scored():
    score = Prequential("classification", 10)
    score.update([None, "a", None], ["a", "a", "b"], [float("nan"), 0.1, float("nan")])
    assert score.summary()["n"] == 1
    assert score.summary()["accuracy"] == 1.0


@pytest.mark.parametrize("cut", [0, 1, 130, 290, 299])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_monitor_goes_on_from_what_it_described(task, cut):
    rng = np.random.default_rng(2)
    labels, losses = rng.integers(0, 3, 300).tolist(), (rng.random(300) + (np.arange(300) > 140)).tolist()
    predictions = [label + round(loss) for label, loss in zip(labels, losses, strict=True)]
    whole, first, second = (Monitor(task, 40, 0.3) for _ in range(3))
    found = whole.observe(labels, predictions, losses)
    assert [drift.index > 140 for drift in found] == [True]
    before = first.observe(labels[:cut], predictions[:cut], losses[:cut])
    second.restore(json.loads(json.dumps(first.describe(), allow_nan=False)), first.state())
    after = second.observe(labels[cut:], predictions[cut:], losses[cut:])
    again = [(drift.index + cut, drift.before, drift.after) for drift in after]
    assert [(drift.index, drift.before, drift.after) for drift in before] + again == [
        (drift.index, drift.before, drift.after) for drift in found
    ]
    assert second.describe() == whole.describe()
    assert second.score.summary(rolling=True) == whole.score.summary(rolling=True)
