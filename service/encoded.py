"""Predictions in the formats of a registry: within the service they are JSON, and here they go out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from service.errors import DataError
from service.formats.own_schemas import within_reach
from service.positions import Offsets, Position
from service.publish import Publisher
from service.records import Outgoing, Partition

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class EncodingPublisher:
    """A publisher that writes predictions by a schema, and hands all else on; implements `Publisher`.

    Args:
        publisher: where results go.
        topic: of the predictions.
        write: a prediction as JSON holds it.
    """

    def __init__(self, publisher: Publisher, topic: str, write: Callable[[dict[str, Any]], bytes]) -> None:
        self.identity = publisher.identity
        self._publisher, self._topic, self._write = publisher, topic, write

    def fence(self, owner: str) -> None:  # noqa: D102
        self._publisher.fence(owner)

    def send(self, records: Sequence[Outgoing]) -> None:  # noqa: D102
        self._publisher.send([
            each._replace(value=self._encoded(each.value)) if each.topic == self._topic and each.value else each
            for each in records
        ])  # fmt: skip

    def commit(self, positions: Mapping[Partition, Position], offsets: Offsets) -> None:  # noqa: D102
        self._publisher.commit(positions, offsets)

    def close(self) -> None:  # noqa: D102
        self._publisher.close()

    def _encoded(self, value: bytes) -> bytes:
        prediction = _decode(value)
        try:
            return self._write(prediction)
        except DataError:
            return self._write(within_reach(prediction))
