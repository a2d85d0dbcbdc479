"""What goes out, and how the stream is watched."""

import dataclasses
import json
from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import P0, Rig, filled_log, make_settings

from nnstream.drift.detectors import KINDS, DetectorSpec
from nnstream.drift.signals import SignalSpec
from nnstream.model import Model
from nnstream.prequential import Prequential
from service import publish
from service.events import DEAD_LETTER_HEADER, DeadLetter, DriftAlert, Prediction
from service.monitor import Monitor, MonitorSpec, Observed
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


@pytest.mark.parametrize(("ts", "stamp"), [(0, 0), (5, 5), (-1, 1000), (2000, 1000), (2**62, 1000)])
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


def seen(labels, losses, predictions=None, features=()):
    """A batch of events whose labels came with them."""
    rows = [i for i, label in enumerate(labels) if label is not None]
    return Observed(
        len(labels), range(len(features)), features, np.full(len(features), 0.5),
        rows, [labels[i] for i in rows], [(predictions or labels)[i] for i in rows], [losses[i] for i in rows],
        [np.nan] * len(rows), np.full((len(rows), 2), 0.5), [0] * len(rows),
    )  # fmt: skip


def new_monitor(task="classification", every=10_000_000, **fields):
    spec = SignalSpec(DetectorSpec(fields.pop("detector", "adwin"), every))
    return Monitor(MonitorSpec(task, fields.pop("window", 100), signals=spec, **fields))


def alerts(losses):
    """Offsets at which drift was found in a stream of losses."""
    found = new_monitor().observe(seen([1] * len(losses), losses))
    return [drift.row for drift in found if drift.is_alert]


@pytest.mark.parametrize("seed", range(5))
def test_an_abrupt_drift_raises_one_alert_within_500_events(seed):
    rng = np.random.default_rng(seed)
    losses = np.concatenate([rng.exponential(0.1, 5000), rng.exponential(0.8, 5000)])
    (found,) = alerts(losses.tolist())
    assert 5000 <= found < 5500


@pytest.mark.parametrize("seed", range(5))
def test_learning_raises_no_alert(seed):
    rng = np.random.default_rng(seed)
    assert alerts((rng.exponential(1, 20_000) * np.linspace(1, 0.05, 20_000)).tolist()) == []


