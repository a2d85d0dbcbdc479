"""Labels that come after their event: joined in log order, in bounds, the same after any cut and any crash."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import P0, Rig, make_settings

from nnstream.model import Model
from service.errors import BrokerError
from service.records import Partition
from service.shelf import Shelf, Waiting
from service.testing import MemoryLog
from service.wiring import model_spec

L0 = Partition("labels", 0)


def event(name, x, label=None, **fields):
    return json.dumps(
        {"id": name, "features": {"x": x}} | ({} if label is None else {"label": label}) | fields
    ).encode()


def late(name, label):
    return json.dumps({"id": name, "label": label}).encode()


def run(values, stamps=None, config=None, **source):
    log = MemoryLog([P0])
    for i, value in enumerate(values):
        log.append(P0, value, timestamp_ms=None if stamps is None else stamps[i])
    return Rig(log, config, **source).run()


def bodies(rig, topic="predictions"):
    return [json.loads(record.value) for record in rig.publisher.topic(topic)]


def problems(rig):
    return [
        json.loads(dict(record.headers)["nnstream-dead-letter"])["problem"]
        for record in rig.publisher.topic("dead-letters")
    ]


def metric(rig, name, **labels):
    labels = {"model": "default", "partition": "0"} | labels
    return rig.telemetry.registry.get_sample_value(f"nnstream_{name}", labels)


def delayed(count, delay, seed=0):
    """A log of events without labels, each label `delay` events after its event."""
    import numpy as np  # noqa: PLC0415

    xs = np.random.default_rng(seed).normal(size=count).round(3).tolist()
    out = []
    for i, x in enumerate(xs):
        out.append(event(f"e{i}", x))
        if i >= delay:
            out.append(late(f"e{i - delay}", "up" if xs[i - delay] > 0 else "down"))
    return xs, out


def test_an_event_is_predicted_at_once_and_learned_when_its_label_comes():
    rig = run([event("a", 1.0, "up"), event("b", 2.0), event("c", -1.0, "down"), late("b", "up"), event("d", 2.0)])
    model = Model(model_spec(rig.settings.model))
    rows = [{"x": 1.0}, {"x": 2.0}, {"x": -1.0}, {"x": 2.0}, {"x": 2.0}]
    wanted = model.predict_then_learn(rows, ["up", None, "down", "up", None])
    assert [body["id"] for body in bodies(rig)] == ["a", "b", "c", "d"]
    assert [body["model"]["version"] for body in bodies(rig)] == [0, 1, 1, 3]
    assert list(bodies(rig)[3]["probabilities"].values()) == wanted.segments[-1].outputs[-1].tolist()
    assert "label" not in bodies(rig)[1]


def test_the_loss_that_counts_is_that_of_the_published_prediction():
    _, values = delayed(60, 20)
    rig = run(values)
    published = {body["id"]: body for body in bodies(rig)}
    labels = {each["id"]: each["label"] for each in map(json.loads, values) if "label" in each}
    right = [published[name]["prediction"] == label for name, label in labels.items()]
    assert metric(rig, "score", metric="accuracy", of="model") == sum(right) / len(right)
    assert metric(rig, "label_delay_seconds_count") == len(labels)
    assert metric(rig, "labels_pending") == 20


def test_a_label_that_comes_first_waits_for_its_event():
    rig = run([late("a", "up"), event("a", 1.0), event("b", 1.0)])
    assert [body.get("label") for body in bodies(rig)] == ["up", None]
    assert bodies(rig)[1]["model"]["version"] == 1


def test_an_event_without_an_id_is_named_by_its_position():
    rig = run([b'{"features": {"x": 1.0}}', late("events/0/0", "up"), event("b", 1.0)])
    assert bodies(rig)[1]["model"]["version"] == 1


def test_ids_that_look_alike_are_two():
    rig = run([event("1", 1.0), event(1, 2.0), late(1, "up"), late("1", "down"), late(1, "down")])
    assert problems(rig) == ["second_label"]


def test_a_second_label_is_a_dead_letter_or_a_correction():
    values = [event("a", 1.0), late("a", "up"), late("a", "down"), event("b", 1.0)]
    refused = run(values)
    assert problems(refused) == ["second_label"]
    assert bodies(refused)[1]["model"]["version"] == 1
    corrected = run(values, config=make_settings(labels={"second": "correction"}))
    assert problems(corrected) == []
    assert bodies(corrected)[1]["model"]["version"] == 2
    immediate = run([event("a", 1.0, "up"), late("a", "down")], config=make_settings(labels={"second": "correction"}))
    assert metric(immediate, "model_version") == 2


def test_a_newer_event_of_the_same_id_takes_the_place_of_the_older():
    rig = run(
        [event("a", 1.0), event("a", 5.0), late("a", "up")], config=make_settings(topics={"expired": "expired"})
    )
    assert metric(rig, "labels_expired_total", reason="replaced") == 1
    assert rig.publisher.topic("expired")[0].value == event("a", 1.0)


def test_what_waits_too_long_expires_by_the_time_of_the_log():
    config = make_settings(labels={"max_wait_seconds": 1}, topics={"expired": "expired"})
    values = [
        event("a", 1.0, ts=5),
        late("x", "up"),
        event("b", 2.0),
        event("c", 3.0),
        late("a", "up"),
        event("d", 0.0),
    ]
    rig = run(values, [1000, 1500, 2000, 2501, 2600, 9000], config)
    expired = rig.publisher.topic("expired")
    assert [record.value for record in expired] == [values[0], values[2], values[3]]
    assert json.loads(dict(expired[0].headers)["nnstream-expired"]) == {
        "reason": "max_wait", "source": {"topic": "events", "partition": 0, "offset": 0}, "ts": 5,
    }  # fmt: skip
    assert problems(rig) == ["unknown_id", "unknown_id"]  # x had no event, and a's label came after its time
    assert metric(rig, "labels_expired_total", reason="max_wait") == 3
    assert metric(rig, "labels_pending") == 1


@pytest.mark.parametrize("limit", [{"max_pending": 3}, {"max_pending_bytes": 1100}])
def test_no_more_wait_than_allowed(limit):
    rig = run([event(f"e{i}", 1.0) for i in range(20)], config=make_settings(labels=limit))
    assert metric(rig, "labels_pending") == 3
    assert metric(rig, "labels_expired_total", reason="max_pending") == 17


def test_a_label_whose_event_cannot_be_encoded_is_a_dead_letter_too():
    rig = run([event("a", 1.0, "up"), event("b", "text"), late("b", "up")])
    assert problems(rig) == ["features", "label"]


HOSTILE = [
    *delayed(40, 7)[1],
    late("nobody", "up"),
    late("e3", "down"),
    event("e50", "text"),
    late("e50", "up"),
    event("e51", 0.5, "up"),
    late("e52", "up"),
    event("e52", 0.5),
    event("e39", 1.5),
    late("e39", "new"),
    event("e53", 2.5),
]
BOUNDED = make_settings(
    labels={"max_pending": 6, "max_wait_seconds": 0.04},
    topics={"expired": "expired"},
    checkpoint={"every_events": 10},
)
CORRECTING = make_settings(labels={"second": "correction"}, checkpoint={"every_events": 10})


def everything(rig):
    return {topic: rig.publisher.topic(topic) for topic in ("predictions", "dead-letters", "alerts", "expired")}


@pytest.mark.parametrize("config", [BOUNDED, CORRECTING], ids=["bounded", "correcting"])
@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 15), max_size=60))
def test_any_cut_gives_the_same(config, sizes):
    whole, parts = run(HOSTILE, config=config), run(HOSTILE, config=config, batch_sizes=sizes)
    assert everything(parts) == everything(whole)
    assert parts.final() == whole.final()


@pytest.mark.parametrize("config", [BOUNDED, CORRECTING], ids=["bounded", "correcting"])
@settings(max_examples=25, deadline=None)
@given(crashes=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), max_size=4))
def test_any_crash_gives_the_same_and_nothing_twice(config, crashes):
    whole = run(HOSTILE, config=config)
    rig = Rig(whole.log.copy(), config, identity="first")
    durable = []
    for number, (after, size) in enumerate(crashes):
        rig = rig.again(identity=f"w{number}", batch_size=size)
        rig.publisher.fail("commit", BrokerError("gone"), after=after)
        with contextlib.suppress(BrokerError):
            rig.run()
        durable += rig.publisher.durable
    rig = rig.again(identity="last").run()
    durable += rig.publisher.durable
    assert rig.final() == whole.final()
    for topic, wanted in everything(whole).items():
        assert [record for record in durable if record.topic == topic] == wanted


@pytest.mark.parametrize("limit", [1, 700, 3000])
@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(1, 15), max_size=60))
def test_what_is_spilled_to_disk_makes_no_difference(limit, sizes):
    spilling = make_settings(
        labels={"max_pending": 6, "max_wait_seconds": 0.04, "spill_after_bytes": limit},
        topics={"expired": "expired"},
        checkpoint={"every_events": 10},
    )
    whole, parts = run(HOSTILE, config=BOUNDED), run(HOSTILE, config=spilling, batch_sizes=sizes)
    assert everything(parts) == everything(whole)
    assert parts.final() == whole.final()


def test_a_shelf_keeps_its_order_across_memory_and_disk():
    shelf, wanted = Shelf(memory_bytes=2_000), {}
    for i in range(40):
        entry = Waiting(i, i, None, b"x" * (i * 7 % 50), [("h", b"v")], i, i, b"said" if i % 2 else None)
        shelf.put(f"k{i}", entry)
        wanted[f"k{i}"] = entry
        if i % 3 == 0:
            shelf.spill()
        if i % 4 == 3:
            assert shelf.pop(f"k{i - 3}") == wanted.pop(f"k{i - 3}")
            assert shelf.pop("never") is None
    assert shelf._on_disk > 0
    assert dict(shelf.items()) == wanted
    assert list(dict(shelf.items())) == list(wanted)
    assert len(shelf) == len(wanted)
    assert shelf.bytes == sum(entry.size for entry in wanted.values())
    while wanted:
        key, entry = shelf.oldest()
        assert (key, entry) == next(iter(wanted.items()))
        assert shelf.get(key) == entry
        assert shelf.pop(key) == wanted.pop(key)
    assert shelf.oldest() is None
    assert shelf.bytes == 0


# -- labels in a topic of their own

APART = make_settings(topics={"labels": "labels"}, checkpoint={"every_events": 10})


def apart(count=60, config=APART, **source):
    """A log of events, and another of their labels."""
    xs, _ = delayed(count, 0)
    log = MemoryLog([P0, L0])
    for i, x in enumerate(xs):
        log.append(P0, event(f"e{i}", x))
    for i, x in enumerate(xs[: count - 10]):
        log.append(L0, late(f"e{i}", "up" if x > 0 else "down"))
    rig = Rig(log, config, assign_all=False, **source)
    rig.source.assign([P0])
    return rig


def test_labels_of_their_own_topic_are_learned():
    rig = apart(batch_size=7).run()
    assert len(bodies(rig)) == 60
    assert metric(rig, "labels_pending") == 10
    assert metric(rig, "model_version") == 50


def test_an_event_in_the_labels_topic_is_taken_for_its_label():
    rig = apart(20)
    rig.log.append(L0, event("e15", 99.0, "up"))
    rig.log.append(L0, event("e16", 99.0))
    rig.run()
    assert len(bodies(rig)) == 20
    assert metric(rig, "model_version") == 11
    assert problems(rig) == ["invalid"]


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=4))
def test_the_interleaving_of_two_topics_is_replayed_as_it_was(sizes):
    """Each worker dies after its next commit; what the last one has must be what the published versions say."""
    rig = apart(identity="first", batch_size=5)
    durable = []
    for number, (after, size) in enumerate(sizes):
        rig = rig.again(identity=f"w{number}", batch_size=size, assign_all=False)
        rig.source.assign([P0])
        rig.publisher.fail("commit", BrokerError("gone"), after=after)
        with contextlib.suppress(BrokerError):
            rig.run()
        durable += rig.publisher.durable
    rig = rig.again(identity="last", batch_size=9, assign_all=False)
    rig.source.assign([P0])
    rig.run()
    durable += rig.publisher.durable
    predictions = [json.loads(record.value) for record in durable if record.topic == "predictions"]
    assert [body["id"] for body in predictions] == [f"e{i}" for i in range(60)]
    assert_learned_in_this_order(rig, predictions)


def assert_learned_in_this_order(rig, predictions):
    """Predict the events again with as many labels learned before each as its published version says."""
    events = [json.loads(record.value) for record in rig.log.read(P0, 0, 1000)]
    labels = [json.loads(record.value) for record in rig.log.read(L0, 0, 1000)]
    rows = {each["id"]: each["features"] for each in events}
    model, learned = Model(model_spec(rig.settings.model)), 0
    for body in predictions:
        for label in labels[learned : body["model"]["version"]]:
            model.predict_then_learn([rows[label["id"]]], [label["label"]])
        learned = body["model"]["version"]
        outputs = model.predict([rows[body["id"]]]).outputs[0].tolist()
        assert list(body.get("probabilities", {}).values()) == outputs


def test_a_history_too_long_for_the_metadata_is_cut_by_a_checkpoint():
    config = make_settings(topics={"labels": "labels"}, checkpoint={"every_events": 10**6})
    rig = apart(3000, config, batch_size=1).started(steps=2500)
    position = rig.log.committed[P0]
    assert len(position.labels) < 3100
    assert position.checkpoint > 0


def test_labels_gone_before_they_were_read_are_refused():
    first = apart(batch_size=5).started(steps=7)
    first.log.starts[L0] = 40
    second = first.again(assign_all=False)
    second.source.assign([P0])
    from service.errors import CheckpointError  # noqa: PLC0415

    with pytest.raises(CheckpointError, match="the labels begin at 40"):
        second.run()
