"""A way to a server that fails as networks do: it falls silent, is cut, or loses the one answer that matters."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from types import TracebackType


class CommitFate(Enum):
    """What becomes of the next COMMIT that passes."""

    LOST = "it never arrives"
    UNANSWERED = "it arrives, and its answer does not come back"


class Proxy:
    """Forwards loopback connections to the server of a dsn; `dsn` leads through it."""

    def __init__(self, dsn: str) -> None:
        self._parts = urlsplit(dsn)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.next_commit: CommitFate | None = None
        self.connections = 0

    @property
    def dsn(self) -> str:
        """The dsn through this proxy."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        assert self._parts.port is not None
        return urlunsplit(self._parts._replace(netloc=self._parts.netloc.replace(f":{self._parts.port}", f":{port}")))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._flowing.set()
        self._server.close()
        self.cut()

    def fall_silent(self) -> None:
        """Pass nothing on, in either direction, and close nothing."""
        self._flowing.clear()

    def speak_again(self) -> None:
        """Pass on what came meanwhile, and all that comes."""
        self._flowing.set()

    def cut(self) -> None:
        """End every connection that there is now."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        server_reader, server_writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._writers |= {writer, server_writer}
        unanswered = asyncio.Event()

        async def asked() -> None:
            while said := await reader.read(65536):
                await self._flowing.wait()
                if self.next_commit is not None and b"COMMIT" in said:
                    fate, self.next_commit = self.next_commit, None
                    if fate is CommitFate.LOST:
                        break
                    unanswered.set()
                server_writer.write(said)
            server_writer.transport.abort()
            writer.transport.abort()

        async def answered() -> None:
            while said := await server_reader.read(65536):
                await self._flowing.wait()
                if unanswered.is_set():
                    break
                writer.write(said)
            writer.transport.abort()
            server_writer.transport.abort()

        await asyncio.gather(asked(), answered(), return_exceptions=True)
        self._writers -= {writer, server_writer}
