"""Frames between the event loop and one child, over a socket pair."""

from __future__ import annotations

import asyncio
from typing import cast

from typing_extensions import override

from tocsin.workers.child import HEADER_BYTES, REPLY_LIMIT_BYTES, RESULT_LIMIT_BYTES

SLICE_BYTES = 256 * 1024  # asyncio's transport moves its whole backlog at each partial send
FRAME_LIMIT_BYTES = REPLY_LIMIT_BYTES + RESULT_LIMIT_BYTES + 2**20


class Wire(asyncio.Protocol):
    """Frames over a stream: eight bytes of length, then that many bytes."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = loop.create_future()
        self._frame: asyncio.Future[bytes] = loop.create_future()
        self._buffer = bytearray()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.WriteTransport | None = None

    async def send(self, frame: bytes) -> None:
        """Write one frame, no faster than the child reads.

        Raises:
            ConnectionError: the child is gone.
        """
        transport = self._transport
        if transport is None or self.gone.done():
            raise ConnectionResetError
        header = len(frame).to_bytes(HEADER_BYTES, "big")
        if len(frame) <= SLICE_BYTES:
            transport.write(header + frame)
            return
        transport.write(header)
        view = memoryview(frame)
        for start in range(0, len(frame), SLICE_BYTES):
            await self._writable.wait()
            if self.gone.done():
                raise ConnectionResetError
            transport.write(view[start : start + SLICE_BYTES])

    async def receive(self) -> bytes:
        """Return the next frame.

        Raises:
            ConnectionError: the child is gone.
        """
        frame = await self._frame
        self._frame = asyncio.get_running_loop().create_future()
        self._deliver()
        return frame

    def _deliver(self) -> None:
        if self._frame.done():
            return
        if len(self._buffer) >= HEADER_BYTES:
            end = HEADER_BYTES + int.from_bytes(self._buffer[:HEADER_BYTES], "big")
            if len(self._buffer) >= end:
                self._frame.set_result(bytes(memoryview(self._buffer)[HEADER_BYTES:end]))
                del self._buffer[:end]
                return
            if end > FRAME_LIMIT_BYTES and self._transport is not None:
                self._transport.abort()  # somebody else's bytes: a function has got hold of the link
        if self.gone.done():
            self._frame.set_exception(ConnectionResetError())
            self._frame.exception()  # nobody may be waiting, and that is no news

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one without saying so

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._deliver()

    @override
    def pause_writing(self) -> None:
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        self._writable.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        self._writable.set()
        self._deliver()
