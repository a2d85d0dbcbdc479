"""`nnstream demo`: an embedded broker, the real service as a process of its own, and streams to watch it learn.

The numbers are counted here, from the predictions topic, as any subscriber would: the service is not asked.
"""

import contextlib
import math
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from nnstream.prequential import Prequential
from service.adapters.kafka_python.publisher import KafkaPythonPublisher
from service.adapters.kafka_python.reader import KafkaPythonReader
from service.datasets import find_dataset
from service.embedded import EmbeddedBroker
from service.errors import ServiceError
from service.formats.json_object import JsonFormat
from service.produce import produce
from service.settings import KafkaSettings, Settings, settings_from
from service.wiring import prepare_topics

_REAL, _DRIFTING = "shuttle", "sine-drift"
_DRIFTING_EVENTS = 20_000
_RATE = 5_000.0
_PATIENCE_SECONDS = 60.0


@dataclass
class Phase:
    """One stream through one service, and what came of it."""

    name: str
    events: int
    settings: Settings
    sent: int = 0
    predictions: int = 0
    dead_letters: int = 0
    drifts: int = 0
    url: str = ""
    seconds: float = 0.0
    score: Prequential = field(default_factory=lambda: Prequential("classification"))

    @property
    def done(self) -> bool:
        """Return whether every event has been answered."""
        return self.predictions + self.dead_letters >= self.events

    def rate(self) -> float:
        """Return predictions a second."""
        return self.predictions / self.seconds if self.seconds else 0.0


def run_demo(events: int | None, *, stay: bool, console: Console, port: int) -> dict[str, Any]:
    """Run the demo; return the summary of the real data set (and of the drifting stream, when it ran).

    Args:
        events: how many to send in all; None sends the whole real data set and then a drifting stream.
        stay: keep the service up until Ctrl-C when all is predicted.
        console: where progress goes.
        port: HTTP port of the service.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    real_size = find_dataset(_REAL).size or 0
    wanted = events if events is not None else real_size + _DRIFTING_EVENTS
    plan = [(_REAL, min(wanted, real_size)), (_DRIFTING, max(0, wanted - real_size))]
    phases: list[Phase] = []
    port = port or _free_port()  # one for all streams: a page that is open goes on
    console.print("starting a broker and the service; the first time the network is compiled (some 20 seconds)")
    try:
        with EmbeddedBroker() as broker, tempfile.TemporaryDirectory(prefix="nnstream-demo-") as directory:
            for name, count in plan:
                if count:
                    phase = Phase(name, count, _settings(name, broker.bootstrap_servers, Path(directory), port))
                    phases.append(phase)
                    last = name == plan[-1][0] or not plan[-1][1]
                    _run_phase(phase, Path(directory), console, stay=stay and last, fast=events is not None)
    except KeyboardInterrupt:
        console.print("stopped")
    return _summary(phases)


def _settings(name: str, bootstrap_servers: str, directory: Path, port: int) -> Settings:
    return settings_from(
        {
            "model": {"name": name},
            "topics": {kind: f"{name}.{kind}" for kind in ("events", "predictions", "dead_letters", "alerts")},
            "kafka": {
                "bootstrap_servers": bootstrap_servers,
                "client": "kafka-python",  # the one the embedded broker was tried with
                "group_id": f"demo-{name}",
                "instance_id": "demo",
                "idle_sleep_ms": 20,
            },
            "delivery": {"guarantee": "at_least_once"},  # the embedded broker's transactions are not sound
            "checkpoint": {"url": str(directory / "checkpoints")},
            "http": {"port": port},
            "log": {"level": "info"},
        }
    )


def _free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _run_phase(phase: Phase, directory: Path, console: Console, *, stay: bool, fast: bool) -> None:
    prepare_topics(phase.settings)
    with _service(phase, directory) as process:
        _wait_until_ready(phase, process, directory)
        console.print(f"[bold]{phase.name}[/]: {find_dataset(phase.name).about}", highlight=False)
        console.print(f"open [bold]{phase.url}[/] to watch it live (also {phase.url}/docs)", soft_wrap=True)
        producer = threading.Thread(target=_produce, args=(phase, None if fast else _RATE), daemon=True)
        producer.start()
        _watch(phase, process, directory, console)
        producer.join()
        _print_result(phase, console)
        if stay:
            console.print(f"still serving at {phase.url}; Ctrl-C stops it", soft_wrap=True)
            process.wait()


@contextmanager
def _service(phase: Phase, directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `nnstream serve` as its own process, as against any cluster."""
    config = directory / f"{phase.name}.yaml"
    config.write_text(yaml.safe_dump(phase.settings.model_dump(mode="json", exclude_none=True)))
    with (directory / f"{phase.name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-m", "service", "serve", str(config)], stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()


