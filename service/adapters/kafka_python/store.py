"""Checkpoints in a Kafka topic; implements `service.checkpoint.CheckpointStore`.

A checkpoint is a row of chunk records followed by a manifest, and is there once its manifest is. It lies in the
partition of the events that it belongs to. Its records have JSON keys, so that the topic can be compacted:

    [group, model, topic, partition, name]                  the manifest
    [group, model, topic, partition, name, save, number]    a chunk; `save` tells two writers of one name apart

What is removed gets tombstones, and the head of the partition is cut off up to the first record that anybody still
needs: who comes next has only to read what is kept.
"""

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors

from service.adapters.kafka_python.connection import connection
from service.errors import CheckpointError
from service.records import Partition
from service.settings import KafkaSettings

log = structlog.get_logger()

_CHUNK_BYTES = 512 * 1024
_CHUNKS_AT_A_TIME = 32
_HALF_WRITTEN_MS = 600_000  # chunks without a manifest: before that, somebody may still be writing
_READ_SECONDS = 60.0

_Key = tuple[str, str, str, int, int]


class _Manifest(NamedTuple):
    save: str
    chunks: int
    bytes: int
    sha256: str
    first: int
    last: int


class _Index:
    """What a partition of the topic holds, as far as it has been read.

    Attributes:
        read_to: offset of the next record to read.
        manifests: whole checkpoints of anybody.
        half: first offset and newest timestamp of chunks that have no manifest yet.
    """

    def __init__(self) -> None:
        self.read_to = 0
        self.manifests: dict[_Key, _Manifest] = {}
        self.half: dict[_Key, tuple[int, int]] = {}

    def note(self, record: Any) -> None:
        """Take in one record; what is no checkpoint's is passed over."""
        try:
            name = json.loads(record.key)
            key: _Key = (name[0], name[1], name[2], name[3], name[4])
        except (ValueError, TypeError, IndexError, KeyError):
            return
        if len(name) > len(key):
            if record.value is not None:
                first, _ = self.half.get(key, (record.offset, 0))
                self.half[key] = first, record.timestamp
            return
        self.half.pop(key, None)
        if record.value is None:
            self.manifests.pop(key, None)
            return
        said = json.loads(record.value)
        said["first"] = record.offset if said["first"] is None else said["first"]
        self.manifests[key] = _Manifest(**said, last=record.offset)

    def first_needed(self, now_ms: int) -> int:
        """Return the offset of the first record that belongs to a checkpoint of anybody."""
        firsts = [manifest.first for manifest in self.manifests.values()]
        firsts += [first for first, newest in self.half.values() if newest > now_ms - _HALF_WRITTEN_MS]
        return min(firsts, default=self.read_to)


