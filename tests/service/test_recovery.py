"""What a crash, a lost connection and a damaged checkpoint leave behind, and how a worker goes on from it."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import COUNT, OFTEN, P0, P1, PATIENT, Rig, filled_log, kinds, make_settings

from service.errors import BrokerError, CheckpointError, StartOverError, TopicMissingError
from service.positions import Position
from service.testing import FakeClock, MemoryLog

# -- crashes


CRASHES = [
    ("publisher", "send"),
    ("publisher", "flush"),
    ("source", "commit"),
    ("source", "poll"),
]


@pytest.mark.parametrize(("part", "call"), CRASHES, ids=[f"{part} {call}" for part, call in CRASHES])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_after_a_crash_the_state_is_the_same_and_no_event_is_unpredicted(whole, part, call, after):
    first = Rig(filled_log(COUNT), OFTEN, batch_size=8)
    getattr(first, part).fail(call, BrokerError("gone"), after=after)
    with pytest.raises(BrokerError):
        first.run()
    assert first.worker.state == "stopped"
    second = first.again(batch_size=5).run()
    assert second.final() == whole.final()
    found = {place: records + second.predictions().get(place, []) for place, records in first.predictions().items()}
    found = second.predictions() | found
    assert found.keys() == whole.predictions().keys()
    for place, records in found.items():  # what was predicted twice was predicted alike
        assert set(records) == set(whole.predictions()[place])


@settings(max_examples=15, deadline=None)
@given(crashes=st.lists(st.tuples(st.sampled_from(CRASHES), st.integers(0, 6), st.integers(1, 20)), max_size=4))
def test_any_number_of_crashes_ends_in_the_same_state(whole, crashes):
    rig = Rig(filled_log(COUNT), OFTEN)
    seen = set()
    for (part, call), after, size in crashes:
        rig = rig.again(batch_size=size)
        getattr(rig, part).fail(call, BrokerError("gone"), after=after)
        with contextlib.suppress(BrokerError):
            rig.run()
        seen |= rig.predictions().keys()
    rig = rig.again().run()
    assert seen | rig.predictions().keys() == whole.predictions().keys()
    assert rig.final() == whole.final()


def test_a_checkpoint_ahead_of_the_commit_is_never_used(whole):
    first = Rig(filled_log(COUNT), OFTEN, batch_size=10)
    first.publisher.fail("flush", BrokerError("gone"), after=4)
    with pytest.raises(BrokerError):
        first.run()
    ahead, committed = first.store.offsets(P0)[0], first.log.committed[P0]
    assert ahead > committed.offset
    first.store.data[P0, ahead] = b"never to be read"
    second = first.again(batch_size=50)
    second.store.journal = second.journal
    second.run()
    assert [entry[2] for entry in second.journal if entry[0] == "load"] == [committed.checkpoint]
    assert second.final() == whole.final()


def test_checkpoints_ahead_of_the_commit_do_not_push_the_named_one_out():
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=10).started(steps=4)
    for ahead in (61, 62, 63, 64):  # left by predecessors that crashed before their commit
        rig.store.data[P0, ahead] = b"ahead"
    rig.worker.step()
    assert rig.log.committed[P0] == Position(50, 50)
    assert rig.store.offsets(P0)[4:] == [50, 40, 30]


# -- starting over


@pytest.mark.parametrize("identity", [None, "worker-1"], ids=["at least once", "exactly once"])
@pytest.mark.parametrize("call", ["send", "commit", "poll"])
def test_a_lost_connection_is_made_anew_from_the_last_commit(whole, identity, call):
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=8, identity=identity)
    part = rig.publisher if call == "send" else rig.source
    part.fail(call, StartOverError("the broker went away"), after=4)
    rig.reconnect_with(batch_size=5)
    rig.run()
    assert rig.final() == whole.final()
    assert rig.predictions().keys() == whole.predictions().keys()
    if identity is not None:
        assert all(len(records) == 1 for records in rig.predictions().values())
    assert rig.telemetry.registry.get_sample_value("nnstream_restarts_total", {"model": "default"}) == 1


def test_a_broker_that_never_answered_is_an_error_and_not_waited_for():
    rig = Rig(filled_log(COUNT))
    rig.source.fail("poll", StartOverError("no answer from Kafka"))
    with pytest.raises(StartOverError, match="no answer"):
        rig.run()


def test_the_predecessor_is_fenced_before_its_position_is_read():
    first = Rig(filled_log(COUNT), batch_size=10, identity="one").started(steps=3)
    assert first.log.committed[P0].owner == "one"
    second = first.again(identity="two")
    second.run()
    assert kinds(second.journal, "fence", "committed")[:2] == ["fence", "committed"]
    assert ("fence", "one") in second.journal


def test_who_comes_back_under_its_own_name_and_who_was_handed_over_fence_nobody():
    first = Rig(filled_log(COUNT), batch_size=10, identity="one").started(steps=3)
    second = first.again(identity="one", batch_size=10).started(steps=2)
    second.source.revoke([P0])
    second.worker.step()
    assert second.log.committed[P0].owner is None
    third = second.again(identity="three").run()
    assert kinds(second.journal + third.journal, "fence") == []


def test_revoking_one_partition_commits_what_the_transaction_holds_of_the_others(whole):
    rig = Rig(filled_log(COUNT, (P0, P1)), PATIENT, batch_size=20, clock=FakeClock(), identity="one").started(steps=2)
    rig.source.revoke([P1])
    rig.worker.step()
    assert {p: position.offset for p, position in rig.log.committed.items()} == {P0: 40, P1: 40}
    assert rig.log.committed[P0].owner == "one"


# -- checkpoints that fail


def test_a_checkpoint_that_cannot_be_written_is_tried_again_and_stops_nothing(whole):
    clock = FakeClock()
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=10, clock=clock)
    rig.started(steps=2)
    named = rig.log.committed[P0].checkpoint
    rig.store.fail("save", CheckpointError("disk full"))
    rig.worker.step()
    rig.worker.step()
    assert rig.log.committed[P0] == Position(40, named)
    clock.advance(10)
    rig.worker.step()
    assert rig.log.committed[P0] == Position(50, 50)
    labels = {"model": "default", "partition": "0"}
    assert rig.telemetry.registry.get_sample_value("nnstream_checkpoint_failures_total", labels) == 1
    assert rig.run().final() == whole.final()


@pytest.mark.parametrize("call", ["offsets", "load"])
def test_a_store_that_does_not_answer_is_no_reason_to_take_an_older_checkpoint(whole, call):
    first = stopped_between()
    second = first.again()
    second.store.fail(call, StartOverError("Kafka does not answer"))
    second.worker.joined = True  # it has worked before
    second.reconnect_with()
    second.store.journal = second.journal
    second.run()
    assert [entry[2] for entry in second.journal if entry[0] == "load"][-1] == 24
    assert second.final() == whole.final()


@pytest.mark.parametrize("error", [StartOverError("no answer"), BrokerError("no right"), TopicMissingError("gone")])
def test_a_store_in_kafka_that_cannot_be_written_stops_nothing_either(whole, error):
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=10).started(steps=2)
    named = rig.log.committed[P0].checkpoint
    rig.store.fail("save", error)
    rig.worker.step()
    rig.worker.step()
    assert rig.log.committed[P0] == Position(40, named)
    rig.store.fail("delete", error)
    assert rig.run().final() == whole.final()


def test_without_a_first_checkpoint_nothing_begins():
    rig = Rig(filled_log(COUNT))
    rig.store.fail("save", CheckpointError("disk full"))
    with pytest.raises(CheckpointError, match="disk full"):
        rig.run()
    assert rig.log.committed == {}


def test_old_checkpoints_that_cannot_be_removed_stop_nothing(whole):
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=10)
    rig.store.fail("delete", CheckpointError("read-only"))
    assert rig.run().final() == whole.final()


# -- recovery


def test_a_topic_that_was_created_anew_is_refused():
    first = stopped_between()
    first.log.topic_id = "first"
    second = first.again().run()
    second.log.topic_id = "second"
    with pytest.raises(CheckpointError, match=r"created anew: it had the id first when offset 90 .* has second now"):
        second.again().run()


def test_a_log_that_ends_before_the_commit_is_refused():
    first = stopped_between()
    shorter = MemoryLog([P0])
    shorter.committed = first.log.committed
    with pytest.raises(CheckpointError, match="committed at offset 35, but its log ends at 0"):
        Rig(shorter, first.settings, first.store).run()


@pytest.mark.parametrize("offset", [20, 60])
def test_offsets_that_another_program_has_set_are_said_and_kept_to(whole, capsys, offset):
    first = stopped_between()
    first.log.committed[P0] = Position(offset, None)
    second = first.again(batch_size=4).run()
    assert min(place for _, place in second.predictions()) == offset
    assert second.final() == whole.final()
    assert "another program set the committed offset" in capsys.readouterr().out


def stopped_between(offset=35):
    """A worker that vanished between two checkpoints: committed at 35, checkpoints at 0, 12, 24."""
    rig = Rig(filled_log(COUNT), make_settings(checkpoint={"every_events": 12}), batch_size=1)
    return rig.started(steps=offset)


def test_what_lies_between_checkpoint_and_commit_is_replayed_in_silence(whole):
    first = stopped_between()
    assert first.log.committed[P0] == Position(35, 24)
    second = first.again(batch_size=4).run()
    assert min(offset for _, offset in second.predictions()) == 35
    assert second.final() == whole.final()
    labels = {"model": "default", "partition": "0"}
    assert second.telemetry.registry.get_sample_value("nnstream_events_replayed_total", labels) == 11


def test_nothing_is_committed_while_replaying():
    second = stopped_between().again(batch_size=4).started(steps=2)
    assert kinds(second.journal, "commit", "save") == []
    assert not second.worker.tasks[P0].caught_up


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(whole):
    first = stopped_between()
    first.store.data[P0, 24] = first.store.data[P0, 24][:-3]
    second = first.again().run()
    assert second.final() == whole.final()
    assert min(offset for _, offset in second.predictions()) == 35


def test_without_a_checkpoint_it_says_what_to_do():
    first = stopped_between()
    first.store.data.clear()
    with pytest.raises(CheckpointError) as caught:
        first.again().run()
    for words in ("events-0 is committed at offset 35", "there is none", "checkpoint.url", "model.name"):
        assert words in str(caught.value)


def test_a_changed_configuration_is_named():
    first = stopped_between()
    changed = make_settings(model={"network": {"hidden": [5]}})
    with pytest.raises(CheckpointError, match=r"model\.network\.hidden was \[4\] and is now \[5\]"):
        first.again(changed).run()
    assert first.log.committed[P0] == Position(35, 24)


@pytest.mark.parametrize("start", [30, 35, 60])
def test_a_log_that_begins_after_the_checkpoint_is_refused(start):
    first = stopped_between()
    first.log.starts[P0] = start
    with pytest.raises(
        CheckpointError, match=f"offset 24: the log begins at {start}, the events in between are gone"
    ):
        first.again().run()


def test_a_log_that_begins_at_the_checkpoint_is_enough(whole):
    first = stopped_between()
    first.log.starts[P0] = 24
    assert first.again().run().final() == whole.final()
