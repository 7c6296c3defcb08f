"""The state itself, for a command whose service does not run here."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tocsin.errors import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tocsin.settings import Settings
    from tocsin.store.port import Archive, Store


def is_there(settings: Settings) -> bool:
    """Whether there is any state yet, as far as can be said without asking a database."""
    from tocsin.foundation import STORE_FILE

    return settings.tocsin.postgresql is not None or (settings.data_dir / STORE_FILE).exists()


@asynccontextmanager
async def opened(settings: Settings, *, name: str) -> AsyncIterator[Store]:
    """Open the store that *settings* mean: the file, with the lock on its folder, or the cluster's database.

    The database has other users and is theirs meanwhile; *name* is what they see there.

    Raises:
        AlreadyRunning: another process holds the folder.
        Stop: there is no state in it.
    """
    from tocsin.clock import SystemClock

    database = settings.tocsin.postgresql
    if database is not None:
        from tocsin.store.postgresql import PostgresqlStore

        dsn = database.dsn.get_secret_value()
        shared = PostgresqlStore(dsn, clock=SystemClock(), readers=1, timeouts=database.timeouts, name=name)
        await shared.open()
        try:
            yield shared
        finally:
            await shared.close()
        return
    from tocsin.datadir import held
    from tocsin.foundation import STORE_FILE
    from tocsin.store.sqlite import SqliteStore

    if not is_there(settings):
        raise Stop(f"{settings.data_dir} holds no state; say with --data or TOCSIN_DATA where `tocsin run` keeps it")
    with held(settings.data_dir):
        store = SqliteStore(settings.data_dir / STORE_FILE, clock=SystemClock())
        await store.open()
        try:
            yield store
        finally:
            await store.close()


@contextmanager
def opened_archive(settings: Settings) -> Iterator[Archive]:
    """Open the archive that *settings* mean; whoever reads it while a service writes does no harm."""
    database, size = settings.tocsin.postgresql, settings.tocsin.keep.size
    if database is None:
        from tocsin.store.archive import FileArchive

        yield FileArchive(settings.data_dir / "archive", size=size)
        return
    from tocsin.store.archive_postgresql import PostgresqlArchive

    shared = PostgresqlArchive(database.dsn.get_secret_value(), size=size, timeouts=database.timeouts)
    try:
        yield shared
    finally:
        shared.close()
