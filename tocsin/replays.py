"""The loop that takes a dead letter through its group's work once more, and only that group's.

A replay is one record at a time, behind what the group reads anyway: it must not hold up the news. What the unit
writes and the end of the replay are one transaction. A record that fails again goes back to the dead letters with the
new reason; so does one that was under way when its process died, at the first death: somebody asked for the replay
and can ask again.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from tocsin import metrics
from tocsin.consumer import IDLE_S, Unit, Work, persist
from tocsin.errors import RecordUnreadable, Stop, TryLater
from tocsin.records import DeadLetter
from tocsin.store.replays import wake_name
from tocsin.stream.dead_letters import put_back, reason_and_traceback
from tocsin.stream.port import StreamRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.store.port import Store
    from tocsin.store.replays import Replay
    from tocsin.store.tx import Tx

log = structlog.get_logger()

CLAIM: Final = timedelta(minutes=2)  # longest that one record may take before others think its worker dead
DIED: Final = "the process died, or did not come to an end, while this record was replayed"


def _nobody_listens() -> None:
    """Stand in for the health board where nobody watches."""


async def run_replays(
    *,
    store: Store,
    clock: Clock,
    group: str,
    work: Work,
    beat: Callable[[], None] = _nobody_listens,
    shared: bool = False,
) -> None:
    """Replay what was given back to *group* for ever; call *beat* at each turn, at least every `IDLE_S`.

    A group is *shared* when several workers replay for it, each record by one of them. Else a replay that is under
    way at the start was so when the process before this one died.
    """
    name = wake_name(group)
    replayer = _Replayer(store=store, clock=clock, group=group, work=work)
    if not shared:
        for left in await store.read(lambda tx: tx.replays.claimed(group)):
            await replayer.bury(left)
    while True:
        beat()
        mark = store.mark(name)
        replay: Replay | None = await store.read(partial(_next, group=group, now=clock.now()))
        if replay is None:
            await store.wait(name, mark, timeout_s=IDLE_S)
        elif replay.claimed_by is not None:
            await replayer.bury(replay)
        else:
            await replayer.take(replay)


class _Replayer:
    """Works on one replay after the other; its claims bear a name that no other loop has."""

    def __init__(self, *, store: Store, clock: Clock, group: str, work: Work) -> None:
        self._store = store
        self._clock = clock
        self._group = group
        self._work = work
        self._name = secrets.token_hex(8)

    async def take(self, replay: Replay) -> None:
        """Work on *replay* unless somebody else has begun to."""
        claim = partial(_claim, id=replay.id, by=self._name, at=self._clock.now())
        if not await persist(self._store, self._clock, claim):
            return
        try:
            await self._work_on(replay)
        except (TryLater, Stop, asyncio.CancelledError):
            with suppress(TryLater):
                await self._store.write(lambda tx: tx.replays.release(replay.id, by=self._name))
            raise

    async def bury(self, replay: Replay) -> None:
        """Set aside what somebody began with and will not end. Should he come to life, his output is refused."""
        await self._set_aside(replay, by=replay.claimed_by, reason=DIED, traceback="")

    async def _work_on(self, replay: Replay) -> None:
        try:
            (unit,) = await self._work([_record(replay)])
            done = await persist(self._store, self._clock, partial(_end, id=replay.id, by=self._name, unit=unit))
        except (TryLater, Stop):
            raise
        except Exception as error:  # noqa: BLE001 — the record's bulkhead: it goes back to where it came from
            reason, traceback = reason_and_traceback(error)
            await self._set_aside(replay, by=self._name, reason=reason, traceback=traceback)
            return
        if done:
            metrics.REPLAYS.labels(group=self._group, outcome="done").inc()
            log.info("record replayed", group=self._group, topic=replay.topic, record=replay.record_id)

    async def _set_aside(self, replay: Replay, *, by: str | None, reason: str, traceback: str) -> None:
        letter = _letter(replay, reason=reason, traceback=traceback, at=self._clock.now())
        if await persist(self._store, self._clock, partial(_back, letter=letter, by=by)):
            metrics.REPLAYS.labels(group=self._group, outcome="failed").inc()
            log.error(
                "replay set aside",
                group=self._group,
                topic=replay.topic,
                record=replay.record_id,
                reason=reason,
                traceback=traceback,
            )


def _next(tx: Tx, *, group: str, now: datetime) -> Replay | None:
    return tx.replays.next(group, stale=now - CLAIM, now=now)


def _claim(tx: Tx, *, id: str, by: str, at: datetime) -> bool:  # noqa: A002 — the domain's own word
    return tx.replays.claim(id, by=by, at=at)


def _end(tx: Tx, *, id: str, by: str, unit: Unit) -> bool:  # noqa: A002 — the domain's own word
    """Put out what came of a replay, if it is still ours to end."""
    if not tx.replays.remove(id, by=by):
        return False
    unit(tx)
    return True


def _back(tx: Tx, *, letter: DeadLetter, by: str | None) -> bool:
    if not tx.replays.remove(letter.id, by=by):
        return False
    put_back(tx, letter)
    return True


def _record(replay: Replay) -> StreamRecord:
    if replay.value is None:
        raise RecordUnreadable("damaged in the store while it waited to be replayed")
    return StreamRecord(
        topic=replay.topic,
        partition=replay.partition or 0,
        offset=replay.offset or 0,
        key=replay.key,
        id=replay.record_id,
        value=replay.value,
    )


def _letter(replay: Replay, *, reason: str, traceback: str, at: datetime) -> DeadLetter:
    return DeadLetter(
        id=replay.id,
        stage=replay.consumer_group,
        topic=replay.topic,
        record_id=replay.record_id,
        reason=reason,
        value=replay.value or b"",
        at=at,
        key=replay.key,
        partition=replay.partition,
        offset=replay.offset,
        size=replay.size,
        times=replay.times + 1,
        traceback=traceback,
    )
