"""The written order of two topics: short, exact, and only what was committed."""

from hypothesis import given
from hypothesis import strategies as st

from service.merge import Merge, Run, decode, encode, passes
from service.testing import MemoryRecord

_steps = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), min_size=1, max_size=50)


def runs_of(steps):
    event = label = 0
    out = []
    for more_events, more_labels in steps:
        event, label = event + more_events, label + more_labels
        out.append(Run(event, label))
    return out


def labels(first, last):
    return [MemoryRecord(i, 0, None, b"", ()) for i in range(first, last)]


@given(_steps)
def test_what_is_written_is_read(steps):
    runs = runs_of(steps)
    assert decode(encode(runs)) == runs


def test_labels_are_taken_again_where_they_were_taken():
    first = Merge()
    first.begin(10, 100)
    for event, last in ((15, 104), (15, 106), (40, 130)):
        before = first.offset
        first.add(labels(before, last))
        assert [record.offset for record in first.take(event)] == list(range(before, last))
    second = Merge()
    second.resume(12, 100, first.history)
    assert second.replaying
    assert second.next_event == 15
    second.add(labels(98, 105))
    assert second.take_planned() is None  # label 105 is still to come
    second.add(labels(105, 140))
    assert [record.offset for record in second.take_planned()] == list(range(100, 106))
    assert second.next_event == 40
    assert [record.offset for record in second.take_planned()] == list(range(106, 130))
    assert not second.replaying
    assert [record.offset for record in second.take(50)] == list(range(130, 140))


def test_a_checkpoint_off_the_way_is_seen():
    history = encode([Run(10, 100), Run(15, 106), Run(40, 130)])
    on_it = [(10, 100), (12, 100), (15, 100), (15, 103), (15, 106), (20, 106), (40, 106), (40, 130), (99, 130)]
    off_it = [(9, 100), (10, 99), (12, 101), (15, 99), (15, 107), (20, 103), (40, 131), (99, 106)]
    assert [passes(history, *place) for place in on_it] == [True] * len(on_it)
    assert [passes(history, *place) for place in off_it] == [False] * len(off_it)


def test_the_history_is_cut_where_nobody_replays_from():
    merge = Merge()
    merge.begin(0, 0)
    for event in range(10, 110, 10):
        merge.add(labels(merge.offset, event))
        merge.take(event)
    whole = merge.history
    merge.forget_before(55)
    assert decode(merge.history) == decode(whole)[5:]
    assert passes(merge.history, 55, 50)
    merge.forget_before(10_000)
    assert passes(merge.history, 10_000, 100)
