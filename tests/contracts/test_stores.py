"""The contract of checkpoint stores, on the stores that need no broker; and what is a file's own."""

import os
from pathlib import Path

import pytest
from stores import P0, StoreContract

from service.adapters.fsspec_store import FsspecStore
from service.errors import CheckpointError
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
