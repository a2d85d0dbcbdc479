"""Checkpoints in a directory, or in any store that fsspec knows; implements `service.checkpoint.CheckpointStore`."""

import os
import uuid
from contextlib import suppress

import fsspec
from fsspec.implementations.local import LocalFileSystem

from service.errors import CheckpointError
from service.records import Partition

_SUFFIX = ".safetensors"


class FsspecStore:
    """Checkpoints as files `<url>/<model>/<topic>-<partition>/<offset>.safetensors`.

    Args:
        url: a directory or an fsspec URL.
        model: name of the model.
    """

    def __init__(self, url: str, model: str) -> None:
        self._files, root = fsspec.core.url_to_fs(url)
        self._is_local = isinstance(self._files, LocalFileSystem)
        self._root = f"{root.rstrip('/')}/{model}"

    def _path(self, partition: Partition, offset: int) -> str:
        return f"{self._root}/{partition}/{offset:020d}{_SUFFIX}"

    def save(self, partition: Partition, offset: int, data: bytes) -> None:
        """Write beside the final name, then rename: a reader sees all of it, or nothing, also after a power cut."""
        path = self._path(partition, offset)
        part = f"{path}.{uuid.uuid4().hex}.part"
        try:
            self._files.makedirs(f"{self._root}/{partition}", exist_ok=True)
            self._write(part, data)
            self._files.mv(part, path)
            if self._is_local:
                _sync(f"{self._root}/{partition}")
        except OSError as error:
            with suppress(OSError):
                self._files.rm_file(part)
            raise CheckpointError(
                f"cannot write the checkpoint {path}: {error}; make room, or correct checkpoint.url"
            ) from error

    def _write(self, path: str, data: bytes) -> None:
        with self._files.open(path, "wb") as file:
            file.write(data)
            if self._is_local:
                file.flush()
                os.fsync(file.fileno())

    def offsets(self, partition: Partition) -> list[int]:
        """Return the offsets of all checkpoints of a partition, newest first."""
        self._files.invalidate_cache()
        names = self._files.glob(f"{self._root}/{partition}/*{_SUFFIX}")
        return sorted((int(name.rsplit("/", 1)[-1].removesuffix(_SUFFIX)) for name in names), reverse=True)

    def load(self, partition: Partition, offset: int) -> bytes:
        """Return a checkpoint."""
        path = self._path(partition, offset)
        try:
            return bytes(self._files.cat_file(path))
        except OSError as error:
            raise CheckpointError(f"cannot read the checkpoint {path}: {error}") from error

    def delete(self, partition: Partition, offset: int) -> None:
        """Remove a checkpoint; one that is gone already is as good."""
        path = self._path(partition, offset)
        if self._files.exists(path):
            self._files.rm_file(path)

    def close(self) -> None:
        """Do nothing: files have no connection of their own."""


def _sync(directory: str) -> None:
    """Make a rename in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
