"""What a partition of the checkpoints topic holds, learned from its records; nothing here talks to Kafka.

A checkpoint is a row of chunk records followed by a manifest, and is there once its manifest is. All have JSON keys,
so that the topic can be compacted:

    [group, model, topic, partition, name]                  the manifest
    [group, model, topic, partition, name, save, number]    a chunk; `save` tells two writers of one name apart
"""

import json
from typing import Any, NamedTuple, TypeAlias

import msgspec

HALF_WRITTEN_MS = 600_000  # chunks without a manifest: before that, somebody may still be writing

Key: TypeAlias = tuple[str, str, str, int, int]  # group, model, topic, partition, name

_MANIFEST_KEY = (str, str, str, int, int)
_CHUNK_KEY = (*_MANIFEST_KEY, str, int)


class Name(NamedTuple):
    """Whose a record is.

    Attributes:
        key: of the checkpoint.
        save: who wrote it and when, as a random text; None for a manifest.
        number: of the chunk, from 0; -1 for a manifest.
    """

    key: Key
    save: str | None = None
    number: int = -1

    def encode(self) -> bytes:
        """Return it as the key of a record."""
        parts = self.key if self.save is None else (*self.key, self.save, self.number)
        return json.dumps(parts, separators=(",", ":")).encode()


def decode_name(key: bytes | None) -> Name | None:
    """Return whose a record with this key is; None where it is no checkpoint's."""
    try:
        parts = json.loads(key or b"")
    except ValueError:
        return None
    kinds = tuple(map(type, parts)) if isinstance(parts, list) else ()
    if kinds == _MANIFEST_KEY:
        return Name(tuple(parts))
    if kinds == _CHUNK_KEY:
        return Name(tuple(parts[:5]), parts[5], parts[6])
    return None


class Manifest(msgspec.Struct, frozen=True):
    """What the chunks before it are.

    Attributes:
        save: of the chunks.
        chunks: how many.
        bytes: of all together.
        sha256: of all together, hexadecimal.
        first: offset of the first chunk in the partition; None where there is none.
    """

    save: str
    chunks: int
    bytes: int
    sha256: str
    first: int | None


class Entry(NamedTuple):
    """A checkpoint that is there.

    Attributes:
        manifest: None where it cannot be read.
        first: offset of its first record.
        last: offset of its manifest.
        written_at_ms: when the manifest was written, since 1970.
    """

    manifest: Manifest | None
    first: int
    last: int
    written_at_ms: int


class Index:
    """What a partition of the topic holds, as far as it has been read.

    Attributes:
        read_to: offset of the next record to read.
        entries: whole checkpoints, of anybody.
    """

    def __init__(self) -> None:
        self.read_to = 0
        self.entries: dict[Key, Entry] = {}
        self._now_ms = 0  # by the log's own time: a worker whose clock is ahead must not take others' chunks for old
        self._half: dict[
            tuple[Key, str], tuple[int, int]
        ] = {}  # first offset and newest time of what has no manifest

    def note(self, record: Any) -> None:
        """Take in the next record (offset, timestamp, key, value); what is no checkpoint's is passed over."""
        self.read_to, self._now_ms = record.offset + 1, max(self._now_ms, record.timestamp)
        name = decode_name(record.key)
        if name is None:
            return
        if name.save is not None:
            if record.value is not None:
                first, _ = self._half.get((name.key, name.save), (record.offset, 0))
                self._half[name.key, name.save] = first, record.timestamp
        elif record.value is None:
            self.entries.pop(name.key, None)
        else:
            self._note_manifest(name.key, record)

    def _note_manifest(self, key: Key, record: Any) -> None:
        try:
            manifest = msgspec.json.decode(record.value, type=Manifest)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.entries[key] = Entry(None, record.offset, record.offset, record.timestamp)
            return
        self._half.pop((key, manifest.save), None)
        first = record.offset if manifest.first is None else manifest.first
        self.entries[key] = Entry(manifest, first, record.offset, record.timestamp)

    def first_needed(self) -> int:
        """Return the offset of the first record that a checkpoint of anybody needs, or may come to need."""
        firsts = [entry.first for entry in self.entries.values()]
        firsts += [first for first, newest in self._half.values() if newest > self._now_ms - HALF_WRITTEN_MS]
        return min(firsts, default=self.read_to)

    def forget_before(self, offset: int) -> None:
        """Drop what was half written and is gone now."""
        self._half = {name: seen for name, seen in self._half.items() if seen[0] >= offset}
