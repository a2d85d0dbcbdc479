"""`nnstream serve`: the worker's loop in this thread, HTTP in another, signals in between."""

import signal
from types import FrameType

import structlog

from service.logs import set_up_logs
from service.settings import Settings
from service.web.app import create_app
from service.web.server import HttpServer
from service.wiring import build_worker

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then finish the batch, commit, checkpoint and leave the group."""
    set_up_logs(settings.log)
    worker = build_worker(settings)

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        log.info("stopping", signal=signal.Signals(number).name)
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if not settings.http.enabled:
        worker.run()
        return
    with HttpServer(create_app(worker, settings.http), settings.http.host, settings.http.port) as server:
        log.info("listening", url=f"http://{settings.http.host}:{server.port}")
        worker.run()
    log.info("stopped")
