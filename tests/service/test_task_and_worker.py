"""One partition's stages and the loop around them, on fakes: order, commits, crashes, recovery."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import COUNT, OFTEN, P0, P1, PATIENT, Rig, filled_log, kinds, make_settings

from service.errors import CommitPostponedError, StartOverError
from service.positions import Position
from service.testing import FakeClock, MemoryLog, MemorySource

# -- the log order is the learning order


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), max_size=40))
def test_any_cut_into_polls_gives_the_same_records_and_the_same_checkpoint(whole, sizes):
    parts = Rig(filled_log(COUNT), batch_sizes=sizes).run()
    assert parts.published() == whole.published()
    assert parts.final() == whole.final()


def test_any_cut_with_the_ensemble_gives_the_same_records_and_the_same_checkpoint():
    config = make_settings(model={"learner": "ensemble"})
    one = Rig(filled_log(COUNT), config).run()
    many = Rig(filled_log(COUNT), config, batch_size=7).run()
    assert many.published() == one.published()
    assert many.final() == one.final()


def test_every_event_has_one_prediction_or_one_dead_letter_in_the_order_of_the_log(whole):
    predicted = [offset for _, offset in whole.predictions()]
    dead = whole.publisher.topic("dead-letters")
    refused = [i for i in range(COUNT) if i % 17 == 5]
    assert predicted == [i for i in range(COUNT) if i not in refused]
    assert [record.value for record in dead] == [b"no JSON"] * len(refused)


def test_partitions_learn_apart():
    both = Rig(filled_log(COUNT, (P0, P1)), batch_size=13).run()
    alone = Rig(filled_log(COUNT)).run()
    assert both.final(P0) == alone.final(P0)
    assert both.final(P1) != both.final(P0)
    assert {partition for partition, _ in both.predictions()} == {0, 1}


# -- the commit protocol


def test_the_order_is_checkpoint_then_flush_then_offsets_then_cleaning():
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=10).run()
    calls = kinds(rig.journal, "save", "flush", "commit", "delete")
    assert calls[:3] == ["save", "flush", "commit"]
    assert "delete" in calls
    for i, call in enumerate(calls):
        before = calls[i - 1] if i else None
        assert before in {"save": (None, "commit", "delete"), "flush": ("save", "commit", "delete"),
                          "commit": ("flush", "delete"), "delete": ("commit", "flush", "delete")}[call]  # fmt: skip


def test_what_is_committed_has_been_sent_and_flushed():
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=10).run()
    sent = flushed = 0
    for call, *details in rig.journal:
        if call == "send":
            sent += details[0]
        elif call == "flush":
            flushed = sent
        elif call == "commit":
            assert details[0][P0].offset == flushed == sent


def test_offsets_carry_the_checkpoint_which_exists():
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=6).started(steps=9)
    position = rig.log.committed[P0]
    assert position == Position(54, rig.store.offsets(P0)[0])
    assert position.checkpoint < position.offset


def test_nothing_new_is_nothing_to_commit():
    rig = Rig(MemoryLog([P0])).started(steps=5)
    assert kinds(rig.journal, "commit") == ["commit"]


def test_commits_wait_for_their_time():
    clock = FakeClock()
    rig = Rig(filled_log(COUNT), make_settings(delivery={"commit_interval_ms": 500}), clock=clock, batch_size=5)
    rig.started(steps=3)
    assert rig.log.committed[P0].offset == 0
    clock.advance(0.5)
    rig.worker.step()
    assert rig.log.committed[P0].offset == 20


def test_a_checkpoint_is_due_after_its_seconds_if_something_was_learned():
    clock = FakeClock()
    rig = Rig(filled_log(20), clock=clock, batch_size=10).started(steps=1)
    assert rig.store.offsets(P0) == [0]
    clock.advance(30)
    rig.worker.step()
    assert rig.store.offsets(P0) == [20, 0]
    clock.advance(30)
    rig.worker.step()
    assert rig.store.offsets(P0) == [20, 0]


def test_a_postponed_commit_comes_later():
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=10)
    rig.source.fail("commit", CommitPostponedError("not now"), after=3)
    rig.run()
    assert rig.log.committed[P0] == Position(COUNT, COUNT)
    assert all(len(records) == 1 for records in rig.predictions().values())


def test_old_checkpoints_are_removed_beyond_keep():
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=10).run()
    assert rig.store.offsets(P0) == [90, 80, 70]


@pytest.mark.parametrize(("start_from", "first"), [("earliest", 10), ("latest", COUNT)])
def test_a_group_that_never_committed_begins_where_it_is_told(start_from, first):
    rig = Rig(filled_log(COUNT), make_settings(kafka={"start_from": start_from}))
    rig.log.starts[P0] = 10
    rig.started()
    rig.log.append(P0, b"{}")
    rig.worker.step()
    assert rig.worker.tasks[P0].offset == COUNT + 1
    assert min([offset for _, offset in rig.predictions()], default=COUNT) >= first


# -- partitions come and go


def test_revoking_hands_over_the_whole_state(whole):
    first = Rig(filled_log(COUNT), batch_size=20).started(steps=2)
    first.source.revoke([P0])
    first.worker.step()
    assert first.log.committed[P0] == Position(40, 40)
    assert first.worker.tasks == {}
    assert first.publisher.pending == []
    assert first.again().run().final() == whole.final()


def test_losing_commits_nothing(whole):
    first = Rig(filled_log(COUNT), PATIENT, clock=FakeClock(), batch_size=20).started(steps=2)
    before = len(first.journal)
    first.source.lose([P0])
    with pytest.raises(StartOverError, match="went to another worker"):
        first.worker.step()
    assert first.worker.tasks == {}
    assert kinds(first.journal[before:], "save", "flush", "commit") == []
    second = first.again().run()
    assert second.final() == whole.final()
    assert second.predictions().keys() == whole.predictions().keys()


def test_a_partition_that_stays_keeps_its_state():
    rig = Rig(filled_log(COUNT, (P0, P1)), batch_size=10).started(steps=2)
    task = rig.worker.tasks[P0]
    rig.source.assign([P0])
    rig.worker.step()
    assert rig.worker.tasks[P0] is task
    assert task.offset == 30


def test_a_partition_that_comes_back_continues(whole):
    rig = Rig(filled_log(COUNT), batch_size=10).started(steps=2)
    rig.source.revoke([P0])
    rig.worker.step()
    rig.source.assign([P0])
    for _ in range(COUNT):
        rig.worker.step()
    rig.source.close()
    assert rig.final() == whole.final()
    assert all(len(records) == 1 for records in rig.predictions().values())


def test_how_far_behind_a_worker_is_in_events_and_seconds():
    rig = Rig(filled_log(COUNT), batch_size=10).started(steps=2)
    own = {"model": "default", "partition": "0"}
    age = time.time() - next(iter(rig.log.read(P0, 19, 1))).timestamp / 1000
    assert rig.telemetry.registry.get_sample_value("nnstream_consumer_lag_events", own) == COUNT - 20
    assert rig.telemetry.registry.get_sample_value("nnstream_consumer_lag_seconds", own) == pytest.approx(age, abs=60)
    for _ in range(COUNT):
        rig.worker.step()
    assert rig.telemetry.registry.get_sample_value("nnstream_consumer_lag_seconds", own) == 0


def test_what_is_to_be_replayed_is_told():
    rig = Rig(filled_log(COUNT), OFTEN, batch_size=4).started(steps=5)
    later = rig.again(batch_size=2).started(steps=1)
    own, registry = {"model": "default", "partition": "0"}, later.telemetry.registry
    left = registry.get_sample_value("nnstream_events_to_replay", own)
    assert left == later.worker.tasks[P0].live_from - later.worker.tasks[P0].offset > 0
    for _ in range(COUNT):
        later.worker.step()
    assert registry.get_sample_value("nnstream_events_to_replay", own) == 0


@pytest.mark.parametrize(("identity", "aborted"), [(None, 0), ("worker-1", 1)])
def test_a_start_from_the_last_commit_counts_and_so_does_the_transaction_that_is_given_up(identity, aborted):
    rig = Rig(filled_log(COUNT), identity=identity).started(steps=1)
    rig.source.fail("poll", StartOverError("Kafka was away"))
    rig.reconnect_with()
    rig.run()
    of_model = {"model": "default"}
    assert rig.telemetry.registry.get_sample_value("nnstream_restarts_total", of_model) == 1
    assert rig.telemetry.registry.get_sample_value("nnstream_transactions_aborted_total", of_model) == aborted


def test_a_stopped_worker_has_committed_all_and_left():
    rig = Rig(filled_log(COUNT), make_settings(delivery={"commit_interval_ms": 60_000})).run()
    assert rig.log.committed[P0] == Position(COUNT, COUNT)
    assert rig.worker.state == "stopped"
    assert kinds(rig.journal, "close", "close_publisher") == ["close", "close_publisher"]


def test_a_bug_in_a_batch_commits_nothing_of_it(monkeypatch):
    rig = Rig(filled_log(COUNT), batch_size=10).started(steps=2)
    monkeypatch.setattr(rig.worker.tasks[P0].monitor, "observe", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rig.worker.run()
    assert rig.log.committed[P0].offset == 20


def test_the_fake_source_must_be_subscribed_to():
    with pytest.raises(RuntimeError, match="subscribe"):
        MemorySource(MemoryLog([P0])).poll(0)