def stationary(count, seed):
    """A stream of every kind of signal that does not change, in batches."""
    rng = np.random.default_rng(seed)
    for start in range(0, count, 500):
        numbers = rng.normal(size=(500, 6)) * [1, 10, 0.1, 1, 1, 1]
        numbers[:, 3:] = np.exp(numbers[:, 3:])
        rows = [dict(zip("abcdef", row, strict=True)) for row in numbers.tolist()]
        for i, row in enumerate(rows):
            row["kind"] = "xyz"[(start + i * i) % 3] if rng.random() < 0.9 else None
        wrong = rng.random(500) < 0.03
        yield Observed(
            500, range(500), rows, rng.random(500), range(500), [0] * 500, wrong.astype(int).tolist(),
            (rng.exponential(0.05, 500) + 2 * wrong).tolist(), rng.exponential(60, 500).tolist(),
            np.full((500, 2), 0.5), [0] * 500,
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_100_000_stationary_events_raise_no_alert(seed):
    monitor = new_monitor()
    assert [drift for batch in stationary(100_000, seed) for drift in monitor.observe(batch)] == []
    assert max(shift for _, _, shift in monitor.shifts()) < 1.5


def test_a_feature_that_moves_is_named():
    monitor = new_monitor()
    *before, after = stationary(10_500, 0)
    for batch in before:
        assert monitor.observe(batch) == []
    for row in after.features:
        row["c"] = row["c"] * 4
    (alert,) = [drift for drift in monitor.observe(after) if drift.is_alert]
    assert (alert.signal, alert.feature, alert.statistic, alert.detector) == ("features", "c", "spread", "adwin")
    assert alert.after == pytest.approx(4 * alert.before, rel=0.3)
    assert alert.distance > 0.9
    assert abs(alert.events - alert.row) < 100
    assert max(monitor.shifts(), key=lambda each: each[2])[1] != "c"  # it begins anew


def test_a_category_that_becomes_rare_is_named_without_numbers():
    monitor = new_monitor(cool_down=100)
    *before, after = stationary(10_500, 0)
    for batch in before:
        monitor.observe(batch)
    for row in after.features:
        row["kind"] = "x" if row["kind"] else None
    found = [drift for drift in monitor.observe(after) if drift.feature == "kind"]
    assert found
    assert (found[0].before, found[0].after) == (None, None)


def test_one_change_of_everything_is_one_alert():
    monitor, batches = new_monitor(), list(stationary(12_000, 1))
    for batch in batches[:20]:
        assert monitor.observe(batch) == []
    found = []
    for batch in batches[20:]:
        batch.features = [{**row, "a": row["a"] + 9, "b": row["b"] - 99, "d": None} for row in batch.features]
        batch.losses, batch.delays = [5.0 + x for x in batch.losses], [x * 9 for x in batch.delays]
        found += monitor.observe(batch)
    assert {drift.signal for drift in found} == {"loss", "features", "missing", "delay"}
    (alert,) = [drift for drift in found if drift.is_alert]
    assert alert.signal in ("loss", "missing", "delay", "features")
    assert monitor.drifts == 1


def test_a_drift_goes_out_as_an_alert():
    rng = np.random.default_rng(0)
    log = MemoryLog([P0])
    for i in range(5000):
        x = float(rng.normal())
        event = {"ts": 10 * i, "features": {"x": x}, "label": (x > 0) == (i < 3000)}
        log.append(P0, json.dumps(event).encode(), timestamp_ms=10 * i + 5)
    rig = Rig(log, batch_size=100).run()
    (alert,) = rig.publisher.topic("alerts")
    body = DriftAlert.model_validate_json(alert.value)
    assert (body.model, body.detector, alert.key) == ("default", "adwin", b"default")
    assert body.signal in ("loss", "error")
    assert 3000 <= body.source.offset < 3500
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
        for kappa, baseline in (("kappa_temporal", expected[1]), ("kappa_m", expected[2])):
            beats = (expected[0] - baseline) / (1 - baseline) if baseline < 1 else np.nan
            assert summary[kappa] == pytest.approx(beats, nan_ok=True)
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


def mixed(count, seed=1):
    """Batches' rows with everything in them: labels that are missing, features that come late, jumps."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        jump = i > count // 2
        features = {"x": rng.normal() + 3 * jump, "kind": "ab"[rng.integers(2)] if rng.random() < 0.9 else None}
        if i > 130:
            features["late"] = int(rng.integers(9))
        label = None if rng.random() < 0.2 else int(rng.integers(3))
        yield (
            features,
            label,
            rng.random() * (1 + 3 * jump),
            int(rng.integers(3)),
            rng.random(),
            rng.random() * 9,
            100 * i,
        )


def observed(rows, start, stop):
    part = rows[start:stop]
    answers = [i for i, row in enumerate(part) if row[1] is not None]
    return Observed(
        len(part), range(len(part)), [row[0] for row in part], np.array([row[4] for row in part]),
        answers, [part[i][1] for i in answers], [part[i][3] for i in answers], [part[i][2] for i in answers],
        [part[i][5] for i in answers], np.array([(0.3, 0.5)] * len(answers)).reshape(-1, 2),
        [part[i][6] for i in answers],
    )  # fmt: skip


def state_of(monitor):
    arrays = {name: (array.shape, array.tobytes()) for name, array in monitor.state().items()}
    return arrays, json.dumps(monitor.describe(), allow_nan=False)


ROWS = list(mixed(4000))


def watch(monitor, cuts, start=0):
    found = []
    for first, last in zip([start, *cuts], [*cuts, len(ROWS)], strict=True):
        drifts = monitor.observe(observed(ROWS, first, last))
        found += [dataclasses.replace(drift, row=first + drift.row) for drift in drifts]
    return found


@pytest.mark.parametrize("detector", KINDS)
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 4000), max_size=30).map(sorted))
def test_the_monitor_does_not_see_where_a_stream_was_cut(detector, cuts):
    make = lambda: new_monitor(detector=detector, every=2000, cool_down=100)  # noqa: E731
    cut, whole = make(), make()
    assert watch(cut, cuts) == watch(whole, [])
    assert state_of(cut) == state_of(whole)


@pytest.mark.parametrize("detector", KINDS)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_monitor_goes_on_from_what_it_described(task, detector):
    make = lambda: new_monitor(task, detector=detector, every=2000, cool_down=100)  # noqa: E731
    whole = make()
    expected = watch(whole, [])
    assert [drift for drift in expected if drift.row > 2000]
    for cut in (31, 2000, 2100, 3999):
        first, second = make(), make()
        found = first.observe(observed(ROWS, 0, cut))
        second.restore(json.loads(json.dumps(first.describe(), allow_nan=False)), first.state())
        assert found + watch(second, [], cut) == expected
        assert state_of(second) == state_of(whole)


def test_a_monitor_that_is_switched_off_does_nothing():
    monitor = new_monitor(enabled=False)
    before = state_of(monitor)
    assert watch(monitor, []) == []
    assert state_of(monitor) == before


def test_unlabelled_events_are_not_scored():
    score = Prequential("classification", 10)
    score.update([None, "a", None], ["a", "a", "b"], [float("nan"), 0.1, float("nan")])
    assert score.summary()["n"] == 1
    assert score.summary()["accuracy"] == 1.0
