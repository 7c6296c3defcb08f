"""What all stages stand on in either mode: where state and stream are, and who may do alone what only one may do.

embedded: one SQLite file holds both, and this process is the only one. cluster: PostgreSQL and Kafka, with as many
processes as wanted; what only one of them may do is held by a lease.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tocsin.store.archive import FileArchive
from tocsin.store.port import Archive, Store
from tocsin.store.sqlite import SqliteStore
from tocsin.stream.embedded import EmbeddedStream
from tocsin.stream.port import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tocsin.clock import Clock
    from tocsin.settings import Settings

STORE_FILE: Final = "tocsin.db"
STORE_QUOTA_BYTES: Final = 8_000_000_000  # of the stream and state; the archive has its own (`keep.size`)


class Alone(Protocol):
    """The right to do something that only one process may do."""

    async def while_held(self, run: Callable[[Store], Awaitable[None]]) -> None:
        """Call *run* whenever the right is ours, with a store that refuses to write when it is not any more."""
        ...


@dataclass(frozen=True, slots=True)
class Undisputed:
    """The right of a process that is the only one."""

    store: Store

    async def while_held(self, run: Callable[[Store], Awaitable[None]]) -> None:
        """Call *run* now."""
        await run(self.store)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """State, stream and archive. `background` are further stages, by name, that this mode needs in each process.

    A stream that `repeats` may bring a record again.
    """

    store: Store
    stream: Stream
    archive: Archive
    alone: Callable[[str], Alone]
    background: Mapping[str, Callable[[], Awaitable[None]]]
    repeats: bool


@asynccontextmanager
async def laid(settings: Settings, *, clock: Clock) -> AsyncIterator[Foundation]:
    """Open what the configured mode needs, and close it at the end."""
    async with laid_embedded(settings, clock=clock) as foundation:
        yield foundation


@asynccontextmanager
async def laid_embedded(settings: Settings, *, clock: Clock) -> AsyncIterator[Foundation]:
    """Open the one file, for this process alone."""
    store = SqliteStore(settings.data_dir / STORE_FILE, clock=clock, quota_bytes=STORE_QUOTA_BYTES)
    await store.open()
    try:
        yield Foundation(
            store=store,
            stream=EmbeddedStream(store),
            archive=FileArchive(settings.data_dir / "archive", size=settings.tocsin.keep.size),
            alone=lambda _: Undisputed(store),
            background={},
            repeats=False,
        )
    finally:
        await store.close()


def holder() -> str:
    """Return a name for this process that no other one has, and that an operator can find."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
