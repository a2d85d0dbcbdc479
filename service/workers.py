"""`nnstream serve --workers N`: processes of one consumer group, and this one, which watches over them.

Kafka shares the partitions out among them. A worker that somebody ends is started again; one that ends with an error
of its own would only do so again, so all end with its exit code.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import structlog

from service.errors import ServiceError
from service.logs import set_up_logs
from service.settings import LogSettings

log = structlog.get_logger()

_LOOK_SECONDS = 0.2
_REST_SECONDS = 1.0  # before a worker is started again


class WorkerEndedError(ServiceError):
    """A worker ended by itself; what was wrong it has said."""

    def __init__(self, number: int, code: int) -> None:
        super().__init__(f"worker {number} ended with exit code {code}; see what it said above")
        self.exit_code = code


class Workers:
    """Keeps so many workers running.

    Args:
        config: the file with their settings.
        count: of workers, at least 1.
        launch: starts one by its number.
    """

    def __init__(
        self, config: Path, count: int, launch: Callable[[Path, int], "subprocess.Popen[bytes]"] | None = None
    ) -> None:
        self._config, self._launch = config, launch or _started
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._count, self._stopping = count, threading.Event()

    def stop(self) -> None:
        """Ask everything to end; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Go on until `stop` is called; then wait until each has handed over its partitions.

        Raises:
            WorkerEndedError: one ended by itself.
        """
        try:
            for number in range(self._count):
                self._running[number] = self._launch(self._config, number)
            while not self._stopping.wait(_LOOK_SECONDS):
                for number, process in list(self._running.items()):
                    self._look(number, process)
        finally:
            for process in self._running.values():
                process.terminate()
            for process in self._running.values():
                process.communicate()

    def _look(self, number: int, process: "subprocess.Popen[bytes]") -> None:
        code = process.poll()
        if code is None:
            return
        process.communicate()
        if code > 0:
            raise WorkerEndedError(number, code)
        log.warning("a worker was ended; starting it again", worker=number, signal=-code or None)
        if not self._stopping.wait(_REST_SECONDS):
            self._running[number] = self._launch(self._config, number)


def _started(config: Path, number: int) -> "subprocess.Popen[bytes]":
    """Start a worker that stops when its standard input ends: also when this process is no more."""
    command = [sys.executable, "-m", "service", "serve", str(config), "--worker", str(number)]
    return subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603  # our own command line


def run_workers(config: Path, settings: LogSettings, count: int) -> None:
    """Run workers until SIGTERM or SIGINT, with a log of their own; raises like `Workers.run`."""
    set_up_logs(settings)
    workers = Workers(config, count)

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        workers.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    workers.run()


def when_orphaned(act: Callable[[], None]) -> None:
    """Call `act` once standard input ends."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # not through `sys.stdin`, whose lock Python wants when it ends
        act()

    threading.Thread(target=wait, name="parent", daemon=True).start()
