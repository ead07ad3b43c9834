"""The switchboard's socket: HTTP and server-sent events on a Unix socket, for `clinicpbx`, the console and the panel.

Who may open the socket may ask: it stands in the process's own runtime directory, mode 0660, as Docker's and LXD's do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

#: how often the event stream repeats the status to a listener
EVENT_SECONDS = 0.5

Snapshot = Callable[[], dict[str, object]]
Reload = Callable[[], Awaitable[dict[str, object]]]


def application(status: Snapshot, reload: Reload, settle: Callable[[str], bool]) -> Starlette:
    """``GET /status``, ``GET /events`` (SSE, one status each half second), ``POST /reload``, and
    ``POST /interrupted/{id}/settle``: somebody has looked after a caller whom an interruption cut off."""

    async def get_status(_: Request) -> JSONResponse:
        return JSONResponse(status())

    async def post_reload(_: Request) -> JSONResponse:
        result = await reload()
        return JSONResponse(result, status_code=200 if result.get("ok") else 422)

    async def post_settle(request: Request) -> JSONResponse:
        known = settle(request.path_params["id"])
        return JSONResponse({"ok": known}, status_code=200 if known else 404)

    async def events(request: Request) -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            while not await request.is_disconnected():
                yield f"data: {json.dumps(status())}\n\n"
                await asyncio.sleep(EVENT_SECONDS)

        return StreamingResponse(stream(), media_type="text/event-stream")

    return Starlette(
        routes=[
            Route("/status", get_status),
            Route("/events", events),
            Route("/reload", post_reload, methods=["POST"]),
            Route("/interrupted/{id}/settle", post_settle, methods=["POST"]),
        ]
    )


class _Server(uvicorn.Server):
    """Signals are the switchboard's own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(path: Path, app: Any) -> None:
    """Serve until cancelled. A socket left by a crash is replaced."""
    path.unlink(missing_ok=True)
    config = uvicorn.Config(app, uds=str(path), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    try:
        await server.serve()
    finally:
        server.should_exit = True
        path.unlink(missing_ok=True)
