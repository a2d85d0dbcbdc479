"""What kafka-python's clients share, without a broker."""

import logging

from service.adapters.kafka_python.connection import in_silence


def test_a_client_is_closed_without_a_word(caplog):
    network = logging.getLogger("kafka.net.selector")
    with in_silence():
        network.error("a socket that was closed")
    network.error("a socket that is missed")
    assert caplog.messages == ["a socket that is missed"]
