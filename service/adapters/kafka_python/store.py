"""Checkpoints in a Kafka topic; implements `service.checkpoint.CheckpointStore`.

A checkpoint lies in the partition of the events that it belongs to, as `service.adapters.kafka_python.index` says.
What is removed gets tombstones, and the head of the partition is cut off up to the first record that anybody still
needs: who comes next has only to read what is kept.
"""

import hashlib
import io
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors

from service.adapters.kafka_python.connection import close_producer, connection, named
from service.adapters.kafka_python.index import Entry, Index, Key, Manifest, Name, decode_name
from service.checkpoint import Stored
from service.deadline import Deadline
from service.errors import BrokerError, CheckpointError, StartOverError, TopicMissingError
from service.records import Partition
from service.settings import KafkaSettings

log = structlog.get_logger()

_CHUNK_BYTES = 512 * 1024
_UNACKNOWLEDGED = 32  # chunks on their way at a time: the memory that writing takes
_PATIENCE_SECONDS = 30.0
_TOPIC_SECONDS, _LOOK_AGAIN_SECONDS = 5.0, 0.1  # a topic that was just created is not known everywhere at once


class _Written(NamedTuple):
    """A record as `Index.note` wants it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes | None


class KafkaTopicStore:
    """The checkpoints of one model of one group.

    Args:
        settings: the connection, and the group.
        topic: with at least as many partitions as the events have.
        model: name of the model.
    """

    def __init__(self, settings: KafkaSettings, topic: str, model: str) -> None:
        self._settings, self._topic, self._model = settings, topic, model
        self._indices: dict[int, Index] = {}
        self._lock = threading.RLock()  # writing and removing happen on another thread than loading
        self._consumer_: Any = None
        self._producer_: Any = None
        self._admin_: Any = None

    # -- service.checkpoint.CheckpointStore

    def save(self, partition: Partition, offset: int, data: bytes) -> None:
        """Write the chunks, then the manifest, each acknowledged; tombstones for what it replaces come last."""
        key = self._key(partition, offset)
        with self._lock, self._writing(f"writing the checkpoint {offset} of {partition}"):
            replaced = self._read(partition).entries.get(key)
            save = uuid.uuid4().hex
            view = memoryview(data)
            chunks = [view[start : start + _CHUNK_BYTES] for start in range(0, len(data), _CHUNK_BYTES)]
            offsets = self._write(partition, ((Name(key, save, n), bytes(each)) for n, each in enumerate(chunks)))
            digest = hashlib.sha256(data).hexdigest()
            manifest = Manifest(save, len(chunks), len(data), digest, min(offsets, default=None))
            self._write(partition, [(Name(key), msgspec.json.encode(manifest))])
            if replaced is not None:
                self._write(partition, _tombstones(key, replaced, but_its_manifest=True))

    def offsets(self, partition: Partition) -> list[int]:
        """Return the names of all checkpoints of a partition, newest first."""
        with self._lock, named(f"listing the checkpoints of {partition}", self._settings):
            own = self._key(partition, 0)[:-1]
            return sorted((key[-1] for key in self._read(partition).entries if key[:-1] == own), reverse=True)

    def describe(self, partition: Partition, offset: int) -> Stored:
        """Return what the manifest says."""
        with self._lock, named(f"reading about the checkpoint {offset} of {partition}", self._settings):
            entry = self._entry(partition, offset)
            return Stored(self._manifest(entry, partition, offset).bytes, entry.written_at_ms)

    def load(self, partition: Partition, offset: int) -> bytes:
        """Return a checkpoint; what is not what was written is refused."""
        with self._lock, named(f"reading the checkpoint {offset} of {partition}", self._settings):
            entry = self._entry(partition, offset)
            manifest = self._manifest(entry, partition, offset)
            whole, digest, found = io.BytesIO(), hashlib.sha256(), 0
            for record in self._records(partition, entry.first, entry.last):
                name = Name(self._key(partition, offset), manifest.save, found)
                if record.value is not None and decode_name(record.key) == name:
                    whole.write(record.value)
                    digest.update(record.value)
                    found += 1
            if found != manifest.chunks or digest.hexdigest() != manifest.sha256:
                raise CheckpointError(
                    f"the checkpoint {offset} of {partition} is damaged: {found} of {manifest.chunks} chunks, "
                    f"{whole.tell()} of {manifest.bytes} bytes in the topic {self._topic}"
                )
            return whole.getvalue()

    def delete(self, partition: Partition, offset: int) -> None:
        """Remove a checkpoint; one that is gone already is as good."""
        with self._lock, self._writing(f"removing the checkpoint {offset} of {partition}"):
            key = self._key(partition, offset)
            entry = self._read(partition).entries.get(key)
            if entry is not None:
                self._write(partition, _tombstones(key, entry))
                self._cut(partition)

    def close(self) -> None:
        """Drop the connections."""
        with self._lock:
            self._drop_producer()
            clients, self._consumer_, self._admin_ = [self._consumer_, self._admin_], None, None
            for client in clients:
                if client is not None:
                    client.close()

    # -- reading

    def _entry(self, partition: Partition, offset: int) -> Entry:
        entry = self._read(partition).entries.get(self._key(partition, offset))
        if entry is None:
            raise CheckpointError(f"there is no checkpoint {offset} of {partition} in the topic {self._topic}")
        return entry

    def _manifest(self, entry: Entry, partition: Partition, offset: int) -> Manifest:
        if entry.manifest is None:
            raise CheckpointError(
                f"the checkpoint {offset} of {partition} is damaged: its manifest, record {entry.last} of "
                f"{self._topic}-{partition.number}, cannot be read"
            )
        return entry.manifest

    def _read(self, partition: Partition) -> Index:
        """Return the index of a partition, up to its end as it is now."""
        tp = self._place(partition)
        patience = {"timeout_ms": int(_PATIENCE_SECONDS * 1000)}
        start = self._consumer.beginning_offsets([tp], **patience)[tp]
        end = self._consumer.end_offsets([tp], **patience)[tp]
        index = self._indices.get(partition.number)
        if index is None or index.read_to > end:  # more was read than there is: the topic was created anew
            index = self._indices[partition.number] = Index()
        for record in self._records(partition, max(start, index.read_to), end - 1):
            index.note(record)
        index.read_to = end
        return index

    def _place(self, partition: Partition) -> Any:
        deadline = Deadline(_TOPIC_SECONDS, time.monotonic)
        while partition.number not in self._consumer.partitions_for_topic(self._topic):
            if not deadline.expired():
                time.sleep(_LOOK_AGAIN_SECONDS)
                continue
            raise TopicMissingError(
                f"there is no topic {self._topic} with a partition {partition.number} at "
                f"{self._settings.bootstrap_servers}: no service has kept checkpoints there; "
                "check topics.checkpoints, and checkpoint.url if they lie elsewhere"
            )
        return TopicPartition(self._topic, partition.number)

    def _records(self, partition: Partition, first: int, last: int) -> Iterator[Any]:
        """Yield the records from `first` to `last`, both included."""
        if first > last:
            return
        tp = TopicPartition(self._topic, partition.number)
        self._consumer.assign([tp])
        self._consumer.seek(tp, first)
        deadline = Deadline(_PATIENCE_SECONDS, time.monotonic)
        while self._consumer.position(tp) <= last:
            records = self._consumer.poll(timeout_ms=500).get(tp, ())
            if records:
                deadline.restart()
            elif deadline.expired():
                raise StartOverError(
                    f"reading {self._topic}-{partition.number}: no answer from Kafka at "
                    f"{self._settings.bootstrap_servers} within {_PATIENCE_SECONDS:.0f} s; check that it runs"
                )
            yield from (record for record in records if record.offset <= last)

    # -- writing

    def _write(self, partition: Partition, records: Iterable[tuple[Name, bytes | None]]) -> list[int]:
        """Return the offsets of records once every one of them is acknowledged; few are held in memory at a time."""
        index, offsets = self._read(partition), []
        for future, key, value in self._sent(partition, records):
            done = future.get(timeout=_PATIENCE_SECONDS)
            offsets.append(done.offset)
            if done.offset == index.read_to:  # nobody wrote in between: what is known need not be read
                index.note(_Written(done.offset, done.timestamp, key, value))
        return offsets

    def _sent(
        self, partition: Partition, records: Iterable[tuple[Name, bytes | None]]
    ) -> Iterator[tuple[Any, bytes, bytes | None]]:
        """Send records, and yield each one's future, key and value once so many others are on their way."""
        waiting: deque[tuple[Any, bytes, bytes | None]] = deque()
        for name, value in records:
            if len(waiting) == _UNACKNOWLEDGED:
                yield waiting.popleft()
            key = name.encode()
            future = self._producer.send(self._topic, key=key, value=value, partition=partition.number)
            waiting.append((future, key, value))
        yield from waiting

    def _cut(self, partition: Partition) -> None:
        """Let the broker drop what nobody needs; compaction will where this is not allowed."""
        index = self._read(partition)
        first = index.first_needed()
        try:
            self._admin.delete_records({TopicPartition(self._topic, partition.number): first})
        except kafka_errors.KafkaError as error:
            log.debug("old checkpoints left to compaction", topic=self._topic, reason=repr(error))
        else:
            index.forget_before(first)

    @contextmanager
    def _writing(self, action: str) -> Iterator[None]:
        """Name what went wrong, and begin with a new producer then: the client's may never write again."""
        try:
            with named(action, self._settings):
                yield
        except BrokerError:
            self._drop_producer()
            raise

    def _drop_producer(self) -> None:
        """Drop it with what it could not write: everything that counts was acknowledged."""
        producer, self._producer_ = self._producer_, None
        if producer is not None:
            close_producer(producer, seconds=0)

    def _key(self, partition: Partition, name: int) -> Key:
        return self._settings.group_id, self._model, partition.topic, partition.number, name

    # -- clients, made when they are first needed

    @property
    def _consumer(self) -> Any:
        if self._consumer_ is None:
            self._consumer_ = KafkaConsumer(
                **connection(self._settings),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=8 * 2**20,
            )
        return self._consumer_

    @property
    def _producer(self) -> Any:
        if self._producer_ is None:
            self._producer_ = KafkaProducer(**connection(self._settings), acks="all")
        return self._producer_

    @property
    def _admin(self) -> Any:
        if self._admin_ is None:
            self._admin_ = KafkaAdminClient(**connection(self._settings))
        return self._admin_


def _tombstones(key: Key, entry: Entry, *, but_its_manifest: bool = False) -> Iterator[tuple[Name, None]]:
    if not but_its_manifest:
        yield Name(key), None
    if entry.manifest is not None:
        for number in range(entry.manifest.chunks):
            yield Name(key, entry.manifest.save, number), None
