"""What all stages stand on in either mode: where state and stream are, and who may do alone what only one may do.

embedded: one SQLite file holds both, and this process is the only one. cluster: PostgreSQL and Kafka, with as many
processes as wanted; what only one of them may do is held by a lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from tocsin.errors import StoreFull, StoreUnavailable
from tocsin.stages import WORK
from tocsin.store.archive import FileArchive
from tocsin.store.port import Archive, Store
from tocsin.store.sqlite import SqliteStore
from tocsin.stream.embedded import EmbeddedStream
from tocsin.stream.port import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tocsin.clock import Clock
    from tocsin.settings import Settings
    from tocsin.store.postgresql import PostgresqlStore

log = structlog.get_logger()

OPEN_RETRY_S: Final = 1.0
STORE_FILE: Final = "tocsin.db"
STORE_QUOTA_BYTES: Final = 8_000_000_000  # of the stream and state; the archive has its own (`keep.size`)


def _nobody_listens() -> None:
    """Stand in for the health board where nobody watches."""


def _nothing() -> Sequence[str]:
    return ()


def _none() -> float:
    return 0.0


class Alone(Protocol):
    """The right to do something that only one process may do."""

    async def while_held(
        self, run: Callable[[Store], Awaitable[None]], *, beat: Callable[[], None] = _nobody_listens
    ) -> None:
        """Call *run* whenever the right is ours, with a store that refuses to write when it is not any more.

        *beat* is called while waiting for it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Undisputed:
    """The right of a process that is the only one."""

    store: Store

    async def while_held(
        self, run: Callable[[Store], Awaitable[None]], *, beat: Callable[[], None] = _nobody_listens
    ) -> None:
        """Call *run* now."""
        beat()
        await run(self.store)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """State, stream and archive. `background` are further stages, by name, that this mode needs in each process.

    A stream that `repeats` may bring a record again. `turns` is the store by which leases are taken, `holder` this
    process among those that share the work; None where there are no others. `trouble` says why work should not be sent
    here now, `quota_used` what share of its room the store has taken.
    """

    store: Store
    stream: Stream
    archive: Archive
    alone: Callable[[str], Alone]
    background: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    repeats: bool = False
    turns: Store | None = None
    holder: str | None = None
    trouble: Callable[[], Sequence[str]] = _nothing
    quota_used: Callable[[], float] = _none


def laid(settings: Settings, *, clock: Clock, work: Collection[str] = WORK) -> AbstractAsyncContextManager[Foundation]:
    """Open what the configured mode needs for *work*, and close it at the end."""
    if settings.tocsin.mode == "embedded":
        return _embedded(settings, clock=clock)
    return _cluster(settings, clock=clock, work=work)


@asynccontextmanager
async def _embedded(settings: Settings, *, clock: Clock) -> AsyncIterator[Foundation]:
    """Open the one file, for this process alone."""
    archive = FileArchive(settings.data_dir / "archive", size=settings.tocsin.keep.size)
    keep = timedelta(days=settings.tocsin.keep.days)
    store = await _sqlite(settings.data_dir / STORE_FILE, archive, clock=clock, keep=keep)
    try:
        yield Foundation(
            store=store,
            stream=EmbeddedStream(store),
            archive=archive,
            alone=lambda _: Undisputed(store),
            trouble=store.trouble,
            quota_used=lambda: store.quota_used,
        )
    finally:
        await store.close()
        archive.close()


async def _sqlite(path: Path, archive: FileArchive, *, clock: Clock, keep: timedelta) -> SqliteStore:
    """Open the file; on a full disk trim the archive, which alone can make room, and wait until there is some."""
    told = False
    while True:
        store = SqliteStore(path, clock=clock, quota_bytes=STORE_QUOTA_BYTES)
        try:
            await store.open()
        except StoreFull as error:
            if not told:
                log.error("waiting for the store", reason=str(error))  # noqa: TRY400 — the disk's trouble has no traceback
            told = True
            with suppress(OSError):
                await asyncio.to_thread(archive.trim, now=clock.now(), keep=keep)
            await clock.sleep(OPEN_RETRY_S)
        else:
            return store


@asynccontextmanager
async def _cluster(settings: Settings, *, clock: Clock, work: Collection[str]) -> AsyncIterator[Foundation]:
    """Open the database and the brokers, as one process of several. Who can reach neither yet waits for them.

    Each process stands ready for what needs no room of its own: relaying and keeping house.
    """
    from tocsin.leases import Lease, new_holder  # noqa: PLC0415 — a single process has no use for them
    from tocsin.store.archive_postgresql import PostgresqlArchive  # noqa: PLC0415 — nor for the driver
    from tocsin.store.postgresql import PostgresqlStore  # noqa: PLC0415 — nor for the driver
    from tocsin.stream.kafka import KafkaStream  # noqa: PLC0415 — nor for aiokafka
    from tocsin.stream.relay import Relay  # noqa: PLC0415 — nor for aiokafka

    kafka, postgresql = settings.tocsin.kafka, settings.tocsin.postgresql
    assert kafka is not None
    assert postgresql is not None
    dsn, holder = postgresql.dsn.get_secret_value(), new_holder()
    store = PostgresqlStore(dsn, clock=clock, readers=postgresql.readers, timeouts=postgresql.timeouts, name=holder)
    turns = PostgresqlStore(dsn, clock=clock, readers=1, timeouts=postgresql.timeouts, name=holder)
    await _open(store, clock=clock)
    await _open(turns, clock=clock)
    stream = KafkaStream(kafka, store=store, clock=clock)
    archive = PostgresqlArchive(dsn, size=settings.tocsin.keep.size, timeouts=postgresql.timeouts, name=holder)
    names = ["relay", "housekeeping", *(name for name in ("incidents", "notifier", "archive") if name in work)]
    if "incidents" in work:
        names.append("bursts")  # counted beside them
    leases = {name: Lease(name, store=store, turns=turns, clock=clock, holder=holder) for name in names}
    try:
        yield Foundation(
            store=store,
            stream=stream,
            archive=archive,
            alone=leases.__getitem__,
            background={
                "brokers": stream.keep,
                **{f"lease {name}": lease.keep for name, lease in leases.items()},
                "relay": partial(leases["relay"].while_held, Relay(stream, clock=clock).run),
            },
            repeats=True,
            turns=turns,
            holder=holder,
            trouble=lambda: [*store.trouble(), *((trouble,) if (trouble := stream.trouble) else ())],
        )
    finally:
        await stream.close()
        archive.close()
        await turns.close()
        await store.close()


async def _open(store: PostgresqlStore, *, clock: Clock) -> None:
    """Open the store however long its server takes to be there: services of one installation start in any order."""
    told = False
    while True:
        try:
            await store.open()
        except StoreUnavailable as error:
            if not told:
                log.warning("waiting for the database", reason=str(error))
            told = True
            await clock.sleep(OPEN_RETRY_S)
        else:
            return
