"""A real Apache Kafka for the tests: one broker, one process, 127.0.0.1 only.

Needs Java 17 and Maven on the PATH. The jars come from pom.xml beside this file, once, into
``build/kafka-libs-<hash of the pom>``. Then::

    with KafkaBroker(Path("/tmp/kafka")) as broker:
        print(broker.bootstrap_servers)  # 127.0.0.1:24711
        broker.kill()   # SIGKILL, as a crash would
        broker.start()  # same address, same data

By hand: ``python deploy/kafka/broker.py [--port PORT] [--data DIR]`` runs it until Ctrl-C.
"""

import argparse
import base64
import contextlib
import hashlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_HERE = Path(__file__).resolve().parent
_POM = _HERE / "pom.xml"
_BUILD = _HERE.parents[1] / "build"

_START_TIMEOUT_SECONDS = 60
_STOP_TIMEOUT_SECONDS = 30
_POLL_SECONDS = 0.02
_STARTED = "Kafka Server started"

# A short life on two cores: the first compiler tier and the serial collector start the broker in a
# third of the time (1.5 s instead of 4.5 s).
QUICK_START = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
AS_KAFKA_STARTS = (  # the flags of kafka-server-start.sh
    "-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
)  # fmt: skip

# Below the ports that Linux gives to outgoing connections (32768 and up): while the broker is down no
# client can be given its port by chance, not even a client that is trying to reach it.
_PORTS = range(20_000, 32_000)

_SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},RELAYED://127.0.0.1:{relayed_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},RELAYED://127.0.0.1:{relay_port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,RELAYED:PLAINTEXT
log.dirs={log_dir}

# One broker, and few internal partitions: each costs files and start-up time.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# Tests do not wait for members that may come, and may call a member dead after one second.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# A broker that was killed may register again only when its old session is over: by default that
# alone makes a restart take 9 seconds.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250

