"""Results out through librdkafka: at least once, or in transactions.

Only what is not acknowledged comes back as a callback, within `flush`; every call that waits has an end.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from service.adapters.librdkafka.connection import (
    LINGER_MS,
    PATIENCE_SECONDS,
    committable,
    connection,
    named,
    translated,
)  # fmt: skip
from service.adapters.librdkafka.statistics import told
from service.adapters.words import LARGEST_REQUEST_BYTES, LAST_PATIENCE_SECONDS, without_transactions
from service.client_statistics import ClientStatistics, ignore
from service.errors import BrokerError, StartOverError
from service.positions import Offsets, Position
from service.records import Outgoing, Partition
from service.settings import KafkaSettings

log = structlog.get_logger()

_FULL_QUEUE_SECONDS = 0.05


class LibrdkafkaPublisher:
    """An idempotent producer; implements `service.publish.Publisher`, at least once."""

    identity: str | None = None

    def __init__(
        self,
        settings: KafkaSettings,
        note: Callable[[ClientStatistics], None] = ignore,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings = settings
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {
                **connection(settings),
                **told("publisher", note),
                "enable.idempotence": True,
                "linger.ms": LINGER_MS[settings.profile],
                "batch.size": 2**20,
                "message.max.bytes": LARGEST_REQUEST_BYTES,
                "queue.buffering.max.messages": 100_000,
                "queue.buffering.max.kbytes": 2**17,
                "compression.type": settings.compression or "none",
                "partitioner": "murmur2_random",  # as in Java and in kafka-python
                "delivery.report.only.error": True,
                "on_delivery": self._not_delivered,
                **(options or {}),
            }
        )

    def _not_delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            log.error("not acknowledged", topic=message.topic(), bytes=len(message.value() or b""))
            self._failed = self._failed or error

    def fence(self, owner: str) -> None:  # noqa: D102
        with named(f"ending what {owner} left open", self._settings):
            successor = Producer({**connection(self._settings), "transactional.id": owner})
            successor.init_transactions(PATIENCE_SECONDS)

    def send(self, records: Sequence[Outgoing]) -> None:  # noqa: D102
        produce = self._producer.produce
        with named("publishing", self._settings):
            for topic, partition, key, value, headers, at in records:
                place = -1 if partition is None else partition
                # by position, as the client reads them fastest: no callback, under neither of its names
                args: tuple[Any, ...] = (topic, value, key, place, None, None, at, list(headers) or None)
                try:
                    produce(*args)
                except BufferError:
                    self._when_there_is_room(args)
            self._producer.poll(0)

    def _when_there_is_room(self, args: tuple[Any, ...]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._producer.poll(_FULL_QUEUE_SECONDS)
            with suppress(BufferError):
                self._producer.produce(*args)
                return
        raise self._no_answer("publishing")

    def flush(self) -> None:  # noqa: D102
        with named("waiting for acknowledgements", self._settings):
            left = self._producer.flush(PATIENCE_SECONDS)
        failed, self._failed = self._failed, None
        if failed is not None:
            raise translated(failed, "waiting for acknowledgements", self._settings.bootstrap_servers)
        if left:
            raise self._no_answer("waiting for acknowledgements")

    def _no_answer(self, action: str) -> StartOverError:
        return StartOverError(
            f"{action}: no answer from Kafka at {self._settings.bootstrap_servers} "
            f"within {PATIENCE_SECONDS:.0f} s; check that it runs"
        )

    def commit(self, positions: Mapping[Partition, Position], offsets: Offsets) -> None:  # noqa: D102
        self.flush()
        offsets.commit(positions)

    def close(self) -> None:  # noqa: D102
        with suppress(KafkaException):
            self._producer.flush(LAST_PATIENCE_SECONDS)
        self._drop()

    def _drop(self) -> None:
        """Forget what was not acknowledged; else the client would go on trying."""
        with suppress(KafkaException):
            self._producer.purge()
            self._producer.flush(0)


class LibrdkafkaTransactions(LibrdkafkaPublisher):
    """A transactional producer; implements `service.publish.Publisher`, exactly once.

    Args:
        settings: the connection.
        identity: the transactional id; whoever comes with the same ends what its predecessor left open.
        timeout_ms: after which the broker ends a transaction of a worker that is silent.
        note: told about the client now and then.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        identity: str,
        timeout_ms: int,
        note: Callable[[ClientStatistics], None] = ignore,
    ) -> None:
        options = {
            "transactional.id": identity,
            "transaction.timeout.ms": timeout_ms,
            "message.timeout.ms": timeout_ms,
        }
        super().__init__(settings, note, options)
        self.identity = identity
        self._open = False
        try:
            with named("preparing transactions", settings):
                self._producer.init_transactions(PATIENCE_SECONDS)
        except BrokerError as error:
            if _unsupported(error.__cause__):
                raise without_transactions(settings.bootstrap_servers, error.__cause__) from error
            raise

    def send(self, records: Sequence[Outgoing]) -> None:  # noqa: D102
        if records:
            self._begin()
            super().send(records)

    def _begin(self) -> None:
        if not self._open:
            with named("beginning a transaction", self._settings):
                self._producer.begin_transaction()
            self._open = True

    def commit(self, positions: Mapping[Partition, Position], offsets: Offsets) -> None:  # noqa: D102
        self._begin()
        self.flush()
        with named("committing a transaction", self._settings):
            self._producer.send_offsets_to_transaction(committable(positions), offsets.membership, PATIENCE_SECONDS)
            self._producer.commit_transaction(PATIENCE_SECONDS)
        self._open = False

    def close(self) -> None:
        """Drop the connection; an open transaction is aborted, by us or, if Kafka is away, by whoever comes next."""
        with suppress(KafkaException):
            if self._open:
                self._producer.abort_transaction(LAST_PATIENCE_SECONDS)
        self._drop()


def _unsupported(error: BaseException | None) -> bool:
    codes = {KafkaError._UNSUPPORTED_FEATURE, KafkaError.UNSUPPORTED_VERSION}  # noqa: SLF001
    return isinstance(error, KafkaException) and error.args[0].code() in codes
