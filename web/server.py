"""Listens: on TCP for browsers and programs, on a socket file for the operator of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from tocsin.addresses import is_loopback
from tocsin.control import SOCKET, WEB, short_path
from tocsin.errors import Stop
from web.limits import LOCAL
from web.settings import UNPROTECTED, host_and_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope as Asgi, Send

    from web.settings import WebSettings

log = structlog.get_logger()

HEADERS_DEADLINE_S: Final = 10.0  # a connection that sends less than a whole head by then is closed
HEAD_LIMIT_BYTES: Final = 32 * 1024
KEEP_ALIVE_S: Final = 15
DRAIN_S: Final = 3  # for requests that are under way at the end; then they are cut
STOP_DEADLINE_S: Final = 5.0
BACKLOG: Final = 256
CONTROL_CONNECTIONS: Final = 64
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: struct ucred of Linux


async def run(app: ASGIApp, *, settings: WebSettings, data_dir: Path) -> None:
    """Serve *app* until cancelled; a stage that can be started anew.

    `<data_dir>/web.json` says where, for tools, once both sockets take requests. At the end no new connection is
    taken, requests under way get `DRAIN_S`, and everything is closed within `STOP_DEADLINE_S`.

    Raises:
        Stop: the address cannot be listened on, or it can be reached from elsewhere and no token protects it.
    """
    control = data_dir / SOCKET
    with _tcp(settings) as tcp, _unix(control) as unix:
        public = _Server(_config(app, connections=settings.connections))
        private = _Server(_config(_as_operator(app), connections=CONTROL_CONNECTIONS))
        try:
            await public.begin(tcp)
            await private.begin(unix)
            _announce(data_dir, tcp, settings)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(public.main_loop(), name="web-tcp")
                tasks.create_task(private.main_loop(), name="web-control")
        finally:
            (data_dir / WEB).unlink(missing_ok=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_DEADLINE_S), asyncio.TaskGroup() as tasks:
                    tasks.create_task(public.end(tcp), name="web-tcp-end")
                    tasks.create_task(private.end(unix), name="web-control-end")


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers and its own idea of a process: start, loop and end are called from here."""

    async def begin(self, listening: socket.socket) -> None:
        """Take requests from now on."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[listening])

    async def end(self, listening: socket.socket) -> None:
        """Take no more requests, and finish those under way."""
        if self.started:
            await self.shutdown(sockets=[listening])


class _Connection(H11Protocol):
    """A connection that must say what it wants in time, and that knows which user is at the other end."""

    _deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADERS_DEADLINE_S, self._give_up)
        uid = _peer(transport)
        if uid is not None:
            self.app_state = {**self.app_state, "peer_uid": uid}

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if self.cycle is None:
            self.transport.abort()


def _config(app: ASGIApp, *, connections: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # web.limits reads them, and only from proxies that the operator trusts
        limit_concurrency=connections,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        h11_max_incomplete_event_size=HEAD_LIMIT_BYTES,
    )


def _as_operator(app: ASGIApp) -> ASGIApp:
    """Return *app* for callers who could open the socket file: they are the operator."""

    async def local(scope: Asgi, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            uid = scope.get("state", {}).get("peer_uid", os.getuid())
            scope = {**scope, LOCAL: f"local:{uid}"}
        await app(scope, receive, send)

    return local


def _peer(transport: asyncio.Transport) -> int | None:
    """Return the user at the other end of a socket file, where the system tells."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


@contextmanager
def _tcp(settings: WebSettings) -> Iterator[socket.socket]:
    """Yield a socket bound to where the settings say, once it is sure that strangers need a token there."""
    host, port = host_and_port(settings.listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Stop(f"web.listen {settings.listen!r}: {error.strerror}") from error
    family, kind, protocol, _, address = found[0]
    if not settings.tokens and not is_loopback(str(address[0])):
        raise Stop("web.listen: " + UNPROTECTED.format(listen=settings.listen))
    with socket.socket(family, kind, protocol) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError as error:
            says = f"web.listen {settings.listen!r}: {error.strerror}; is another program there already?"
            raise Stop(says) from error
        yield listening


@contextmanager
def _unix(path: Path) -> Iterator[socket.socket]:
    """Yield a socket bound to *path* with mode 0600; one that a dead process left is replaced.

    It is bound inside a folder that only we can enter and gets its place by a rename, so that at no moment anybody
    else could connect. The data directory is locked, so a socket that lies there has no owner any more.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        try:
            with tempfile.TemporaryDirectory(prefix=".control-", dir=path.parent) as private:
                first = Path(private) / path.name
                with short_path(first) as name:
                    listening.bind(name)
                first.chmod(0o600)
                mine = first.stat().st_ino
                first.replace(path)
        except OSError as error:
            raise Stop(f"control socket {path}: {error.strerror or error}") from error
        try:
            yield listening
        finally:
            with suppress(FileNotFoundError):
                if path.stat().st_ino == mine:
                    path.unlink()


def _announce(data_dir: Path, tcp: socket.socket, settings: WebSettings) -> None:
    address, port = tcp.getsockname()[:2]
    url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
    told = {"url": url, "address": address, "port": port, "pid": os.getpid()}
    fresh = data_dir / f".{WEB}.new"
    fresh.write_text(json.dumps(told) + "\n", encoding="utf-8")
    fresh.replace(data_dir / WEB)
    log.info("listening", address=address, port=port, url=url)
    if not is_loopback(address) and not settings.is_https:
        log.warning("tokens travel in plain text", address=address, advice="put TLS in front and set web.public_url")
