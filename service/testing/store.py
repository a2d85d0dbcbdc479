"""Checkpoints in memory."""

from service.checkpoint import Stored
from service.errors import CheckpointError
from service.records import Partition
from service.testing.fake import Fake, Journal


class MemoryStore(Fake):
    """Checkpoints in a dict; implements `service.checkpoint.CheckpointStore`.

    Args:
        journal: notes ("save", partition, offset), ("load", …), ("delete", …) and ("offsets", partition).

    Attributes:
        data: bytes of each checkpoint by partition and offset; may be changed to play damage.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.data: dict[tuple[Partition, int], bytes] = {}

    def save(self, partition: Partition, offset: int, data: bytes) -> None:
        """Store a checkpoint."""
        self.called("save", partition, offset)
        self.data[partition, offset] = data

    def offsets(self, partition: Partition) -> list[int]:
        """Return the offsets of all checkpoints of a partition, newest first."""
        self.called("offsets", partition)
        return sorted((offset for owner, offset in self.data if owner == partition), reverse=True)

    def describe(self, partition: Partition, offset: int) -> Stored:
        """Return the size of a checkpoint."""
        return Stored(len(self.load(partition, offset)), None)

    def load(self, partition: Partition, offset: int) -> bytes:
        """Return a checkpoint."""
        self.called("load", partition, offset)
        if (partition, offset) not in self.data:
            raise CheckpointError(f"there is no checkpoint of {partition} at offset {offset}")
        return self.data[partition, offset]

    def delete(self, partition: Partition, offset: int) -> None:
        """Remove a checkpoint; one that is gone already is as good."""
        self.called("delete", partition, offset)
        self.data.pop((partition, offset), None)

    def close(self) -> None:
        """Drop the connection."""
        self.called("close_store")
