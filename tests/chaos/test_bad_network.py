"""The network between the service and its broker is slow, breaks, and is away; the broker itself is well."""

import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from harness import Kafka, Service, generated
from judge import assert_nothing_lost_nothing_twice, wait_settled

sys.path.insert(0, str(Path(__file__).parent))

from relay import Relay

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(900)]

CHUNK = 2_000
SETTINGS = {
    "kafka": {"session_timeout_ms": 3_000},
    "delivery": {"commit_interval_ms": 50},
    "checkpoint": {"every_events": 1_000, "url": None},
}


@pytest.fixture
def relay(own_kafka_broker):
    with Relay(own_kafka_broker.relay_port, own_kafka_broker.relayed_port) as relay:
        yield relay


@pytest.fixture
def service(own_kafka_broker, relay, compiled, tmp_path, client):
    """Events come in and predictions are read directly; only the service goes through the relay."""
    with closing(Kafka(own_kafka_broker.bootstrap_servers)) as kafka:
        service = Service(kafka, tmp_path, "stream", SETTINGS, client=client)
        service.set({"kafka": {"bootstrap_servers": f"127.0.0.1:{own_kafka_broker.relay_port}"}})
        yield service
        service.kill()


def far_away(relay, _):
    """A tenth of a second there and a tenth back."""
    relay.delay_seconds = 0.1
    time.sleep(4)
    relay.delay_seconds = 0.0


def in_pieces(relay, _):
    """No message comes in one piece."""
    relay.piece_bytes = 100
    time.sleep(2)
    relay.piece_bytes = 2**16


def cut_again_and_again(relay, _):
    for _ in range(5):
        relay.cut()
        time.sleep(0.3)


def half_closed(relay, _):
    relay.half_close()


def held(relay, seconds):
    """Nothing is refused, nothing is answered, nothing is lost."""
    relay.hold()
    time.sleep(seconds)
    relay.release()


def away(relay, seconds):
    relay.refuse()
    time.sleep(seconds)
    relay.accept()


def forgotten(relay, _):
    """What is sent on the old connections is lost, and nobody says so; new ones work."""
    relay.lose()


@pytest.mark.parametrize("client", ["kafka-python", pytest.param("librdkafka", marks=pytest.mark.long_chaos)])
@pytest.mark.parametrize("troubles", [
    pytest.param([far_away, in_pieces, cut_again_and_again, half_closed, held], id="slow and broken"),
    pytest.param([away], id="away"),
    pytest.param([forgotten, held, away, forgotten], id="silent", marks=pytest.mark.long_chaos),
])  # fmt: skip
def test_a_bad_network_under_load(service, relay, dose, troubles):
    events = generated(CHUNK * (len(troubles) + 1), seed=21)
    service.start()
    for number, trouble in enumerate(troubles):
        service.produce(events[number * CHUNK : (number + 1) * CHUNK])
        service.wait_committed(number * CHUNK + CHUNK // 10)
        trouble(relay, dose.unreachable_seconds)
        service.wait_committed((number + 1) * CHUNK)
    service.produce(events[len(troubles) * CHUNK :])
    service.wait_committed(len(events))
    wait_settled(service)
    service.stop(quiet=False)
    assert relay.seen > len(troubles), "the service did not come through the relay"
    assert_nothing_lost_nothing_twice(service, [events])
