"""What all of kafka-python's clients share: their options, and errors in the service's own words."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from service import positions
from service.adapters import words
from service.errors import BrokerError, ServiceError
from service.positions import Position
from service.records import Partition
from service.settings import KafkaSettings

BOOTSTRAP_MS = 20_000
REQUEST_MS = 15_000  # a connection that a router has forgotten is known by nothing but this silence
PATIENCE_SECONDS = 20.0  # longer than a request and its repetition on a new connection
_LONGEST_RECONNECT_PAUSE_MS = 1_000  # the client's own 30 s would go on long after the network is back
LINGER_MS = {"latency": 0, "throughput": 5}
_FORCED_CLOSE_SECONDS = 1.0
_NETWORK = [logging.getLogger(f"kafka.net.{part}") for part in ("selector", "transport", "connection", "manager")]

_FENCED = (
    kafka_errors.ProducerFencedError,
    kafka_errors.InvalidProducerEpochError,
    kafka_errors.InvalidProducerIdMappingError,
    kafka_errors.FencedInstanceIdError,
    kafka_errors.CommitFailedError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.UnknownMemberIdError,
)
_PASSING = (
    kafka_errors.RetriableError,
    kafka_errors.TransactionAbortedError,
    kafka_errors.InvalidTxnStateError,
    kafka_errors.OutOfOrderSequenceNumberError,
    kafka_errors.UnknownProducerIdError,
    kafka_errors.OffsetOutOfRangeError,
    kafka_errors.NoOffsetForPartitionError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.Cancelled,
)


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """Return the options that all of kafka-python's clients share."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "bootstrap_timeout_ms": BOOTSTRAP_MS,
        "request_timeout_ms": REQUEST_MS,
        "reconnect_backoff_max_ms": _LONGEST_RECONNECT_PAUSE_MS,
        "security_protocol": settings.security_protocol,
    }
    if settings.sasl_mechanism is not None:
        password = settings.password.get_secret_value() if settings.password is not None else None
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": password,
        }
    if settings.ca_file is not None:
        options["ssl_cafile"] = str(settings.ca_file)
    return options


@contextmanager
def named(action: str, settings: KafkaSettings) -> Iterator[None]:
    """Turn the client's errors into one that says what could not be done, and what to do.

    Raises:
        FencedError: somebody else has taken over.
        StartOverError: it may be better with a new connection.
        BrokerError: Kafka refuses, and would refuse again.
    """
    try:
        yield
    except kafka_errors.KafkaError as error:
        if isinstance(error.__cause__, ServiceError):  # raised in a callback, wrapped by the client
            raise error.__cause__ from error
        raise _translated(error, action, settings.bootstrap_servers) from error


def _translated(error: Any, action: str, servers: str) -> BrokerError:
    if isinstance(error, _FENCED):
        return words.fenced(action, repr(error))
    if isinstance(error, kafka_errors.KafkaTimeoutError):
        return words.silent(action, servers, str(error))
    # What the client raises once it knows that its transactions are over has no class of its own.
    if isinstance(error, _PASSING) or type(error) in (kafka_errors.KafkaError, kafka_errors.IllegalStateError):
        return words.passing(action, servers, repr(error))
    return words.refused(action, servers, repr(error))


@contextmanager
def in_silence() -> Iterator[None]:
    """Close a client without a word: its network wonders, with a traceback, at sockets that it has just closed."""
    for logger in _NETWORK:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in _NETWORK:
            logger.disabled = False


def close_producer(producer: Any, seconds: float) -> None:
    """Close a producer; what it cannot write within `seconds` is dropped.

    Its own `close` gives up with an error then, and leaves a thread that tries to write forever.
    """
    try:
        producer.flush(seconds)
    except kafka_errors.KafkaError:
        producer._sender.force_close()  # noqa: SLF001  # nothing that is public drops what waits
        producer._sender.join(_FORCED_CLOSE_SECONDS)  # noqa: SLF001
    with suppress(kafka_errors.KafkaError), in_silence():
        producer.close(timeout=seconds)


def committable(done: Mapping[Partition, Position]) -> dict[Any, Any]:
    """Return positions as the client wants them committed."""
    return {
        TopicPartition(*partition): OffsetAndMetadata(position.offset, positions.encode(position), -1)
        for partition, position in done.items()
    }


def position_of(found: Any) -> Position | None:
    """Return a committed offset of the client as a position; None where nothing was committed."""
    return None if found is None or found.offset < 0 else positions.decode(found.offset, found.metadata)
