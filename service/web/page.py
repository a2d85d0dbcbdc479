"""The live page at `/`: files as they lie in static/, and one stream of server-sent events at /live."""

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.responses import FileResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from service.web.live import Live

STATIC = Path(__file__).parent / "static"
# What comes from Kafka is shown as text; even if it were not, nothing but our own files could run.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def add_page(app: FastAPI, live: Live) -> None:
    """Serve the page, and what it is told."""
    app.mount("/static", _Files(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers=_HEADERS)

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> RedirectResponse:
        return RedirectResponse("/static/icon.svg")

    @app.get("/live", response_class=StreamingResponse)
    def events(
        partition: Annotated[int | None, Query(description="Whose news; default: the first.")] = None,
    ) -> StreamingResponse:
        """Server-sent events for the page: `hello` once, then `sample` and `recent` as they change."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(live.events(partition), media_type="text/event-stream", headers=headers)
