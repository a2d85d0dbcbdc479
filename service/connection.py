"""Everything a worker holds that a broken connection takes with it."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from service.checkpoint import CheckpointStore
from service.errors import ServiceError
from service.publish import Publisher
from service.source import Source


@dataclass(frozen=True)
class Connection:
    """To Kafka, and to where checkpoints lie.

    Attributes:
        source: records in.
        publisher: results out.
        store: of checkpoints.
    """

    source: Source
    publisher: Publisher
    store: CheckpointStore

    def close(self) -> None:
        """Leave the group in good order, handing over what is owned; then drop the rest."""
        with ExitStack() as closing:
            closing.callback(self.store.close)
            closing.callback(self.publisher.close)
            closing.callback(self.source.close)

    def abandon(self) -> None:
        """Drop everything after a failure, which must not be hidden by what fails now."""
        for each in (self.publisher, self.source, self.store):
            with suppress(ServiceError):
                each.close()
