"""uvicorn in a thread beside the worker's loop."""

import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from service.errors import SettingsError


class HttpServer:
    """Serves an application from a thread of its own; a context manager.

    Args:
        app: the application.
        host: address to listen on.
        port: 0 takes a free one.

    Raises:
        SettingsError: the address cannot be listened on.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        try:
            self._socket = socket.create_server((host, port), reuse_port=False)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on http.host {host}, http.port {port}: {error.strerror}; choose another port, or 0"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()
