"""A restart in the middle of a stream goes on as if nothing had happened."""

import pytest
from harness import assert_same, essence, generated, offsets, wait_until

pytestmark = pytest.mark.integration

COUNT = 50_000
HALF = COUNT // 2
NEVER = {"every_events": 10**9, "every_seconds": 1e9}  # but for the one at the very beginning


def wait_predicted(service, count):
    wait_until(lambda: service.predicted() >= count, f"{count} predictions", service.check)


def test_sigterm_in_the_middle_of_fifty_thousand_events(new_service):
    service = new_service()
    events = generated(COUNT)
    service.start()
    service.produce(events[:HALF])
    wait_predicted(service, 2_000)
    service.stop()
    before = service.predicted()
    assert before < COUNT

    service.produce(events[HALF:])
    service.start(ready=False)
    predictions = service.predictions(COUNT)[0]
    assert service.status()[0]["model_version"] == COUNT
    service.stop()

    assert_same(offsets(predictions), list(range(COUNT)))
    assert service.predicted() == COUNT
    assert predictions[before]["model"]["version"] == before  # it goes on, not from zero
    assert_same(list(map(essence, predictions)), service.offline(events))


@pytest.mark.parametrize(
    ("guarantee", "client"),
    [
        ("exactly_once", "kafka-python"),
        ("exactly_once", "librdkafka"),
        ("at_least_once", "kafka-python"),
        pytest.param("at_least_once", "librdkafka", marks=pytest.mark.long_chaos),
    ],
)
def test_sigkill_in_the_middle_of_fifty_thousand_events(new_service, guarantee):
    checkpoint = {"every_events": 4_000}
    service = new_service(
        {
            "checkpoint": checkpoint,
            "kafka": {"session_timeout_ms": 3_000},
            "delivery": {"guarantee": guarantee},
        }
    )
    events = generated(COUNT, seed=1)
    service.start()
    service.produce(events[:HALF])
    wait_predicted(service, 10_000)
    service.kill()

    service.produce(events[HALF:])
    service.start(ready=False)
    service.wait_committed(COUNT)
    version = service.status()[0]["model_version"]
    service.stop()

    published = service.predictions(service.predicted())[0]
    first = {}
    for prediction in published:
        twin = first.setdefault(prediction["source"]["offset"], prediction)
        assert prediction == twin  # a duplicate says what was said before, to the bit
    assert_same(list(first), list(range(COUNT)))
    if guarantee == "exactly_once":
        assert len(published) == COUNT
    assert_same(list(map(essence, first.values())), service.offline(events))
    assert version == COUNT


def test_the_client_is_changed_at_a_restart(new_service):
    service = new_service()
    events = generated(3_000, seed=4)
    for done, client in enumerate(["librdkafka", "kafka-python", "librdkafka"]):
        service.set({"kafka": {"client": client}})
        service.start()
        service.produce(events[done * 1_000 : (done + 1) * 1_000])
        service.wait_committed((done + 1) * 1_000)
        service.stop()
    predictions = service.predictions(3_000)[0]
    assert service.predicted() == 3_000
    assert_same(list(map(essence, predictions)), service.offline(events))


def test_what_was_committed_before_a_crash_is_replayed_in_silence(new_service):
    alone = {"session_timeout_ms": 3_000, "standby_partitions": 0}  # a warm copy would leave nothing to replay
    service = new_service({"checkpoint": NEVER, "kafka": alone})
    events = generated(6_000, seed=2)
    service.start()
    service.produce(events[:4_000])
    service.wait_committed(4_000)
    service.kill()
    assert [path.stem for path in service.checkpoint_files()] == [f"{0:020d}"]

    service.start(ready=False)
    service.produce(events[4_000:])
    service.wait_committed(6_000)
    metrics = service.get("/metrics").text
    service.stop()
    assert 'nnstream_events_replayed_total{model="default",partition="0"} 4000.0' in metrics
    assert 'nnstream_events_total{model="default",partition="0"} 2000.0' in metrics
    predictions = service.predictions(6_000)[0]
    assert service.predicted() == 6_000
    assert_same(list(map(essence, predictions)), service.offline(events))


@pytest.fixture
def stopped(new_service):
    """A service that has learned 5,000 events, in good order, and left several checkpoints."""
    service = new_service({"checkpoint": {"every_events": 500, "keep": 3}})
    service.start()
    events = generated(5_000, seed=3)
    for done in range(1_000, 5_001, 1_000):
        service.produce(events[done - 1_000 : done])
        service.wait_committed(done)
    service.stop()
    assert 3 <= len(service.checkpoint_files()) <= 4  # the one made while stopping is weeded out by the successor
    assert service.checkpoint_files()[0].stem == f"{5_000:020d}"
    return service


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


def cut_in_half(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half, empty, lambda path: path.unlink()])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_is_used(stopped, damage):
    damage(stopped.checkpoint_files()[0])
    events = generated(6_000, seed=3)
    stopped.start(ready=False)
    stopped.produce(events[5_000:])
    stopped.wait_committed(6_000)
    stopped.stop()
    predictions = stopped.predictions(6_000)[0]
    assert_same(offsets(predictions), list(range(6_000)))
    assert_same(list(map(essence, predictions)), stopped.offline(events))


def test_without_any_checkpoint_it_refuses_to_start_and_says_what_to_do(stopped):
    for path in stopped.checkpoint_files():
        path.unlink()
    code, said = stopped.refusal()
    assert code == 4, said
    assert "committed at offset 5000" in said
    assert "there is none" in said
    assert str(stopped.checkpoints) in said
    assert "model.name" in said
    assert "Traceback" not in said
    assert stopped.kafka.committed(stopped.topics["events"], stopped.group) == {0: 5_000}


def test_with_only_damaged_checkpoints_it_refuses_to_start_and_lists_them(stopped):
    for path in stopped.checkpoint_files():
        flip_a_bit(path)
    code, said = stopped.refusal()
    assert code == 4, said
    assert "offset 5000: the checksum does not match" in said
    assert "Traceback" not in said


def test_another_network_is_refused_by_the_name_of_the_setting(stopped, new_service):
    changed = new_service({"model": {"network": {"hidden": [16, 8]}}}, worker="changed")
    code, said = changed.refusal()
    assert code == 4, said
    assert "hidden" in said
    assert "[32]" in said
    assert "[16, 8]" in said
    assert "Traceback" not in said
