"""`nnstream serve`: the worker's loop in this thread, HTTP in another, signals in between."""

import gc
import signal
from types import FrameType

import structlog

from service.logs import set_up_logs
from service.probe import broker_probe
from service.settings import Settings
from service.web.app import create_app
from service.web.live import Live
from service.web.recent import Recent
from service.web.server import HttpServer
from service.wiring import build_worker
from service.workers import when_orphaned

log = structlog.get_logger()

_NEW_OBJECTS = 50_000  # a poll makes thousands that wait for an acknowledgement, and hardly ever a cycle


def collect_rarely() -> None:
    """Have the garbage collector look at fewer objects, and less often."""
    gc.freeze()  # what was made so far stays
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
    gc.enable()


def serve(settings: Settings, number: int | None = None) -> None:
    """Run until SIGTERM or SIGINT; then finish the batch, commit, checkpoint and leave the group.

    Args:
        settings: of the service.
        number: which of several workers this is; it ends when the process that watches over them does.
    """
    if number is None:
        set_up_logs(settings.log)
    else:
        settings = settings.of_worker(number)
        set_up_logs(settings.log, worker=number)
    recent = Recent(settings.topics, settings.model.task, settings.monitor.window)
    worker = build_worker(settings, recent if settings.http.enabled else None)

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        log.info("stopping", signal=signal.Signals(number).name)
        worker.stop()

    collect_rarely()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if number is not None:
        when_orphaned(worker.stop)
    if not settings.http.enabled:
        worker.run()
        return
    live = Live(worker, settings, recent, broker_reachable=broker_probe(settings.kafka.bootstrap_servers))
    app = create_app(worker, settings.http, live)
    with HttpServer(app, settings.http.host, settings.http.port) as server, live:
        log.info("listening", url=f"http://{settings.http.host}:{server.port}")
        worker.run()
    log.info("stopped")
