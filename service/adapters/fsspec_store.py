"""Checkpoints in a directory, or in any store that fsspec knows; implements `service.checkpoint.CheckpointStore`."""

import os
import re
import uuid
from contextlib import suppress

import fsspec
from fsspec.implementations.local import LocalFileSystem

from service.checkpoint import Stored
from service.errors import CheckpointError, SettingsError
from service.records import Partition

_FILE = re.compile(r"(\d{20})\.safetensors")
_PART = re.compile(r"(\d{20})\.[0-9a-f]{32}\.part")  # what a crash left while it was written


class FsspecStore:
    """Checkpoints as files `<url>/<model>/<topic>-<partition>/<offset>.safetensors`.

    Args:
        url: a directory or an fsspec URL.
        model: name of the model.

    Raises:
        SettingsError: nothing that is installed can open such a URL.
    """

    def __init__(self, url: str, model: str) -> None:
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"checkpoint.url: {url} cannot be opened: {error}") from error
        self._is_local = isinstance(self._files, LocalFileSystem)
        self._root = f"{root.rstrip('/')}/{model}"

    def _directory(self, partition: Partition) -> str:
        return f"{self._root}/{partition}"

    def _path(self, partition: Partition, offset: int) -> str:
        return f"{self._directory(partition)}/{offset:020d}.safetensors"

    def save(self, partition: Partition, offset: int, data: bytes) -> None:
        """Write beside the final name, then rename: a reader sees all of it, or nothing, also after a power cut."""
        path, directory = self._path(partition, offset), self._directory(partition)
        part = f"{directory}/{offset:020d}.{uuid.uuid4().hex}.part"
        try:
            if not self._files.isdir(directory):
                self._make(directory)
            self._write(part, data)
            self._files.mv(part, path)
            if self._is_local:
                _sync(directory)
        except OSError as error:
            with suppress(OSError):
                self._files.rm_file(part)
            raise CheckpointError(
                f"cannot write the checkpoint {path}: {error}; make room, or correct checkpoint.url"
            ) from error

    def _make(self, directory: str) -> None:
        """Make a directory and those above it; on a disk each stands in the one above only once that is synced."""
        missing = [directory]
        while self._is_local and not os.path.isdir(above := os.path.dirname(missing[-1])):  # noqa: PTH112, PTH120
            missing.append(above)
        self._files.makedirs(directory, exist_ok=True)
        if self._is_local:
            for each in missing:
                _sync(os.path.dirname(each))  # noqa: PTH120

    def _write(self, path: str, data: bytes) -> None:
        with self._files.open(path, "wb") as file:
            file.write(data)
            if self._is_local:
                file.flush()
                os.fsync(file.fileno())

    def offsets(self, partition: Partition) -> list[int]:
        """Return the offsets of all checkpoints of a partition, newest first; other files are passed over."""
        return sorted(
            (int(found[1]) for name in self._names(partition) if (found := _FILE.fullmatch(name))), reverse=True
        )

    def _names(self, partition: Partition) -> list[str]:
        directory = self._directory(partition)
        self._files.invalidate_cache()
        try:
            return [path.rstrip("/").rsplit("/", 1)[-1] for path in self._files.ls(directory, detail=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"cannot list the checkpoints in {directory}: {error}") from error

    def describe(self, partition: Partition, offset: int) -> Stored:
        """Return the size and age of the file."""
        path = self._path(partition, offset)
        try:
            size = self._files.size(path)
            with suppress(NotImplementedError):
                return Stored(size, int(self._files.modified(path).timestamp() * 1000))
        except OSError as error:
            raise CheckpointError(f"cannot read the checkpoint {path}: {error}") from error
        return Stored(size, None)

    def load(self, partition: Partition, offset: int) -> bytes:
        """Return a checkpoint."""
        path = self._path(partition, offset)
        try:
            return bytes(self._files.cat_file(path))
        except OSError as error:
            raise CheckpointError(f"cannot read the checkpoint {path}: {error}") from error

    def delete(self, partition: Partition, offset: int) -> None:
        """Remove a checkpoint, and what a crash left of those before it; one that is gone already is as good."""
        path = self._path(partition, offset)
        parts = [
            name for name in self._names(partition) if (found := _PART.fullmatch(name)) and int(found[1]) <= offset
        ]
        try:
            for each in (path, *(f"{self._directory(partition)}/{name}" for name in parts)):
                with suppress(FileNotFoundError):
                    self._files.rm_file(each)
        except OSError as error:
            raise CheckpointError(f"cannot remove the checkpoint {path}: {error}") from error

    def close(self) -> None:
        """Do nothing: files have no connection of their own."""


def _sync(directory: str) -> None:
    """Make what was created or renamed in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
