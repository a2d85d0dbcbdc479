"""The contract of checkpoint stores, on the stores that need no broker; and what is a file's own."""

import os
from pathlib import Path

import pytest
from stores import P0, StoreContract

from service.adapters import fsspec_store
from service.adapters.fsspec_store import FsspecStore
from service.errors import CheckpointError, SettingsError
from service.testing import MemoryStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def new_store(self):
        stores = {}
        return lambda model="default": stores.setdefault(model, MemoryStore())


class TestDirectory(StoreContract):
    @pytest.fixture
    def new_store(self, tmp_path):
        return lambda model="default": FsspecStore(str(tmp_path), model)


class TestObjectStore(StoreContract):
    @pytest.fixture
    def new_store(self, unique):
        root = unique("bucket")
        return lambda model="default": FsspecStore(f"memory://{root}", model)


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path, monkeypatch):
    store = FsspecStore(str(tmp_path), "default")
    store.save(P0, 1, b"there was room for this")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device; make room, or correct checkpoint\.url"):
        store.save(P0, 2, b"x")
    assert store.offsets(P0) == [1]
    assert [path.suffix for path in Path(tmp_path).rglob("*") if path.is_file()] == [".safetensors"]


def test_what_a_crash_left_half_written_goes_with_the_next_one_that_is_removed(tmp_path):
    store = FsspecStore(str(tmp_path), "default")
    for name in (1, 2, 3):
        store.save(P0, name, b"x")
    directory = next(path for path in tmp_path.rglob("*") if path.name == "events-0")
    older, newer = (directory / f"{name:020d}.{'0' * 32}.part" for name in (1, 3))
    older.write_bytes(b"ha")
    newer.write_bytes(b"ha")  # somebody may be writing this one now
    store.delete(P0, 2)
    assert not older.exists()
    assert newer.exists()
    assert store.offsets(P0) == [3, 1]


def test_other_files_are_passed_over(tmp_path):
    store = FsspecStore(str(tmp_path / "place [1]"), "default")
    store.save(P0, 1, b"x")
    directory = next(path for path in tmp_path.rglob("*") if path.name == "events-0")
    for name in ("exported.safetensors", "7.safetensors", "notes"):
        (directory / name).write_bytes(b"mine")
    assert store.offsets(P0) == [1]


def test_every_directory_that_is_made_is_synced_into_the_one_above(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(fsspec_store, "_sync", synced.append)
    store = FsspecStore(str(tmp_path / "a" / "b"), "default")
    store.save(P0, 1, b"x")
    a = tmp_path / "a"
    assert sorted(synced) == sorted(map(str, [tmp_path, a, a / "b", a / "b" / "default", a / "b/default/events-0"]))
    store.save(P0, 2, b"x")
    assert synced[5:] == [str(a / "b/default/events-0")]


def test_a_url_that_nothing_can_open_is_said():
    with pytest.raises(SettingsError, match=r"checkpoint\.url: nothing-like-it://bucket/path cannot be opened"):
        FsspecStore("nothing-like-it://bucket/path", "default")
