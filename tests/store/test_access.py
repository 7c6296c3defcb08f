from __future__ import annotations

from dataclasses import replace

from tocsin.store.access import AuditEntry, Session
from tocsin.store.port import Store
from tocsin.store.tx import Tx
from tocsin.testing import HOUR, MINUTE, NOON

SESSION = Session(id="s", token="ci", token_hash="h", created_at=NOON, expires_at=NOON + HOUR)  # noqa: S106  invented


async def test_the_audit_is_paged_the_newest_first(store: Store) -> None:
    entries = [AuditEntry(at=NOON, actor="local:0", action="feed.add", target=f"feed-{number}") for number in range(5)]

    def unit(tx: Tx) -> None:
        for entry in entries:
            tx.access.note(entry)

    await store.write(unit)
    first = await store.read(lambda tx: tx.access.audit(limit=3))
    rest = await store.read(lambda tx: tx.access.audit(limit=3, before=first[-1].number))

    assert [replace(entry, number=0) for entry in (*first, *rest)] == entries[::-1]


async def test_the_audit_forgets_only_what_is_old_enough(store: Store) -> None:
    def unit(tx: Tx) -> int:
        for hours in range(3):
            tx.access.note(AuditEntry(at=NOON + hours * HOUR, actor="a", action="b", target=str(hours)))
        return tx.access.forget_audit(before=NOON + HOUR)

    forgotten = await store.write(unit)
    left = await store.read(lambda tx: tx.access.audit())

    assert forgotten == 1
    assert [entry.target for entry in left] == ["2", "1"]


async def test_a_session_lasts_until_its_time_is_over(store: Store) -> None:
    await store.write(lambda tx: tx.access.open_session(SESSION))
    during = await store.read(lambda tx: tx.access.session("s", now=NOON + 59 * MINUTE))
    over = await store.read(lambda tx: tx.access.session("s", now=NOON + HOUR))

    assert during == SESSION
    assert over is None


async def test_opening_a_session_clears_away_those_that_are_over(store: Store) -> None:
    later = replace(SESSION, id="later", created_at=NOON + HOUR, expires_at=NOON + 2 * HOUR)

    await store.write(lambda tx: tx.access.open_session(SESSION))
    await store.write(lambda tx: tx.access.open_session(later))
    kept = await store.read(lambda tx: tx.conn.exec_driver_sql("SELECT id FROM access_sessions").scalars().all())

    assert kept == ["later"]


async def test_a_closed_session_is_gone(store: Store) -> None:
    await store.write(lambda tx: tx.access.open_session(SESSION))
    closed = await store.write(lambda tx: tx.access.close_session("s"))
    again = await store.write(lambda tx: tx.access.close_session("s"))

    assert (closed, again) == (True, False)