def _wait_until_ready(phase: Phase, process: "subprocess.Popen[bytes]", directory: Path) -> None:
    phase.url = f"http://{phase.settings.http.host}:{phase.settings.http.port}"
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        _still_running(phase, process, directory)
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{phase.url}/readyz", timeout=1):  # noqa: S310
            return
        time.sleep(0.05)
    raise ServiceError(f"the service was not ready in time; its log:\n{_log_tail(phase, directory)}")


def _still_running(phase: Phase, process: "subprocess.Popen[bytes]", directory: Path) -> None:
    if process.poll() is not None:
        raise ServiceError(
            f"the service ended with exit code {process.returncode}; its log:\n{_log_tail(phase, directory)}"
        )


def _log_tail(phase: Phase, directory: Path) -> str:
    return (directory / f"{phase.name}.log").read_text(errors="replace")[-3000:]


def _produce(phase: Phase, rate: float | None) -> None:
    publisher = KafkaPythonPublisher(phase.settings.kafka)

    def progress(sent: int) -> None:
        phase.sent = sent

    try:
        samples = islice(find_dataset(phase.name).open(), phase.events)
        topic = phase.settings.topics.events
        produce(samples, publisher, topic, JsonFormat(), rate=rate, prefix=phase.name, progress=progress)
    finally:
        publisher.close()


def _watch(phase: Phase, process: "subprocess.Popen[bytes]", directory: Path, console: Console) -> None:
    """Read predictions, dead letters and alerts until every event is answered."""
    topics, kafka = phase.settings.topics, phase.settings.kafka
    with contextlib.ExitStack() as readers:
        predictions = _reader(kafka, topics.predictions, readers)
        dead_letters = _reader(kafka, topics.dead_letters, readers)
        alerts = _reader(kafka, topics.alerts, readers)
        live = readers.enter_context(Live(console=console, refresh_per_second=4, transient=True))
        start = last_news = time.monotonic()
        while not phase.done:
            before = phase.predictions
            _score(phase, [record.value or b"{}" for record in predictions.poll(0.1)])
            phase.dead_letters += len(dead_letters.poll(0.0))
            phase.drifts += len(alerts.poll(0.0))
            now = time.monotonic()
            phase.seconds = now - start
            last_news = now if phase.predictions > before else last_news
            _still_running(phase, process, directory)
            if now - last_news > _PATIENCE_SECONDS:
                raise ServiceError(f"no predictions come any more; the service's log:\n{_log_tail(phase, directory)}")
            live.update(_table(phase))
        phase.drifts += len(alerts.poll(0.3))


def _reader(kafka: KafkaSettings, topic: str, readers: contextlib.ExitStack) -> KafkaPythonReader:
    reader = KafkaPythonReader(kafka, topic, from_start=True)
    readers.callback(reader.close)
    return reader


def _score(phase: Phase, values: list[bytes]) -> None:
    bodies = [msgspec.json.decode(value) for value in values]
    phase.predictions += len(bodies)
    phase.score.update(
        [body.get("label") for body in bodies],
        [body["prediction"] for body in bodies],
        [body.get("loss", 0.0) for body in bodies],
    )


def _table(phase: Phase) -> Table:
    rolling, total = phase.score.summary(rolling=True), phase.score.summary()
    table = Table(title=f"{phase.name}: {phase.predictions:,} of {phase.events:,}", title_justify="left")
    for name in ("", "last 1,000", "all"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row("network: accuracy", _share(rolling["accuracy"]), _share(total["accuracy"]), style="bold green")
    for name, words in (("no_change", "repeat the last label"), ("majority", "most frequent label")):
        table.add_row(words, _share(rolling["baselines"][name]), _share(total["baselines"][name]))
    table.add_row("network: loss", *(f"{each['loss']:.4f}" if phase.predictions else "" for each in (rolling, total)))
    table.add_row("events a second", "", f"{phase.rate():,.0f}")
    table.add_row("drift alerts", "", f"{phase.drifts}")
    return table


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1%}"


def _print_result(phase: Phase, console: Console) -> None:
    console.print(_table(phase))


def _summary(phases: list[Phase]) -> dict[str, Any]:
    parts = [
        {
            "dataset": phase.name,
            "events_in": phase.sent,
            "predictions_out": phase.predictions,
            "dead_letters": phase.dead_letters,
            "drift_alerts": phase.drifts,
            **{key: value for key, value in phase.score.summary().items() if key != "n"},
            "events_per_second": round(phase.rate()),
        }
        for phase in phases
    ]
    if not parts:
        return {"events_in": 0, "predictions_out": 0, "dead_letters": 0}
    total = {key: sum(part[key] for part in parts) for key in ("events_in", "predictions_out", "dead_letters")}
    return parts[0] | total | {"streams": parts}
