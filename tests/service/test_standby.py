"""A worker that owns nothing keeps warm copies, and takes over from them without loading or replaying."""

import json

import pytest
from rig import COUNT, OFTEN, P0, P1, Rig, filled_log, make_settings

from service.checkpoint import pack
from service.errors import StartOverError
from service.records import Partition
from service.testing import MemoryLog

LABELS = Partition("labels", 0)
LATE = make_settings(topics={"labels": "labels"}, checkpoint={"every_events": 30})


def standby(owner, settings=None, **source):
    """A second worker of the same group that owns nothing yet."""
    other = Rig(owner.log, settings or owner.settings, owner.store, assign_all=False, **source)
    other.source.on_end = lambda: None
    return other.started()


def look(rig, polls=1):
    """Let it see what is committed now, then poll."""
    rig.clock.advance(1.0)
    for _ in range(polls):
        rig.worker.step()


def finish(rig):
    """Go on to the end of the log, and leave the group."""
    rig.worker.step()
    while not rig.source.at_end:
        rig.worker.step()
    rig.source.close()


def copies(rig):
    return rig.telemetry.registry.get_sample_value("nnstream_standby_partitions", {"model": "default"})


def replayed(rig, partition=0):
    labels = {"model": "default", "partition": str(partition)}
    return rig.telemetry.registry.get_sample_value("nnstream_events_replayed_total", labels)


def loads(rig):
    return [entry for entry in rig.store.journal if entry[0] == "load"]


@pytest.mark.parametrize("steps", [1, 3, 7])
@pytest.mark.parametrize("size", [4, 100])
def test_it_takes_over_from_its_copy_and_nothing_is_different(whole, steps, size):
    first = Rig(filled_log(COUNT), OFTEN, batch_size=8).started(steps=2)
    second = standby(first, batch_size=size)
    for _ in range(steps):
        first.worker.step()
        look(second, polls=30)
    assert copies(second) == 1
    before = len(loads(second))
    second.source.assign([P0])  # the first is gone, without a word
    second.worker.step()
    assert len(loads(second)) == before
    assert not replayed(second)
    assert copies(second) == 0
    finish(second)
    assert second.final() == whole.final()
    found = first.predictions() | second.predictions()
    assert found.keys() == whole.predictions().keys()


def test_a_copy_that_is_behind_replays_only_what_it_lacks(whole):
    settings = make_settings(checkpoint={"every_events": 1000})
    first = Rig(filled_log(COUNT), settings, batch_size=10).started(steps=3)
    second = standby(first)
    look(second, polls=2)
    first.worker.step()
    second.source.assign([P0])
    second.worker.step()
    assert replayed(second) == 10
    finish(second)
    assert second.final() == whole.final()


def test_what_is_not_committed_is_not_learned():
    first = Rig(filled_log(COUNT), OFTEN, batch_size=10).started(steps=2)
    second = standby(first)
    look(second, polls=5)
    copy = second.worker._standby._copies[P0]
    assert copy.task.offset == first.log.committed[P0].offset < copy.next_offset


def test_it_stops_reading_when_too_much_is_not_committed_and_goes_on_later(whole):
    settings = make_settings(checkpoint={"every_events": 10}, kafka={"max_batch": 1})
    first = Rig(filled_log(COUNT), settings, batch_size=10).started(steps=2)
    second = standby(first, batch_size=30)
    look(second, polls=5)
    assert P0 not in second.source.positions  # 30 events ahead are more than 20 polls of one
    for _ in range(4):
        first.worker.step()
    look(second, polls=5)
    assert second.worker._standby._copies[P0].task.offset == first.log.committed[P0].offset == 60
    second.source.assign([P0])
    finish(second)
    assert second.final() == whole.final()


def test_labels_of_a_topic_of_their_own_are_taken_where_the_owner_took_them():
    log = MemoryLog([P0, LABELS])
    for i in range(60):
        log.append(P0, json.dumps({"id": i, "features": {"x": i % 7 - 3.0}}).encode())
        log.append(LABELS, json.dumps({"id": i, "label": "ab"[i % 7 > 3]}).encode())
    first = Rig(log, LATE, batch_size=7).started(steps=4)
    second = standby(first, batch_size=5)
    look(second, polls=20)
    for _ in range(2):
        first.worker.step()
    look(second, polls=20)
    copy, owner = (rig.worker for rig in (second, first))
    mine, yours = copy._standby._copies[P0].task.restored(), owner.tasks[P0].restored()
    assert mine.state.labels_offset > 0
    assert pack(mine.model, P0, mine.state).to_bytes() == pack(yours.model, P0, yours.state).to_bytes()


def test_a_partition_without_a_usable_checkpoint_is_left_alone_for_a_while():
    first = Rig(filled_log(COUNT), OFTEN, batch_size=10).started(steps=2)
    good = dict(first.store.data)
    for place in good:
        first.store.data[place] = b"damaged"
    second = standby(first)
    look(second, polls=3)
    assert copies(second) == 0
    tried = len(loads(second))
    first.store.data.update(good)
    look(second)
    assert len(loads(second)) == tried
    second.clock.advance(30.0)
    look(second)
    assert copies(second) == 1


def test_a_broker_that_does_not_answer_is_asked_again():
    first = Rig(filled_log(COUNT), OFTEN, batch_size=10).started(steps=2)
    second = standby(first)
    second.source.fail("last_committed", StartOverError("no coordinator"))
    look(second)
    assert copies(second) == 0
    look(second)
    assert copies(second) == 1


def test_a_commit_that_went_back_drops_the_copy():
    first = Rig(filled_log(COUNT), OFTEN, batch_size=10).started(steps=2)
    early = first.log.committed[P0]
    first.worker.step()
    second = standby(first)
    look(second, polls=2)
    first.log.committed[P0] = early
    second.clock.advance(1.0)
    second.worker.step()
    assert second.worker._standby._copies[P0].task.offset == early.offset


def test_only_as_many_as_the_settings_say():
    settings = make_settings(kafka={"standby_partitions": 1})
    first = Rig(filled_log(20, (P0, P1)), settings).started(steps=2)
    second = standby(first)
    look(second)
    look(second)
    assert copies(second) == 1
    none = standby(first, make_settings(kafka={"standby_partitions": 0}))
    look(none)
    assert copies(none) == 0


def test_a_worker_with_partitions_keeps_no_copies():
    first = Rig(filled_log(20, (P0, P1)), OFTEN).started(steps=2)
    second = standby(first)
    look(second)
    look(second)
    assert copies(second) == 2
    second.source.assign([P1])
    look(second)
    assert copies(second) == 0
    assert second.source.assigned == [P1]
