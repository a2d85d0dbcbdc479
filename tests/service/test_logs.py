"""What of the libraries' logs is passed on."""

import logging
import selectors
import socket
import sys

import pytest

from service.logs import worth_telling


def line(exc_info=None):
    return logging.LogRecord("kafka.net.selector", logging.ERROR, "", 1, "Unhandled exception in task", (), exc_info)


def raised(function):
    try:
        function()
    except Exception:
        return sys.exc_info()
    pytest.fail("nothing was raised")


def test_a_socket_that_was_closed_is_not_worth_a_line():
    ours = socket.socket()
    ours.close()
    assert not worth_telling(line(raised(lambda: selectors.DefaultSelector().register(ours, selectors.EVENT_READ))))


def test_all_else_is():
    assert worth_telling(line())
    assert worth_telling(line(raised(lambda: int("one"))))
    assert worth_telling(line(raised(lambda: 1 / 0)))
