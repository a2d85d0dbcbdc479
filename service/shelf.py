"""What waits, by key, oldest first; beyond a limit of memory the oldest lies on disk."""

import sqlite3
from collections.abc import Iterator

import msgspec

_ENTRY_BYTES = 300  # what an entry takes beside its texts


class Waiting(msgspec.Struct, array_like=True):
    """A record that waits: an event for its label, or a label for its event. Implements `service.records.Record`.

    Attributes:
        offset: of the record.
        timestamp: of the record, ms since 1970.
        key: of the record.
        value: of the record.
        headers: of the record.
        since: log time at which it began to wait, ms since 1970.
        ts: the event's own, ms since 1970.
        prediction: of an event, as it was published; None where none could be made.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    since: int
    ts: int
    prediction: bytes | None = None

    @property
    def size(self) -> int:
        """Return about how many bytes it takes; the same before and after its prediction is known."""
        return _ENTRY_BYTES + len(self.value)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Waiting).decode
_SCHEMA = "CREATE TABLE waiting (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, data BLOB NOT NULL)"


class Shelf:
    """Waiting records in the order in which they came.

    Args:
        memory_bytes: beyond which the oldest go to a temporary SQLite file; None keeps all in memory.
    """

    def __init__(self, memory_bytes: int | None = None) -> None:
        self.bytes = 0
        self._memory: dict[str, Waiting] = {}
        self._memory_limit, self._memory_bytes = memory_bytes, 0
        self._disk: sqlite3.Connection | None = None
        self._on_disk = 0
        self._oldest: tuple[str, Waiting] | None = None  # of those on disk

    def __len__(self) -> int:
        return len(self._memory) + self._on_disk

    def put(self, key: str, entry: Waiting) -> None:
        """Add the newest; its key must not be there."""
        self._memory[key] = entry
        self._memory_bytes += entry.size
        self.bytes += entry.size

    def get(self, key: str) -> Waiting | None:
        """Return an entry; None where there is none."""
        found = self._memory.get(key)
        if found is None and self._on_disk and self._disk is not None:
            row = self._disk.execute("SELECT data FROM waiting WHERE key = ?", (key,)).fetchone()
            found = None if row is None else _decode(row[0])
        return found

    def pop(self, key: str) -> Waiting | None:
        """Remove an entry and return it; None where there is none."""
        found = self._memory.pop(key, None)
        if found is not None:
            self._memory_bytes -= found.size
        elif self._on_disk and self._disk is not None:
            row = self._disk.execute("DELETE FROM waiting WHERE key = ? RETURNING data", (key,)).fetchone()
            if row is not None:
                found = _decode(row[0])
                self._on_disk -= 1
                if self._oldest is not None and self._oldest[0] == key:
                    self._oldest = None
        if found is not None:
            self.bytes -= found.size
        return found

    def oldest(self) -> tuple[str, Waiting] | None:
        """Return the key and entry that wait longest."""
        if self._on_disk and self._disk is not None:
            if self._oldest is None:
                key, data = self._disk.execute("SELECT key, data FROM waiting ORDER BY number LIMIT 1").fetchone()
                self._oldest = key, _decode(data)
            return self._oldest
        return next(iter(self._memory.items()), None)

    def spill(self) -> None:
        """Move the oldest to disk until the rest fits into memory."""
        if self._memory_limit is None or self._memory_bytes <= self._memory_limit:
            return
        if self._disk is None:
            self._disk = sqlite3.connect("", check_same_thread=False)  # a file of its own that vanishes with it
            self._disk.execute(_SCHEMA)
        moved = []
        while self._memory_bytes > self._memory_limit:
            key = next(iter(self._memory))
            entry = self._memory.pop(key)
            self._memory_bytes -= entry.size
            moved.append((key, _encode(entry)))
        self._disk.executemany("INSERT INTO waiting (key, data) VALUES (?, ?)", moved)
        self._on_disk += len(moved)

    def items(self) -> Iterator[tuple[str, Waiting]]:
        """Return everything, oldest first."""
        if self._on_disk and self._disk is not None:
            for key, data in self._disk.execute("SELECT key, data FROM waiting ORDER BY number"):
                yield key, _decode(data)
        yield from self._memory.items()
