"""What every checkpoint store must do; each implementation is a subclass that says how to make one."""

import threading
import time

import pytest

from service.errors import CheckpointError
from service.records import Partition

P0, P1 = Partition("events", 0), Partition("events", 1)
LARGE = bytes(range(256)) * 12_000  # several chunks


class StoreContract:
    """Subclasses have a fixture `new_store(model="default")`, whose stores see the same place."""

    def test_what_was_saved_is_loaded(self, new_store):
        store = new_store()
        for data in (b"", b"x", LARGE):
            store.save(P0, len(data), data)
            assert store.load(P0, len(data)) == data

    def test_its_size_is_known_without_reading_it(self, new_store):
        store, before_ms = new_store(), time.time() * 1000
        store.save(P0, 5, LARGE)
        found = store.describe(P0, 5)
        assert found.bytes == len(LARGE)
        assert found.written_at_ms is None or before_ms - 5000 < found.written_at_ms < time.time() * 1000 + 5000
        with pytest.raises(CheckpointError, match="6"):
            store.describe(P0, 6)

    def test_names_come_newest_first_and_by_partition(self, new_store):
        store = new_store()
        for name in (5, 100, 20):
            store.save(P0, name, b"x")
        store.save(P1, 7, b"y")
        assert store.offsets(P0) == [100, 20, 5]
        assert store.offsets(P1) == [7]

    def test_nothing_is_there_at_first(self, new_store):
        store = new_store()
        assert store.offsets(P0) == []
        with pytest.raises(CheckpointError, match="17"):
            store.load(P0, 17)

    def test_the_same_name_is_replaced(self, new_store):
        store = new_store()
        store.save(P0, 5, LARGE)
        store.save(P0, 5, b"new")
        assert store.load(P0, 5) == b"new"
        assert store.offsets(P0) == [5]

    def test_what_was_removed_is_gone_and_the_rest_stays(self, new_store):
        store = new_store()
        for name in (1, 2, 3):
            store.save(P0, name, LARGE + bytes([name]))
        store.delete(P0, 1)
        store.delete(P0, 1)
        store.delete(P0, 99)
        assert store.offsets(P0) == [3, 2]
        assert store.load(P0, 2) == LARGE + b"\x02"

    def test_a_successor_sees_the_same(self, new_store):
        first, second = new_store(), new_store()
        assert second.offsets(P0) == []
        first.save(P0, 5, LARGE)
        assert second.offsets(P0) == [5]
        second.save(P0, 6, b"by the second")
        first.delete(P0, 5)
        assert second.offsets(P0) == first.offsets(P0) == [6]
        assert first.load(P0, 6) == b"by the second"

    def test_models_do_not_touch_each_other(self, new_store):
        mine, yours = new_store(model="mine"), new_store(model="yours")
        mine.save(P0, 5, b"mine")
        yours.save(P0, 5, b"yours")
        yours.save(P0, 6, LARGE)
        mine.save(P0, 7, b"mine too")
        mine.delete(P0, 5)
        assert yours.load(P0, 5) == b"yours"
        assert yours.load(P0, 6) == LARGE
        assert mine.offsets(P0) == [7]

    def test_one_thread_may_write_while_another_reads(self, new_store):
        store = new_store()
        store.save(P1, 1, LARGE)
        writer = threading.Thread(target=lambda: [store.save(P0, name, LARGE) for name in range(10)])
        writer.start()
        for _ in range(10):
            assert store.load(P1, 1) == LARGE
        writer.join()
        assert store.offsets(P0) == list(range(9, -1, -1))
