"""A throw-away broker for `nnstream demo`: speaks the Kafka protocol, keeps nothing, needs no Java and no Docker.

It is noida-db, a single binary that pip installs (`nnstream[demo]`). It is no Kafka: it holds everything in memory,
its transactions are not sound, and it never gives up a group member that died without saying so. Exactly what a demo
may be, and nothing else.
"""

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from service.errors import EmbeddedBrokerError, EmbeddedBrokerMissingError

_START_SECONDS = 20.0
_HOST = "127.0.0.1"
_READY = re.compile(rf"^\s*kafka\s+{re.escape(_HOST)}:(\d+)\s*$", re.MULTILINE)
_USE_YOUR_OWN = "use a Kafka of your own instead: nnstream serve CONFIG"

# Asks the kernel (prctl 1, PR_SET_PDEATHSIG) to kill this process with its parent, unless that is gone already, and
# becomes the broker. A launcher rather than a preexec_fn, which may deadlock in a parent that has threads.
_DIE_WITH_PARENT = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedBroker:
    """A broker on a free loopback port for as long as the context lasts.

    It ends with the context, and on Linux also with the thread that entered it, even if the process is killed.
    Ctrl-C in the terminal does not reach it: the service drains into it first.

    Example:
        >>> with EmbeddedBroker() as broker:  # doctest: +SKIP
        ...     KafkaProducer(bootstrap_servers=broker.bootstrap_servers)

    Raises:
        EmbeddedBrokerMissingError: it is not installed.
        EmbeddedBrokerError: it did not start; the message holds the end of its log.
    """

    def __init__(self) -> None:
        self._binary = _find_binary()
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._cleanup = contextlib.ExitStack()

    @property
    def bootstrap_servers(self) -> str:
        """Return host:port; only within the context.

        Raises:
            EmbeddedBrokerError: it does not run.
        """
        if self._port is None:
            raise EmbeddedBrokerError("the embedded broker does not run; enter it first: with EmbeddedBroker() as …")
        return f"{_HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Return the process id of the broker; None when it does not run."""
        return None if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        if self._process is not None:
            raise EmbeddedBrokerError("the embedded broker runs already; make another one: EmbeddedBroker()")
        try:
            directory = Path(
                self._cleanup.enter_context(
                    tempfile.TemporaryDirectory(prefix="nnstream-broker-", ignore_cleanup_errors=True)
                )
            )
            log = directory / "broker.log"
            self._process = self._launch(directory / "data", log)
            self._port = self._wait_until_it_answers(self._process, log)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _launch(self, data: Path, log: Path) -> "subprocess.Popen[bytes]":
        command = [
            str(self._binary), "start", "--only", "kafka",
            "--host", _HOST, "--kafka-port", "0", "--data-dir", str(data),
        ]  # fmt: skip
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
        with log.open("wb") as output:
            try:
                return subprocess.Popen(  # noqa: S603  # our own binary
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # the terminal's Ctrl-C is for the service
                )
            except OSError as error:
                raise EmbeddedBrokerError(
                    f"the embedded broker cannot be run ({self._binary}): {error}; {_USE_YOUR_OWN}"
                ) from error

    def _wait_until_it_answers(self, process: "subprocess.Popen[bytes]", log: Path) -> int:
        """Return the port, which the broker chose itself (no other process can have taken it) and prints."""
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            found = _READY.search(log.read_text(errors="replace"))
            if found is not None:
                port = int(found[1])
                with contextlib.suppress(OSError), socket.create_connection((_HOST, port), timeout=1):
                    return port
            time.sleep(0.01)
        tail = log.read_text(errors="replace")[-2000:]
        raise EmbeddedBrokerError(f"the embedded broker did not start ({self._binary}):\n{tail}\n{_USE_YOUR_OWN}")

    def _stop(self) -> None:
        process, self._process, self._port = self._process, None, None
        if process is not None:
            process.kill()  # there is nothing that it should save
            process.wait()
        self._cleanup.close()


def _find_binary() -> Path:
    found = importlib.util.find_spec("noida_db")
    if found is None or found.origin is None:
        raise EmbeddedBrokerMissingError(
            'the broker of the demo is not installed; install it with: pip install "nnstream[demo]"'
        )
    return Path(found.origin).with_name("noida-db.exe" if sys.platform == "win32" else "noida-db")
