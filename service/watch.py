"""Who looks on: told of every batch, changes nothing, and needs nothing of the stages."""

from collections.abc import Sequence
from typing import Any, Protocol

from service.records import Outgoing


class Watcher(Protocol):
    """Somebody who is shown what a task does; called once a batch from the worker's thread."""

    def published(self, records: Sequence[Outgoing]) -> None:
        """Take note of what was published, in order."""

    def scored(self, partition: int, labels: Sequence[Any], predictions: Sequence[Any]) -> None:
        """Take note of published predictions beside the labels that came for them; None where there is none."""


class Nobody:
    """A watcher that does not look."""

    def published(self, records: Sequence[Outgoing]) -> None:  # noqa: D102
        pass

    def scored(self, partition: int, labels: Sequence[Any], predictions: Sequence[Any]) -> None:  # noqa: D102
        pass
