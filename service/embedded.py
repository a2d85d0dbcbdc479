"""A throw-away broker for `nnstream demo`: speaks the Kafka protocol, keeps nothing, needs no Java and no Docker.

It is noida-db, a single binary that pip installs (`nnstream[demo]`). It is no Kafka: it loses what it has not yet
saved when it is killed, and its transactions are not sound. Exactly what a demo may be, and nothing else.
"""

import contextlib
import ctypes
import importlib.util
import signal
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
_STOP_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1


class EmbeddedBroker:
    """A broker on a free loopback port for as long as the context lasts.

    Raises:
        EmbeddedBrokerMissingError: it is not installed.
        EmbeddedBrokerError: it did not start; the message holds the end of its log.
    """

    def __init__(self) -> None:
        self._binary = _find_binary()
        self._directory = tempfile.TemporaryDirectory(prefix="nnstream-demo-", ignore_cleanup_errors=True)
        self._log = Path(self._directory.name) / "broker.log"
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Return host:port."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        command = [
            str(self._binary), "start", "--only", "kafka", "--host", "127.0.0.1",
            "--kafka-port", str(self._port), "--data-dir", f"{self._directory.name}/data",
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own binary
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is for the service, which drains into the broker
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # no threads yet
            )
        try:
            self._wait_until_it_listens(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return
            time.sleep(0.02)
        tail = self._log.read_text(errors="replace")[-2000:]
        raise EmbeddedBrokerError(
            f"the embedded broker did not start ({self._binary}):\n{tail}\n"
            "Use a Kafka of your own instead: nnstream serve CONFIG"
        )

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._directory.cleanup()


def _find_binary() -> Path:
    found = importlib.util.find_spec("noida_db")
    if found is None or found.origin is None:
        raise EmbeddedBrokerMissingError(
            'the broker of the demo is not installed; install it with: pip install "nnstream[demo]"'
        )
    return Path(found.origin).with_name("noida-db")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """Have the kernel end the broker when this process ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
