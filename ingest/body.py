"""Bodies off the wire, unpacked in small steps with an eye on their size: aiohttp unpacks a whole chunk at once."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Protocol

import brotli

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterator

STEP_BYTES = 256 * 1024  # of output at a time: about a millisecond of the event loop
RATIO_FREE_BYTES = 1_000_000  # below this, any ratio will do

ACCEPT_ENCODING = "gzip, deflate, br"


class BodyRefused(Exception):
    """Too large, grown too much in unpacking, or packed in a way that cannot be undone."""


class _Unpacker(Protocol):
    def feed(self, packed: bytes) -> Iterator[bytes]:
        """Yield what *packed* adds, at most about `STEP_BYTES` at a time."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the stream ended where it says it does."""
        ...


class _Plain:
    is_finished = True

    def feed(self, packed: bytes) -> Iterator[bytes]:
        yield packed


class _Zlib:
    """gzip (several members may follow one another) and deflate (with zlib's wrapper or, as some servers do, bare)."""

    def __init__(self, *, deflate: bool) -> None:
        self._deflate = deflate
        self._bits = zlib.MAX_WBITS if deflate else zlib.MAX_WBITS | 16
        self._unpacker = zlib.decompressobj(self._bits)
        self._begun = False

    @property
    def is_finished(self) -> bool:
        return self._unpacker.eof or not self._begun

    def feed(self, packed: bytes) -> Iterator[bytes]:
        if self._deflate and not self._begun and packed and (packed[0] & 0x0F) != 8:  # noqa: PLR2004 — RFC 1950, 2.2
            self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        while packed:
            if self._unpacker.eof:
                if self._deflate or not packed.lstrip(b"\0"):
                    return  # padding after the end
                self._unpacker = zlib.decompressobj(self._bits)
            self._begun = True
            try:
                piece = self._unpacker.decompress(packed, STEP_BYTES)
            except zlib.error as error:
                raise BodyRefused(f"cannot be unpacked: {error}") from error
            packed = self._unpacker.unused_data if self._unpacker.eof else self._unpacker.unconsumed_tail
            yield piece


class _Brotli:
    def __init__(self) -> None:
        self._unpacker = brotli.Decompressor()
        self._begun = False

    @property
    def is_finished(self) -> bool:
        return self._unpacker.is_finished() or not self._begun

    def feed(self, packed: bytes) -> Iterator[bytes]:
        self._begun = True
        try:
            # `can_accept_more_data` says yes while output still waits, so ask until none comes.
            while piece := self._unpacker.process(packed, output_buffer_limit=STEP_BYTES):
                yield piece
                packed = b""
        except brotli.error as error:
            raise BodyRefused(f"cannot be unpacked: {error}") from error


def _unpackers(encoding: str) -> list[_Unpacker]:
    found: list[_Unpacker] = []
    for name in reversed([part.strip().lower() for part in encoding.split(",") if part.strip()]):
        match name:
            case "identity":
                continue
            case "gzip" | "x-gzip":
                found.append(_Zlib(deflate=False))
            case "deflate":
                found.append(_Zlib(deflate=True))
            case "br":
                found.append(_Brotli())
            case _:
                raise BodyRefused(f"packed as {name[:40]!r}, which we did not ask for")
    if len(found) > 1:
        raise BodyRefused(f"packed more than once: {encoding[:80]!r}")
    return found


async def read_body(chunks: AsyncIterable[bytes], *, encoding: str, limit: int, ratio_limit: int) -> bytes:
    """Return the unpacked body, never holding more than *limit* bytes and a step.

    Raises:
        BodyRefused: it is larger, grows more than *ratio_limit* times, ends early or cannot be unpacked.
    """
    unpacker = next(iter(_unpackers(encoding)), _Plain())
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        async for piece in _with_pauses(unpacker.feed(chunk)):
            body += piece
            if len(body) > limit:
                raise BodyRefused(f"larger than {limit} bytes")
            if len(body) > RATIO_FREE_BYTES and len(body) > received * ratio_limit:
                raise BodyRefused(f"grew more than {ratio_limit} times in unpacking")
    if not unpacker.is_finished:
        raise BodyRefused("ended before it was complete")
    return bytes(body)


async def _with_pauses(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Let others have the loop between steps."""
    for number, piece in enumerate(pieces):
        if number:
            await asyncio.sleep(0)
        yield piece
