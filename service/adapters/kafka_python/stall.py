"""Notices a client that gives nothing though events wait: it does not ask again for an answer that was lost."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kafka import errors as kafka_errors

from service.adapters.kafka_python.connection import PATIENCE_SECONDS
from service.deadline import Deadline
from service.errors import StartOverError

_ANSWER_MS = 5_000


class Stall:
    """Looks at a consumer's places now and then.

    Args:
        consumer: to look at.
        clock: seconds, monotonic.
    """

    def __init__(self, consumer: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._consumer = consumer
        self._deadline = Deadline(PATIENCE_SECONDS, clock)
        self._before: dict[Any, int] = {}

    def look(self) -> None:
        """Look, where it is time to.

        Raises:
            StartOverError: events wait at the same place as they did the last time.
        """
        if not self._deadline.expired():
            return
        before, self._before = self._before, {}
        with suppress(kafka_errors.KafkaError):  # Kafka is away: nothing could come
            self._before = self._behind()
        self._deadline.restart()
        for tp, place in self._before.items():
            if before.get(tp) == place:
                raise StartOverError(
                    f"reading events: {tp.topic}-{tp.partition} has more from offset {place} on, "
                    f"but for {PATIENCE_SECONDS:.0f} s the client has given none of it"
                )

    def _behind(self) -> dict[Any, int]:
        """Return the place in each partition that has more."""
        flowing = list(self._consumer.assignment() - self._consumer.paused())
        ends = self._consumer.end_offsets(flowing, timeout_ms=_ANSWER_MS) if flowing else {}
        places = {tp: self._consumer.position(tp, timeout_ms=_ANSWER_MS) for tp in ends}
        return {tp: place for tp, place in places.items() if place is not None and place < ends[tp]}
