"""A worker that ends itself, as SIGKILL would, at one step of the commit protocol.

    python steps.py CONFIG POINT COUNT

It is built as `nnstream serve` builds it; the object whose call is to be the last is wrapped from outside.
"""

import os
import signal
import sys
from pathlib import Path

from service.settings import load_settings
from service.wiring import build_worker

# Where it ends: which part of the connection, which call of it, before or after that call.
POINTS = {
    "before a checkpoint is written (1)": ("store", "save", "before"),
    "after a checkpoint is written (1)": ("store", "save", "after"),
    "before predictions are durable (2)": ("publisher", "flush", "before"),
    "predictions sent, offsets not (2)": ("publisher", "flush", "after"),
    "offsets sent, not committed (3)": ("producer", "send_offsets_to_transaction", "after"),
    "committing (3)": ("producer", "commit_transaction", "before"),
    "committed, and does not know it yet (3)": ("producer", "commit_transaction", "after"),
    "before an old checkpoint is removed (4)": ("store", "delete", "before"),
    "an old checkpoint removed (4)": ("store", "delete", "after"),
    "while polling": ("source", "poll", "after"),
    "while taking over": ("source", "committed", "after"),
    "while loading a checkpoint": ("store", "load", "after"),
}


def ending(call, when, count):
    """Wrap a call so that the process ends before or after it, the `count`-th time."""
    left = [count]

    def wrapped(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*args, **kwargs)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


class Watched:
    """An object of C, whose own calls nobody can replace."""

    def __init__(self, watched):
        self._watched = watched

    def __getattr__(self, name):
        return getattr(self._watched, name)


def main():
    config, point, count = sys.argv[1:]
    part, call, when = POINTS[point]
    worker = build_worker(load_settings(Path(config)))
    connect = worker._connect

    def connect_to_die():
        connection = connect()
        if part == "producer":
            connection.publisher._producer = Watched(connection.publisher._producer)
            target = connection.publisher._producer
        else:
            target = getattr(connection, part)
        setattr(target, call, ending(getattr(target, call), when, int(count)))
        return connection

    worker._connect = connect_to_die
    worker.run()


if __name__ == "__main__":
    main()
