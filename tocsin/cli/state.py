"""The state itself, for a command whose service does not run here."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tocsin.errors import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tocsin.settings import Settings
    from tocsin.store.port import Store


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

    file = settings.data_dir / STORE_FILE
    if not file.exists():
        raise Stop(f"{settings.data_dir} holds no state; say with --data or TOCSIN_DATA where `tocsin run` keeps it")
    with held(settings.data_dir):
        store = SqliteStore(file, clock=SystemClock())
        await store.open()
        try:
            yield store
        finally:
            await store.close()
