"""What all of librdkafka's clients share: their options, and errors in the service's own words."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from service import positions
from service.adapters import words
from service.errors import BrokerError, StartOverError
from service.positions import Position
from service.records import Partition
from service.settings import KafkaSettings

BOOTSTRAP_SECONDS = 20.0
PATIENCE_SECONDS = 30.0
LINGER_MS = {"latency": 0.1, "throughput": 5}  # without any, each record of a batch wakes the client's thread

_log = logging.getLogger("librdkafka")

_FENCED = {
    KafkaError._FENCED,  # noqa: SLF001  # librdkafka's own codes are public in spite of the underscore
    KafkaError._FATAL,  # noqa: SLF001  # the producer's, when its epoch is over
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001
}
_SILENT = {
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
    KafkaError.REQUEST_TIMED_OUT,
}
_PASSING = {
    KafkaError._STATE,  # noqa: SLF001
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
    KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
    KafkaError._WAIT_COORD,  # noqa: SLF001
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.INVALID_TXN_STATE,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    KafkaError.UNKNOWN_PRODUCER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.CONCURRENT_TRANSACTIONS,
}


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """Return the options that all of librdkafka's clients share."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "topic.metadata.refresh.interval.ms": 10_000,  # how late new partitions are noticed
        "log_level": 4,
        "logger": _log,
    }
    if settings.sasl_mechanism is not None:
        password = settings.password.get_secret_value() if settings.password is not None else ""
        options |= {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.username or "",
            "sasl.password": password,
        }
    if settings.ca_file is not None:
        options["ssl.ca.location"] = str(settings.ca_file)
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
    except KafkaException as error:
        raise translated(error.args[0], action, settings.bootstrap_servers) from error
    except SystemError as error:  # confluent-kafka 2.16 loses the exception that says that a producer is at its end
        raise StartOverError(
            f"{action}: the client of Kafka at {settings.bootstrap_servers} is at its end: "
            "another worker has taken over, or the broker has forgotten it"
        ) from error


def translated(error: KafkaError, action: str, servers: str) -> BrokerError:
    """Return an error of the client in the service's own words."""
    code, said = error.code(), f"{error.name()}: {error.str()}"
    if code in _FENCED:
        return words.fenced(action, said)
    if code in _SILENT:
        return words.silent(action, servers, said)
    if code in _PASSING or error.retriable() or error.txn_requires_abort():
        return words.passing(action, servers, said)
    return words.refused(action, servers, said)


def committable(done: Mapping[Partition, Position]) -> list[TopicPartition]:
    """Return positions as the client wants them committed."""
    return [
        TopicPartition(partition.topic, partition.number, position.offset, positions.encode(position))
        for partition, position in done.items()
    ]