class KafkaTopicStore:
    """The checkpoints of one model of one group.

    Args:
        settings: the connection, and the group.
        topic: with at least as many partitions as the events have.
        model: name of the model.
    """

    def __init__(self, settings: KafkaSettings, topic: str, model: str) -> None:
        self._settings, self._topic, self._model = settings, topic, model
        self._indices: dict[int, _Index] = {}
        self._lock = threading.RLock()  # writing and removing happen on another thread than loading
        self._open_clients: list[Any] = []
        self._consumer_, self._producer_, self._admin_ = None, None, None

    # -- service.checkpoint.CheckpointStore

    def save(self, partition: Partition, offset: int, data: bytes) -> None:
        """Write the chunks, then the manifest; it is there once that is acknowledged."""
        with self._lock, self._named(f"writing the checkpoint {offset} of {partition}"):
            key, save = self._key(partition, offset), uuid.uuid4().hex
            starts = range(0, len(data), _CHUNK_BYTES)
            first = None
            for number, start in enumerate(starts):
                future = self._send(partition, [*key, save, number], data[start : start + _CHUNK_BYTES])
                if first is None or number % _CHUNKS_AT_A_TIME == 0:
                    written = future.get(timeout=_READ_SECONDS).offset
                    first = written if first is None else first
            said = {
                "save": save, "chunks": len(starts), "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(), "first": first,
            }  # fmt: skip
            self._send(partition, key, json.dumps(said).encode()).get(timeout=_READ_SECONDS)

    def offsets(self, partition: Partition) -> list[int]:
        """Return the names of all checkpoints of a partition, newest first."""
        with self._lock, self._named(f"listing the checkpoints of {partition}"):
            found = self._read(partition).manifests
            own = self._key(partition, 0)[:4]
            return sorted((key[4] for key in found if list(key[:4]) == own), reverse=True)

    def load(self, partition: Partition, offset: int) -> bytes:
        """Return a checkpoint; what is not what was written is refused."""
        with self._lock, self._named(f"reading the checkpoint {offset} of {partition}"):
            manifest = self._read(partition).manifests.get(tuple(self._key(partition, offset)))
            if manifest is None:
                raise CheckpointError(f"there is no checkpoint {offset} of {partition} in the topic {self._topic}")
            chunks: dict[int, bytes] = {}
            for record in self._records(partition, manifest.first, manifest.last):
                name = json.loads(record.key)
                if name[:-1] == [*self._key(partition, offset), manifest.save]:
                    chunks[name[-1]] = record.value
            data = b"".join(chunks[number] or b"" for number in sorted(chunks))
            if len(chunks) != manifest.chunks or hashlib.sha256(data).hexdigest() != manifest.sha256:
                raise CheckpointError(
                    f"the checkpoint {offset} of {partition} is damaged: {len(chunks)} of {manifest.chunks} chunks, "
                    f"{len(data)} of {manifest.bytes} bytes in the topic {self._topic}"
                )
            return data

    def delete(self, partition: Partition, offset: int) -> None:
        """Remove a checkpoint; one that is gone already is as good."""
        with self._lock, self._named(f"removing the checkpoint {offset} of {partition}"):
            key = self._key(partition, offset)
            manifest = self._read(partition).manifests.get(tuple(key))
            if manifest is None:
                return
            done = [self._send(partition, key, None)]
            done += [self._send(partition, [*key, manifest.save, i], None) for i in range(manifest.chunks)]
            for future in done:
                future.get(timeout=_READ_SECONDS)
            self._cut(partition)

    def close(self) -> None:
        """Drop the connections."""
        with self._lock:
            clients, self._open_clients = self._open_clients, []
            self._consumer_, self._producer_, self._admin_ = None, None, None
            for client in clients:
                client.close()

    # -- reading

    def _read(self, partition: Partition) -> _Index:
        """Return the index of a partition, up to its end as it is now."""
        tp = TopicPartition(self._topic, partition.number)
        index = self._indices.setdefault(partition.number, _Index())
        start, end = self._consumer.beginning_offsets([tp])[tp], self._consumer.end_offsets([tp])[tp]
        for record in self._records(partition, max(start, index.read_to), end - 1):
            index.note(record)
        index.read_to = max(index.read_to, end)
        return index

    def _records(self, partition: Partition, first: int, last: int) -> Iterator[Any]:
        """Yield the records from `first` to `last`, both included."""
        if first > last:
            return
        tp = TopicPartition(self._topic, partition.number)
        self._consumer.assign([tp])
        self._consumer.seek(tp, first)
        deadline = time.monotonic() + _READ_SECONDS
        while self._consumer.position(tp) <= last:
            for record in self._consumer.poll(timeout_ms=500).get(tp, ()):
                if record.offset <= last:
                    yield record
            if time.monotonic() > deadline:
                raise CheckpointError(f"no answer from the topic {self._topic} within {_READ_SECONDS:.0f} s")

    # -- writing

    def _send(self, partition: Partition, key: list[Any], value: bytes | None) -> Any:
        text = json.dumps(key, separators=(",", ":")).encode()
        return self._producer.send(self._topic, key=text, value=value, partition=partition.number)

    def _cut(self, partition: Partition) -> None:
        """Let the broker drop what nobody needs; compaction will where this is not allowed."""
        tp = TopicPartition(self._topic, partition.number)
        first = self._read(partition).first_needed(int(time.time() * 1000))
        try:
            self._admin.delete_records({tp: first})
        except kafka_errors.KafkaError as error:
            log.debug("old checkpoints left to compaction", topic=self._topic, reason=repr(error))

    def _key(self, partition: Partition, name: int) -> list[Any]:
        return [self._settings.group_id, self._model, partition.topic, partition.number, name]

    # -- clients, made when they are first needed

    @property
    def _consumer(self) -> Any:
        if self._consumer_ is None:
            self._consumer_ = self._kept(
                KafkaConsumer(
                    **connection(self._settings),
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    max_partition_fetch_bytes=8 * 2**20,
                )
            )
        return self._consumer_

    @property
    def _producer(self) -> Any:
        if self._producer_ is None:
            self._producer_ = self._kept(KafkaProducer(**connection(self._settings), acks="all"))
        return self._producer_

    @property
    def _admin(self) -> Any:
        if self._admin_ is None:
            self._admin_ = self._kept(KafkaAdminClient(**connection(self._settings)))
        return self._admin_

    def _kept(self, client: Any) -> Any:
        self._open_clients.append(client)
        return client

    @contextmanager
    def _named(self, action: str) -> Iterator[None]:
        try:
            yield
        except kafka_errors.KafkaError as error:
            raise CheckpointError(
                f"{action}: Kafka at {self._settings.bootstrap_servers} says {error!r}; "
                f"check that it runs and that the topic {self._topic} may be read and written"
            ) from error
