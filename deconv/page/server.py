"""The session over HTTP: a page, its files, what it asks for, and a stream of the state; for this machine alone.

An address that nobody can guess opens the page and leaves a cookie; without it nothing is answered. So neither another
user of the machine nor another page in the same browser reaches the pictures.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from .session import OPEN, Session
from .settings import Settings

__all__ = ["HOST", "Server", "application", "listen", "serve"]

HOST = "127.0.0.1"

_STATIC = Path(__file__).parent / "static"

# Everything comes from here; nobody else may show it or read it; the key in the address is told to nobody.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def listen(port: int = 0) -> socket.socket:
    """A socket of this machine alone, at a port of its own choice for 0."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise ValueError(f"--port: {port} cannot be had ({error.strerror}); give another, or 0 for any") from None


def application(session: Session, choices: dict[str, Any], *, port: int, key: str) -> ASGIApp:
    """The ASGI application.

    Parameters
    ----------
    session : Session
        What it serves.
    choices : dict
        What the page offers, ready for JSON: methods, endings, examples.
    port : int
        Where it is served; requests for another host are refused.
    key : str
        Opens the page.
    """

    async def index(request: Request) -> Response:
        return FileResponse(_STATIC / "index.html")

    async def offered(request: Request) -> Response:
        return JSONResponse(choices)

    async def events(request: Request) -> Response:
        return StreamingResponse(_states(session), media_type="text/event-stream")

    async def add(request: Request) -> Response:
        with session.adding(request.query_params.get("name", "")) as write:
            async for piece in request.stream():
                write(piece)
        return _DONE

    async def add_psf(request: Request) -> Response:
        with session.adding_psf(request.path_params["id"], request.query_params.get("name", "")) as write:
            async for piece in request.stream():
                write(piece)
        return _DONE

    async def add_example(request: Request) -> Response:
        session.add_example(request.path_params["name"])
        return _DONE

    async def ask(request: Request) -> Response:
        task = request.path_params["task"]
        if task == OPEN:
            raise ValueError(f"task: {OPEN!r} is done by itself")
        session.ask(request.path_params["id"], task, Settings.of(await request.json()))
        return _DONE

    async def cancel(request: Request) -> Response:
        session.cancel(request.path_params["id"])
        return _DONE

    async def remove(request: Request) -> Response:
        await asyncio.to_thread(session.remove, request.path_params["id"])
        return _DONE

    async def file(request: Request) -> Response:
        part, name = request.path_params["part"], request.path_params["name"]
        path = session.file(request.path_params["id"], part, name)
        return FileResponse(path, filename=name if part == "saved" else None)

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/choices", offered),
            Route("/events", events),
            Route("/pictures", add, methods=["POST"]),
            Route("/examples/{name}", add_example, methods=["POST"]),
            Route("/pictures/{id}", remove, methods=["DELETE"]),
            Route("/pictures/{id}/psf", add_psf, methods=["POST"]),
            Route("/pictures/{id}/job", cancel, methods=["DELETE"]),
            Route("/pictures/{id}/tasks/{task}", ask, methods=["POST"]),
            Route("/pictures/{id}/{part}/{name}", file),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        exception_handlers={ValueError: _refused, KeyError: _missing, FileNotFoundError: _missing},
    )
    return _Guarded(app, port=port, key=key)


class Server(uvicorn.Server):
    """A server of a session; its `run(sockets=[...])` ends on Ctrl-C, or when `should_exit` is set.

    Parameters
    ----------
    session, choices, port, key
        As for `application`.
    ready : callable, optional
        Called once the page can be opened and Ctrl-C ends it.
    """

    def __init__(
        self,
        session: Session,
        choices: dict[str, Any],
        *,
        port: int,
        key: str,
        ready: Callable[[], None] | None = None,
    ) -> None:
        app = application(session, choices, port=port, key=key)
        super().__init__(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
        self._session, self._ready = session, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say so: in a thread, as a browser in the terminal asks before its opening returns."""
        await super().startup(sockets)
        if self._ready:
            await asyncio.to_thread(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, and the streams of states, which would never end by themselves, before."""
        self._session.hang_up()
        await super().shutdown(sockets)


def serve(session: Session, choices: dict[str, Any], sock: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    session, choices
        As for `application`.
    sock : socket
        Of `listen`.
    ready : callable
        Called with the address of the page when it can be opened.
    """
    port, key = sock.getsockname()[1], secrets.token_urlsafe(16)
    address = f"http://{HOST}:{port}/?key={key}"
    Server(session, choices, port=port, key=key, ready=lambda: ready(address)).run(sockets=[sock])


_DONE = Response(status_code=204)


def _refused(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), status_code=400)


def _missing(request: Request, error: Exception) -> Response:
    return PlainTextResponse("there is no such thing (any more)", status_code=404)


async def _states(session: Session) -> AsyncIterator[str]:
    """The state now, and whenever it has changed, ten times a second at most."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def listener() -> None:
        loop.call_soon_threadsafe(news.set)

    session.listeners.add(listener)
    try:
        while session.open:
            news.clear()
            yield f"data: {json.dumps(session.state())}\n\n"
            await news.wait()
            await asyncio.sleep(0.1)
    finally:
        session.listeners.discard(listener)


class _Guarded:
    """Answers only to those who have the key, under the name that the page has on this machine."""

    def __init__(self, app: ASGIApp, *, port: int, key: str) -> None:
        self._app, self._key = app, key
        self._cookie = f"deconv-{port}"
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        answer = self._refusal(Request(scope)) if scope["type"] == "http" else PlainTextResponse("", status_code=403)
        await (answer or self._app)(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if host not in self._hosts or origin not in (None, f"http://{host}"):
            return PlainTextResponse("this page is for its own machine", status_code=403)
        given = request.query_params.get("key")
        if given is not None and request.url.path == "/" and secrets.compare_digest(given.encode(), self._key.encode()):
            opened = RedirectResponse("/", status_code=303)
            opened.set_cookie(self._cookie, self._key, httponly=True, samesite="strict")
            return opened
        if not secrets.compare_digest(request.cookies.get(self._cookie, "").encode(), self._key.encode()):
            return PlainTextResponse("open the address that deconv app has printed", status_code=403)
        return None
