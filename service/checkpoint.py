"""Stage 8: the state of a partition, kept where a successor finds it.

The commit protocol, in the order of `Worker.commit`:

    1. Labels from a topic of their own are taken. Every partition with a checkpoint due begins to write it, named
       by the number of records before it. The loop goes on; commits name the newest checkpoint that is durable.
    2. All predictions, dead letters and alerts so far are made durable.
    3. The input offsets are committed; the offset of the newest durable checkpoint travels in their metadata.
       With `exactly_once`, 2 and 3 are one transaction.
    4. Older checkpoints are removed.

Recovery, in the order of `Worker.assigned`: end what the predecessor left open (its transactional id travels in the
metadata too), read the committed offset and the checkpoint it names, load that checkpoint, replay the events between
the two without publishing, go live. Learning is deterministic, so the state is then what it was. A crash between 1
and 3 leaves a checkpoint that no commit names: it is never used, because the events it has seen will be processed,
and published, again. docs/delivery-guarantees.md has the failure table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from nnstream import snapshot
from nnstream.model import Model, ModelSpec
from service.records import Partition


class Stored(NamedTuple):
    """What a store knows of a checkpoint without reading it.

    Attributes:
        bytes: its size.
        written_at_ms: when it was written, since 1970; None where the store does not tell.
    """

    bytes: int
    written_at_ms: int | None


class CheckpointStore(Protocol):
    """Where checkpoints lie. Writing is atomic: a checkpoint is there whole, or not at all.

    Every method raises BrokerError where the store is in Kafka, and Kafka does not answer or refuses: that says
    nothing about a checkpoint.
    """

    def save(self, partition: Partition, offset: int, data: bytes) -> None:
        """Store a checkpoint; one of the same offset is replaced.

        Args:
            partition: whose.
            offset: its name: how many records came before it; without a labels topic the next event's offset.
            data: all of it.
        """

    def offsets(self, partition: Partition) -> list[int]:
        """Return the offsets of all checkpoints of a partition, newest first."""

    def describe(self, partition: Partition, offset: int) -> Stored:
        """Return the size and age of a checkpoint; raises CheckpointError when there is none."""

    def load(self, partition: Partition, offset: int) -> bytes:
        """Return a checkpoint; raises CheckpointError when there is none, or when it is not what was written."""

    def delete(self, partition: Partition, offset: int) -> None:
        """Remove a checkpoint."""

    def close(self) -> None:
        """Drop whatever connection it has."""


@dataclass(frozen=True)
class State:
    """What a checkpoint holds beside the model.

    Attributes:
        offset: of the next event to process.
        labels_offset: of the next record of the labels topic; 0 without one.
        monitor: what `Monitor.describe` gave.
        monitor_arrays: what `Monitor.state` gave.
        waiting: what `LabelJoin.state` gave.
        confidence: what `Confidence.describe` gave; None where it is off.
        confidence_arrays: what `Confidence.state` gave.
    """

    offset: int
    labels_offset: int
    monitor: Mapping[str, Any]
    monitor_arrays: Mapping[str, Any]
    waiting: Mapping[str, Any]
    confidence: Mapping[str, Any] | None = None
    confidence_arrays: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> int:
        """Return the number of records taken: it grows with each, so it orders and names the checkpoints."""
        return self.offset + self.labels_offset


class Restored(NamedTuple):
    """What a partition goes on from: its model, and all other state."""

    model: Model
    state: State


def pack(model: Model, partition: Partition, state: State) -> snapshot.Captured:
    """Return a copy of the state; what follows may go on changing it."""
    extra = {
        "topic": partition.topic,
        "partition": partition.number,
        "offset": state.offset,
        "labels_offset": state.labels_offset,
        "monitor": state.monitor,
        "confidence": state.confidence,
    }
    arrays = {f"monitor.{name}": array for name, array in state.monitor_arrays.items()}
    arrays |= {f"waiting.{name}": array for name, array in state.waiting.items()}
    arrays |= {f"confidence.{name}": array for name, array in state.confidence_arrays.items()}
    return snapshot.capture(model, extra, arrays)


def unpack(data: bytes, spec: ModelSpec) -> Restored:
    """Return what `pack` packed; raises SnapshotError where it is damaged or belongs to another model."""
    model, extra, arrays = snapshot.load(data, spec)
    monitor, waiting, confidence = (_under(prefix, arrays) for prefix in ("monitor.", "waiting.", "confidence."))
    offsets = extra["offset"], extra["labels_offset"]
    state = State(*offsets, extra["monitor"], monitor, waiting, extra.get("confidence"), confidence)
    return Restored(model, state)


def _under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
