"""What kafka-python's clients share, without a broker."""

import logging

import pytest
from kafka import TopicPartition
from kafka import errors as kafka_errors

from service.adapters.kafka_python.connection import PATIENCE_SECONDS, in_silence
from service.adapters.kafka_python.stall import Stall
from service.errors import StartOverError
from service.testing import FakeClock

ONE, OTHER = TopicPartition("events", 0), TopicPartition("events", 1)


def test_a_client_is_closed_without_a_word(caplog):
    network = logging.getLogger("kafka.net.selector")
    with in_silence():
        network.error("a socket that was closed")
    network.error("a socket that is missed")
    assert caplog.messages == ["a socket that is missed"]


class Consumer:
    """Stands where it is put."""

    def __init__(self, places, ends):
        self.places, self.ends, self.held, self.away = places, ends, set(), False

    def assignment(self):
        return set(self.places)

    def paused(self):
        return self.held

    def position(self, tp, **_):
        return self.places[tp]

    def end_offsets(self, partitions, **_):
        if self.away:
            raise kafka_errors.KafkaTimeoutError
        return {tp: self.ends[tp] for tp in partitions}


@pytest.fixture
def watched():
    consumer, clock = Consumer({ONE: 5, OTHER: 7}, {ONE: 5, OTHER: 7}), FakeClock()
    return consumer, clock, Stall(consumer, clock)


def later(clock, stall, times=1):
    for _ in range(times):
        clock.advance(PATIENCE_SECONDS)
        stall.look()


def test_a_client_that_gives_nothing_though_events_wait_is_noticed(watched):
    consumer, clock, stall = watched
    later(clock, stall, 3)
    consumer.ends[OTHER] = 9
    later(clock, stall)
    stall.look()  # it is too soon to tell
    with pytest.raises(StartOverError, match="events-1 has more from offset 7 on"):
        later(clock, stall)


def test_one_that_goes_on_or_may_not_is_left_alone(watched):
    consumer, clock, stall = watched
    consumer.ends = {ONE: 100, OTHER: 100}
    consumer.held = {OTHER}
    for _ in range(5):
        later(clock, stall)
        consumer.places[ONE] += 1


def test_while_kafka_is_away_nothing_can_come(watched):
    consumer, clock, stall = watched
    consumer.ends[ONE] = 9
    later(clock, stall)
    consumer.away = True
    later(clock, stall, 3)
    consumer.away = False
    later(clock, stall)
    with pytest.raises(StartOverError):
        later(clock, stall)
