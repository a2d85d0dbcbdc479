"""Results out, into memory."""

from collections.abc import Mapping, Sequence

from service.positions import Offsets, Position
from service.records import Outgoing, Partition
from service.testing.fake import Fake, Journal


class MemoryPublisher(Fake):
    """Keeps what it is given; implements `service.publish.Publisher`.

    Args:
        journal: notes ("fence", owner), ("send", count), ("flush",) and ("close_publisher",).
        identity: of a publisher with transactions: a commit that fails loses what was sent. None flushes first, and
            what was flushed stays.

    Attributes:
        pending: sent since the last commit; a crash loses it.
        durable: everything that counts, in order.
    """

    def __init__(self, journal: Journal | None = None, identity: str | None = None) -> None:
        super().__init__(journal)
        self.identity = identity
        self.pending: list[Outgoing] = []
        self.durable: list[Outgoing] = []

    def fence(self, owner: str) -> None:
        """End what a predecessor left open."""
        self.called("fence", owner)

    def send(self, records: Sequence[Outgoing]) -> None:
        """Hand records over."""
        self.called("send", len(records))
        self.pending += records

    def commit(self, positions: Mapping[Partition, Position], offsets: Offsets) -> None:
        """Make them durable, with the positions or before them."""
        self.called("flush")
        if self.identity is None:
            self._settle()
        offsets.commit(positions)
        self._settle()

    def _settle(self) -> None:
        self.durable += self.pending
        self.pending = []

    def close(self) -> None:
        """Drop the connection."""
        self.called("close_publisher")

    def topic(self, topic: str) -> list[Outgoing]:
        """Return the durable records of one topic."""
        return [record for record in self.durable if record.topic == topic]
