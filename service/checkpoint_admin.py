"""`nnstream checkpoint …`: what lies in the store, whether it can be used, and putting one back."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnstream.errors import SnapshotError
from nnstream.model import Model
from service import checkpoint
from service.adapters.kafka_python.group import KafkaPythonGroup
from service.checkpoint import CheckpointStore, State
from service.errors import CheckpointError, DataError
from service.merge import Run, encode
from service.positions import Position
from service.records import Partition
from service.settings import Settings
from service.wiring import model_spec, new_store


@dataclass(frozen=True)
class Place:
    """Where a service with these settings keeps its checkpoints, and where its group stands.

    Args:
        settings: of the service.
        store: its checkpoints.
        group: its consumer group.
    """

    settings: Settings
    store: CheckpointStore
    group: KafkaPythonGroup

    def partitions(self, number: int | None) -> list[Partition]:
        """Return one partition, or all where `number` is None.

        Raises:
            DataError: there is no such partition.
        """
        found = self.group.partitions(self.settings.topics.events)
        if number is None:
            return found
        if number >= len(found):
            raise DataError(f"{self.settings.topics.events} has the partitions 0 to {len(found) - 1}, not {number}")
        return [found[number]]

    def read(self, partition: Partition, name: int) -> tuple[Model, State, int]:
        """Return what a checkpoint holds, and its size in bytes."""
        data = self.store.load(partition, name)
        return *checkpoint.unpack(data, model_spec(self.settings.model)), len(data)


@contextmanager
def opened(settings: Settings) -> Iterator[Place]:
    """Connect to the store and the cluster of these settings."""
    with ExitStack() as closing:
        group = KafkaPythonGroup(settings.kafka)
        closing.callback(group.close)
        store = new_store(settings)
        closing.callback(store.close)
        yield Place(settings, store, group)


def listed(place: Place, partitions: Sequence[Partition]) -> list[dict[str, Any]]:
    """Return a row for each checkpoint: where it is, how large, whether the group's commit names it."""
    committed = {partition: place.group.committed(partition) for partition in partitions}
    return [
        {
            "partition": partition.number,
            "checkpoint": name,
            "bytes": _size(place.store, partition, name),
            "committed": (position := committed[partition]) is not None and position.checkpoint == name,
        }
        for partition in partitions
        for name in place.store.offsets(partition)
    ]


def _size(store: CheckpointStore, partition: Partition, name: int) -> int | str:
    try:
        return len(store.load(partition, name))
    except CheckpointError:
        return "damaged"


def shown(place: Place, partition: Partition, name: int | None) -> dict[str, Any]:
    """Return what is in a checkpoint, the newest where `name` is None.

    Raises:
        CheckpointError: there is none, or it is damaged.
        SnapshotError: it belongs to a model that was configured differently.
    """
    name = _chosen(place, partition, name)
    model, state, size = place.read(partition, name)
    return {
        "partition": partition.number,
        "checkpoint": name,
        "bytes": size,
        "next_event": state.offset,
        "next_label": state.labels_offset,
        "model": place.settings.model.name,
        "learner": model.spec.learner,
        "samples_learned": model.version,
        "features": model.encoder.column_names,
        "classes": model.classes.known,
        "score": state.monitor["score"],
        "waiting_bytes": {each: int(array.nbytes) for each, array in state.waiting.items()},
    }


def verified(place: Place, partitions: Sequence[Partition]) -> list[dict[str, Any]]:
    """Return a row for each checkpoint: the reason why a restart could not use it, None where it could."""
    ranges = {p: (place.group.committed(p), place.group.log_range(p).start) for p in partitions}
    return [
        {"partition": p.number, "checkpoint": name, "problem": None} | _problem(place, p, name, *ranges[p])
        for p in partitions
        for name in place.store.offsets(p)
    ]


def _problem(
    place: Place, partition: Partition, name: int, committed: Position | None, log_start: int
) -> dict[str, str]:
    if committed is not None and name > (committed.offset if committed.checkpoint is None else committed.checkpoint):
        return {"problem": "it is ahead of what is committed: a crash left it, and it is never used"}
    try:
        _, state, _ = place.read(partition, name)
    except (SnapshotError, CheckpointError) as error:
        return {"problem": str(error)}
    if committed is not None and state.offset < min(log_start, committed.offset):
        return {"problem": f"the log begins at {log_start}, the events from {state.offset} on are gone"}
    return {}


def unusable(place: Place, partitions: Sequence[Partition], rows: Sequence[dict[str, Any]]) -> list[Partition]:
    """Return the partitions that are committed, and have no usable checkpoint among `rows`."""
    good = {row["partition"] for row in rows if row["problem"] is None}
    return [p for p in partitions if p.number not in good and place.group.committed(p) is not None]


def newest(place: Place, partition: Partition, name: int | None) -> bytes:
    """Return a checkpoint, the newest where `name` is None.

    Raises:
        CheckpointError: there is none, or it is damaged.
        SnapshotError: it belongs to a model that was configured differently.
    """
    data = place.store.load(partition, _chosen(place, partition, name))
    checkpoint.unpack(data, model_spec(place.settings.model))
    return data


def exported(place: Place, partition: Partition, name: int | None, path: Path) -> dict[str, Any]:
    """Write a checkpoint to a file; return what was written."""
    name = _chosen(place, partition, name)
    data = newest(place, partition, name)
    path.write_bytes(data)
    return {"partition": partition.number, "checkpoint": name, "bytes": len(data), "file": str(path)}


def restored(place: Place, partition: Partition, path: Path) -> dict[str, Any]:
    """Make a file the checkpoint of a partition, and move the group to where it was taken.

    Raises:
        DataError: the file cannot be read.
        CheckpointError: the log does not reach back to it.
        SnapshotError: it is damaged, or of another model.
        BrokerError: the group has live members.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; give a file of `nnstream checkpoint export`"
        ) from error
    _, state = checkpoint.unpack(data, model_spec(place.settings.model))
    log_range = place.group.log_range(partition)
    if not log_range.start <= state.offset <= log_range.end:
        raise CheckpointError(
            f"{path} was taken at offset {state.offset}, but the log of {partition} holds {log_range.start} to "
            f"{log_range.end}; restore one that the log still reaches"
        )
    before = place.group.committed(partition)
    with_labels = place.settings.topics.labels is not None
    position = Position(
        state.offset,
        state.name,
        topic_id=log_range.topic_id,
        labels=encode([Run(state.offset, state.labels_offset)]) if with_labels else None,
    )
    place.store.save(partition, state.name, data)
    place.group.move({partition: position})
    again = 0 if before is None else max(0, before.offset - state.offset)
    return {"partition": partition.number, "checkpoint": state.name, "next_event": state.offset, "again": again}


def _chosen(place: Place, partition: Partition, name: int | None) -> int:
    names = place.store.offsets(partition)
    if not names or (name is not None and name not in names):
        what = "no checkpoint" if name is None else f"no checkpoint {name}"
        raise CheckpointError(f"there is {what} of {partition}; there are: {', '.join(map(str, names)) or 'none'}")
    return names[0] if name is None else name
