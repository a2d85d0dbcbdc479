"""The broker goes away under load, and comes back: the service waits, and goes on where it was committed."""

import os
import signal
import time
from contextlib import closing

import pytest
from hanging import end_hanging_transactions
from harness import Kafka, Service, generated
from judge import assert_nothing_lost_nothing_twice, wait_settled

pytestmark = [
    pytest.mark.integration,
    pytest.mark.chaos,
    pytest.mark.timeout(900),
    # kafka-python leaves the socket of a connection that was cut to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

COUNT = 16_000
SETTINGS = {
    "kafka": {"session_timeout_ms": 3_000},
    "delivery": {"commit_interval_ms": 50},
    "checkpoint": {"every_events": 2_000, "url": None},
}


@pytest.fixture
def service(own_kafka_broker, compiled, tmp_path, client):
    with closing(Kafka(own_kafka_broker.bootstrap_servers)) as kafka:
        service = Service(kafka, tmp_path, "stream", SETTINGS, client=client)
        yield service
        service.kill()


def restart(broker):
    broker.stop()
    broker.start()


def crash(broker):
    broker.kill()
    broker.start()
    end_hanging_transactions(broker.bootstrap_servers)


def freeze(broker, seconds):
    """Nothing is refused, nothing is answered."""
    os.kill(broker.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(broker.pid, signal.SIGCONT)


@pytest.mark.parametrize("client", ["kafka-python", pytest.param("librdkafka", marks=pytest.mark.long_chaos)])
def test_restarted_killed_and_frozen_under_load(service, own_kafka_broker, dose):
    troubles = [restart, crash, lambda broker: freeze(broker, dose.frozen_seconds)]
    events = generated(COUNT, seed=12)
    chunk = COUNT // (len(troubles) + 1)
    service.start()
    for number, trouble in enumerate(troubles):
        service.produce(events[number * chunk : (number + 1) * chunk])
        service.wait_committed(number * chunk + 500)
        trouble(own_kafka_broker)
        service.check()
    service.produce(events[len(troubles) * chunk :])
    service.wait_committed(COUNT)
    wait_settled(service)
    service.stop(quiet=False)
    assert_nothing_lost_nothing_twice(service, [events])
