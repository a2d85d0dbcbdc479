"""What the benchmarks of the whole way run, each a process of its own: the service, and the loops of loops.py."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import live

LOOPS = Path(__file__).with_name("loops.py")
OURS = "nnstream"
Command = Callable[[str, str, str, Path], list[str]]  # servers, name, guarantee, directory -> command line


def service(client: str, learner: str = "network", *, commit_ms: int = 100, **kafka: Any) -> Command:
    """Return how the service is run on the topics NAME-events and NAME-predictions."""

    def command(servers: str, name: str, guarantee: str, directory: Path) -> list[str]:
        config = live.settings(
            servers, name, directory, delivery={"guarantee": guarantee, "commit_interval_ms": commit_ms},
            model={"learner": learner}, kafka={"client": client, **kafka},
        )  # fmt: skip
        return [sys.executable, "-m", "service", "serve", str(config)]

    return command


def loop(kind: str, *, python: Callable[[], Path] = lambda: Path(sys.executable), linger_ms: int = 5) -> Command:
    """Return how a loop of loops.py is run on the same topics."""

    def command(servers: str, name: str, guarantee: str, _: Path) -> list[str]:
        return [
            str(python()), str(LOOPS), kind, servers, f"{name}-events", f"{name}-predictions", name, guarantee,
            str(linger_ms),
        ]  # fmt: skip

    return command


@contextmanager
def running(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process until the block ends."""
    process = subprocess.Popen(command, cwd=live.ROOT, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