auto.create.topics.enable=false
message.max.bytes=33554432
replica.fetch.max.bytes=33554432
# Tests give records timestamps of long ago: age deletes nothing.
log.retention.ms=-1
# The cleaner of compacted topics would take a quarter of the heap.
log.cleaner.dedupe.buffer.size=16777216
"""


class KafkaBrokerError(RuntimeError):
    """The broker could not be installed, started or stopped; the message ends with what it printed."""


class KafkaBroker:
    """One Apache Kafka process (KRaft broker and controller in one) on loopback ports.

    Not thread-safe: one thread starts and stops it. The ports stay the same for the life of the object,
    the data for the life of the directory.

    Args:
        data_dir: where logs, settings and ``broker.log`` lie; made if missing. Data found there is used.
        port: the port that clients connect to; by default a free one.
        jvm_flags: of its Java: `QUICK_START`, or `AS_KAFKA_STARTS` to measure by.

    Attributes:
        relay_port: where nothing listens; whoever comes in through `relayed_port` is told to come back here.
        relayed_port: of a second way in, for a relay that makes the network worse than it is.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, jvm_flags: Sequence[str] = QUICK_START) -> None:
        self._data_dir, self._jvm_flags = data_dir.resolve(), jvm_flags
        self._port = _free_port() if port is None else port
        self._controller_port = _free_port(self._port)
        self.relayed_port = _free_port(self._port, self._controller_port)
        self.relay_port = _free_port(self._port, self._controller_port, self.relayed_port)
        self._log_path = self._data_dir / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """``127.0.0.1:PORT``, as every Kafka client wants it."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process, which must be running."""
        if self._process is None:
            raise KafkaBrokerError("the broker does not run: start() it first")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @staticmethod
    def install() -> Path:
        """Copy Kafka's jars from Maven into the build directory, unless they are there.

        The jars come into a temporary directory that is renamed at the end, so a download that was
        cut short is never taken for a whole one, and two processes may install at once.

        Returns:
            The directory of the jars.

        Raises:
            KafkaBrokerError: Maven or Java is missing, or Maven failed.
        """
        libs = _BUILD / f"kafka-libs-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
        if libs.is_dir():
            return libs
        for tool in ("java", "mvn"):
            if shutil.which(tool) is None:
                raise KafkaBrokerError(f"{tool} is not on the PATH: install Java 17 and Maven 3.8 or newer")
        _BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="kafka-libs-", dir=_BUILD) as directory:
            download = Path(directory) / "libs"
            _run("mvn", "-q", "-B", "-f", _POM, "dependency:copy-dependencies",
                 "-DincludeScope=runtime", f"-DoutputDirectory={download}")  # fmt: skip
            try:
                download.rename(libs)
            except OSError:
                if not libs.is_dir():  # otherwise another process was faster, with the same jars
                    raise
        return libs

    def start(self) -> None:
        """Start the broker and wait until it serves; after `stop` or `kill` it finds its data again.

        Raises:
            KafkaBrokerError: it runs already, it died, or it did not serve within 60 seconds.
        """
        if self.is_running:
            raise KafkaBrokerError(f"the broker at {self.bootstrap_servers} runs already: stop() it first")
        java = self._java_command(self.install())
        settings = self._write_settings()
        if not (self._data_dir / "logs" / "meta.properties").exists():
            # "-" at the start of an id would look like an option; "_" is as good a base64 digit
            cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
            _run(*java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", settings)
        with self._log_path.open("ab") as log:
            log_start = log.tell()
            # a session of its own: Ctrl-C in the terminal stops the tests, and those stop the broker
            self._process = subprocess.Popen(
                [*java, "kafka.Kafka", settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_started(self._process, log_start)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the broker in good order (SIGTERM); nothing happens when it does not run.

        Raises:
            KafkaBrokerError: it did not end within 30 seconds; it was killed then.
        """
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise KafkaBrokerError(f"Kafka did not stop in time\n{self.log_tail()}") from error
        self._process = None

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a crash would; nothing happens when it does not run."""
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

    def _java_command(self, libs: Path) -> list[str]:
        temporary = self._data_dir / "tmp"  # where the compression libraries unpack: a kill leaves litter
        temporary.mkdir(parents=True, exist_ok=True)
        return [
            "java", *self._jvm_flags, f"-Djava.io.tmpdir={temporary}",
            f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}", "-cp", f"{libs}/*",
        ]  # fmt: skip

    def _write_settings(self) -> Path:
        path = self._data_dir / "server.properties"
        ports = {
            "port": self._port, "controller_port": self._controller_port,
            "relay_port": self.relay_port, "relayed_port": self.relayed_port,
        }  # fmt: skip
        path.write_text(_SERVER_PROPERTIES.format(**ports, log_dir=self._data_dir / "logs"))
        return path

    def _wait_until_started(self, process: subprocess.Popen[bytes], log_start: int) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        with self._log_path.open("rb") as log:
            while True:
                died = process.poll() is not None  # before the read: then its last words are in the file
                log.seek(log_start)
                if _STARTED.encode() in log.read():
                    return
                if died:
                    raise KafkaBrokerError(f"Kafka ended with exit code {process.returncode}\n{self.log_tail()}")
                if time.monotonic() > deadline:
                    raise KafkaBrokerError(f"Kafka did not start in {_START_TIMEOUT_SECONDS} s\n{self.log_tail()}")
                time.sleep(_POLL_SECONDS)


def _run(*command: str | Path) -> None:
    """Run a command to its end; raise what it printed when it fails."""
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        words = " ".join(map(str, command))
        raise KafkaBrokerError(f"exit code {done.returncode} from: {words}\n{done.stdout}")


def _free_port(*others: int) -> int:
    # the system's randomness: pytest-randomly seeds the other alike before every test
    for port in random.SystemRandom().sample(_PORTS, k=100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in others:
            return port
    raise KafkaBrokerError(f"no free port on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop - 1}")


def _main() -> None:
    parser = argparse.ArgumentParser(description="Run a throw-away Apache Kafka on 127.0.0.1 until Ctrl-C.")
    parser.add_argument("--port", type=int, help="the port for clients (default: a free one)")
    parser.add_argument("--data", type=Path, help="where to keep the data (default: a temporary directory)")
    parser.add_argument("--install", action="store_true", help="only fetch the jars")
    arguments = parser.parse_args()
    if arguments.install:
        print(KafkaBroker.install())
        return

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="kafka-") as temporary,
        KafkaBroker(arguments.data or Path(temporary), port=arguments.port) as broker,
    ):
        print(broker.bootstrap_servers, flush=True)
        while broker.is_running:
            time.sleep(0.2)
        sys.exit(f"Kafka ended by itself\n{broker.log_tail()}")


if __name__ == "__main__":
    _main()
