"""Results out through kafka-python: at least once, or in transactions.

A `send` answers with a future: they are kept, and a commit looks at every one. A transaction's calls wait for the
broker without an end of their own: each runs on a thread, and a broker that does not answer in time counts as gone.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import Any

import structlog
from kafka import KafkaProducer
from kafka import errors as kafka_errors

from service.adapters.kafka_python.connection import (
    LINGER_MS,
    PATIENCE_SECONDS,
    close_producer,
    committable,
    connection,
    named,
)
from service.adapters.words import LARGEST_REQUEST_BYTES, LAST_PATIENCE_SECONDS, without_transactions
from service.errors import BrokerError, StartOverError
from service.positions import Offsets, Position
from service.records import Outgoing, Partition
from service.settings import KafkaSettings

log = structlog.get_logger()


class KafkaPythonPublisher:
    """An idempotent producer; implements `service.publish.Publisher`, at least once."""

    identity: str | None = None

    def __init__(self, settings: KafkaSettings, **options: Any) -> None:
        self._settings = settings
        self._sent: list[tuple[Any, Outgoing]] = []
        with named("connecting the producer", settings):
            self._producer = KafkaProducer(
                **connection(settings),
                linger_ms=LINGER_MS[settings.profile],
                batch_size=256 * 1024,
                max_request_size=LARGEST_REQUEST_BYTES,
                compression_type=settings.compression,
                **options,
            )

    def fence(self, owner: str) -> None:  # noqa: D102
        with named(f"ending what {owner} left open", self._settings):
            successor = KafkaProducer(**connection(self._settings), transactional_id=owner)
            try:
                successor.init_transactions()
            finally:
                close_producer(successor, seconds=1)

    def send(self, records: Sequence[Outgoing]) -> None:  # noqa: D102
        send, sent = self._producer.send, self._sent
        with named("publishing", self._settings):
            for record in records:
                topic, partition, key, value, headers, at = record
                sent.append((send(topic, value, key, list(headers), partition, at), record))

    def flush(self) -> None:  # noqa: D102
        with named("waiting for acknowledgements", self._settings):
            self._producer.flush(PATIENCE_SECONDS)  # its own end would be two minutes after the network is back
            sent, self._sent = self._sent, []
            for future, record in sent:
                if future.exception is not None:
                    log.error("not acknowledged", topic=record.topic, bytes=len(record.value or b""))
                    raise future.exception

    def commit(self, positions: Mapping[Partition, Position], offsets: Offsets) -> None:  # noqa: D102
        self.flush()
        offsets.commit(positions)

    def close(self) -> None:  # noqa: D102
        close_producer(self._producer, seconds=10)


class KafkaPythonTransactions(KafkaPythonPublisher):
    """A transactional producer; implements `service.publish.Publisher`, exactly once.

    Args:
        settings: the connection.
        identity: the transactional id; whoever comes with the same ends what its predecessor left open.
        timeout_ms: after which the broker ends a transaction of a worker that is silent.
    """

    def __init__(self, settings: KafkaSettings, identity: str, timeout_ms: int) -> None:
        super().__init__(settings, transactional_id=identity, transaction_timeout_ms=timeout_ms)
        self.identity = identity
        self._open = False
        try:
            with named("preparing transactions", settings):
                self._producer.init_transactions()
        except BaseException as error:
            self.close()
            if isinstance(error.__cause__, kafka_errors.UnsupportedVersionError):
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
            self._in_time(
                lambda: self._producer.send_offsets_to_transaction(committable(positions), offsets.membership)
            )
            self._in_time(self._producer.commit_transaction)
        self._open = False

    def _in_time(self, call: Callable[[], None], seconds: float = PATIENCE_SECONDS) -> None:
        done: Future[None] = Future()

        def run() -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001  # goes to whoever waits
                done.set_exception(error)
            else:
                done.set_result(None)

        # no thread of an executor: the process would wait at its end for a call that may never come back
        threading.Thread(target=run, name="transactions", daemon=True).start()
        try:
            done.result(seconds)
        except FutureTimeoutError as error:
            self._open = False  # the call still runs: whoever comes next with this identity ends the transaction
            raise StartOverError(
                f"ending a transaction: no answer from Kafka at {self._settings.bootstrap_servers} "
                f"within {seconds:.0f} s; check that it runs"
            ) from error

    def close(self) -> None:
        """Drop the connection; an open transaction is aborted, by us or, if Kafka is away, by whoever comes next."""
        with suppress(BrokerError), named("aborting a transaction", self._settings):
            if self._open:
                self._in_time(self._producer.abort_transaction, LAST_PATIENCE_SECONDS)
        close_producer(self._producer, seconds=1)
