"""A server that is started again: from when on those that wait for it could have reached it."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final, Protocol

OPENED_WITHIN_S: Final = 60.0
LOOK_AGAIN_S: Final = 0.02


class Server(Protocol):
    """A real server of the test's own."""

    @property
    def port(self) -> int: ...

    def start(self, *, wait: bool = True) -> None: ...


async def opened(server: Server) -> float:
    """Start *server* and return when its port is open, as `time.monotonic` tells it."""
    await asyncio.to_thread(server.start, wait=False)
    async with asyncio.timeout(OPENED_WITHIN_S):
        while True:
            try:
                with socket.create_connection(("127.0.0.1", server.port), 1):
                    return time.monotonic()
            except OSError:
                await asyncio.sleep(LOOK_AGAIN_S)
