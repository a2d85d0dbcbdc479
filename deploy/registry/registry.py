"""A real schema registry for the tests: Apicurio with Confluent's interface, one process, 127.0.0.1 only.

Needs Java 17 and Maven on the PATH. The program (140 MB) comes from Maven, once, into ``build/registry-<version>``.
Then::

    with SchemaRegistryServer(Path("/tmp/registry")) as registry:
        print(registry.url)  # http://127.0.0.1:24713/apis/ccompat/v7
        registry.kill()   # SIGKILL, as a crash would
        registry.start()  # same address, same schemas

By hand: ``python deploy/registry/registry.py [--port PORT] [--data DIR]`` runs it until Ctrl-C.
"""

import argparse
import contextlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

_VERSION = "2.5.11.Final"
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{_VERSION}:tar.gz:all"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_BUILD = Path(__file__).resolve().parents[2] / "build"

_START_TIMEOUT_SECONDS = 90
_STOP_TIMEOUT_SECONDS = 30
_POLL_SECONDS = 0.05

# A short life on two cores, as with the broker: the first compiler tier starts it in 2 s instead of 5 s.
_JVM_FLAGS = ("-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")

# Below the ports that Linux gives to outgoing connections: nobody else gets its port while it is down.
_PORTS = range(20_000, 32_000)


class SchemaRegistryServerError(RuntimeError):
    """The registry could not be installed, started or stopped; the message ends with what it printed."""


class SchemaRegistryServer:
    """One Apicurio Registry process on a loopback port; its schemas live as long as the directory.

    Args:
        data_dir: where its database and its log lie; made if missing.
        port: to listen on; by default a free one.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None) -> None:
        self._data_dir = data_dir.resolve()
        self._port = _free_port() if port is None else port
        self._log_path = self._data_dir / "registry.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of the interface that Confluent's clients speak."""
        return f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @staticmethod
    def install() -> Path:
        """Unpack the registry from Maven into the build directory, unless it is there.

        Returns:
            The directory with its jars.

        Raises:
            SchemaRegistryServerError: Maven or Java is missing, or Maven failed.
        """
        place = _BUILD / f"registry-{_VERSION}"
        if place.is_dir():
            return place
        for tool in ("java", "mvn"):
            if shutil.which(tool) is None:
                raise SchemaRegistryServerError(f"{tool} is not on the PATH: install Java 17 and Maven 3.8 or newer")
        _BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="registry-", dir=_BUILD) as directory:
            unpacked = Path(directory) / "unpacked"
            command = ["mvn", "-q", "-B", f"{_PLUGIN}:unpack", f"-Dartifact={_ARTIFACT}"]
            done = subprocess.run(
                [*command, f"-DoutputDirectory={unpacked}"],
                cwd=directory, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            if done.returncode != 0:
                raise SchemaRegistryServerError(f"exit code {done.returncode} from Maven\n{done.stdout}")
            try:
                unpacked.rename(place)
            except OSError:
                if not place.is_dir():  # otherwise another process was faster, with the same program
                    raise
        return place

    def start(self) -> None:
        """Start the registry and wait until it answers.

        Raises:
            SchemaRegistryServerError: it runs already, it died, or it gave no answer within 90 seconds.
        """
        if self.is_running:
            raise SchemaRegistryServerError(f"the registry at {self.url} runs already: stop() it first")
        place = self.install()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "java", *_JVM_FLAGS, f"-Djava.io.tmpdir={self._data_dir}", "-Dquarkus.http.host=127.0.0.1",
                    f"-Dquarkus.http.port={self._port}",
                    # what it has said is on disk: a kill loses nothing
                    f"-Dquarkus.datasource.jdbc.url=jdbc:h2:file:{self._data_dir / 'schemas'};WRITE_DELAY=0",
                    "-jar", place / f"apicurio-registry-app-{_VERSION}-runner.jar",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the registry in good order; nothing happens when it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise SchemaRegistryServerError(f"the registry did not stop in time\n{self.log_tail()}") from error
        self._process = None

    def kill(self) -> None:
        """End the registry at once (SIGKILL), as a crash would; nothing happens when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_tail(self) -> str:
        """Return the last lines of the log, for an error message."""
        lines = self._log_path.read_text(errors="replace").splitlines()
        return "\n".join([f"the end of {self._log_path}:", *lines[-30:]])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._answers():
            if process.poll() is not None:
                raise SchemaRegistryServerError(
                    f"the registry ended with exit code {process.returncode}\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise SchemaRegistryServerError(
                    f"the registry gave no answer in {_START_TIMEOUT_SECONDS} s\n{self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=5) as answer:  # noqa: S310  # is http:
                return bool(answer.status == 200)  # noqa: PLR2004
        except (OSError, urllib.error.URLError):
            return False


def _free_port() -> int:
    # the system's randomness: pytest-randomly seeds the other alike before every test
    for port in random.SystemRandom().sample(_PORTS, k=100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise SchemaRegistryServerError(f"no free port on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop - 1}")


def _main() -> None:
    parser = argparse.ArgumentParser(description="Run a throw-away schema registry on 127.0.0.1 until Ctrl-C.")
    parser.add_argument("--port", type=int, help="the port for clients (default: a free one)")
    parser.add_argument("--data", type=Path, help="where to keep the schemas (default: a temporary directory)")
    parser.add_argument("--install", action="store_true", help="only fetch the program")
    arguments = parser.parse_args()
    if arguments.install:
        print(SchemaRegistryServer.install())
        return

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="registry-") as temporary,
        SchemaRegistryServer(arguments.data or Path(temporary), port=arguments.port) as registry,
    ):
        print(registry.url, flush=True)
        while registry.is_running:
            time.sleep(0.2)
        sys.exit(f"the registry ended by itself\n{registry.log_tail()}")


if __name__ == "__main__":
    _main()
