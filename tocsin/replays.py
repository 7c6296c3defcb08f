"""The loop that takes a dead letter through its group's work once more, and only that group's.

A replay is one record at a time, behind what the group reads anyway: it must not hold up the news. What the unit
writes and the end of the replay are one transaction. A record that fails again goes back to the dead letters with the
new reason; so does one that was under way when its process died, at the first death: somebody asked for the replay
and can ask again. What this process has begun with and could not give back, for the store was away, is its own still.
"""

from __future__ import annotations

import asyncio
import dataclasses
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

PROCESS: Final = secrets.token_hex(8)  # names this one among all that claim replays
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
    process: str = PROCESS,
) -> None:
    """Replay what was given back to *group* for ever; call *beat* at each turn, at least every `IDLE_S`.

    A group is *shared* when several workers replay for it, each record by one of them. Else a replay that is under
    way at the start was so when the process before this one died, unless it is claimed by this *process* itself.
    """
    name = wake_name(group)
    replayer = _Replayer(store=store, clock=clock, group=group, work=work, name=f"{process} {group}")
    await replayer.take_back()
    if not shared:
        for left in await store.read(lambda tx: tx.replays.claimed(group)):
            await replayer.bury(left)
    try:
        while True:
            beat()
            mark = store.mark(name)
            replay = await replayer.first()
            while replay is not None:
                beat()
                replay = await replayer.work_on(replay)
            await store.wait(name, mark, timeout_s=IDLE_S)
    except (TryLater, Stop, asyncio.CancelledError):
        with suppress(TryLater):
            await replayer.release()
        raise


class _Replayer:
    """Works on one replay after the other; its claims bear a name that no loop of another process or group has.

    What ends a replay claims the next one in the same transaction: a commit is most of what a replay costs.
    """

    def __init__(self, *, store: Store, clock: Clock, group: str, work: Work, name: str) -> None:
        self._store = store
        self._clock = clock
        self._group = group
        self._work = work
        self._name = name

    async def first(self) -> Replay | None:
        """Return the first replay that waits, with our claim on it; None when there is none."""
        if not await self._store.read(self._is_anything_before_us):
            return None
        return await persist(self._store, self._clock, self._claim_next)

    async def work_on(self, replay: Replay) -> Replay | None:
        """Bring *replay*, which has our claim, to its end and return the next one with our claim on it, if any.

        One that has somebody else's claim is set aside: he is dead, or his output will be refused.
        """
        if replay.claimed_by != self._name:
            await self.bury(replay)
            return await self.first()
        try:
            (unit,) = await self._work([_record(replay)])
            done, following = await persist(self._store, self._clock, partial(self._end, replay=replay, unit=unit))
        except (TryLater, Stop):
            raise
        except Exception as error:  # noqa: BLE001 — the record's bulkhead: it goes back to where it came from
            reason, traceback = reason_and_traceback(error)
            await self._set_aside(replay, reason=reason, traceback=traceback)
            return await self.first()
        if done:
            metrics.REPLAYS.labels(group=self._group, outcome="done").inc()
            log.info("record replayed", group=self._group, topic=replay.topic, record=replay.record_id)
        return following

    async def bury(self, replay: Replay) -> None:
        """Set aside what somebody began with and will not end."""
        await self._set_aside(replay, reason=DIED, traceback="")

    async def take_back(self) -> None:
        """Take back the claim that the loop before this one could not `release`."""
        await persist(self._store, self._clock, lambda tx: tx.replays.release(by=self._name))

    async def release(self) -> None:
        """Take back the claim on what was ended by no fault of its own; it may have been made this moment."""
        await self._store.write(lambda tx: tx.replays.release(by=self._name))

    async def _set_aside(self, replay: Replay, *, reason: str, traceback: str) -> None:
        letter = _letter(replay, reason=reason, traceback=traceback, at=self._clock.now())
        if await persist(self._store, self._clock, partial(_back, replay=replay, letter=letter)):
            metrics.REPLAYS.labels(group=self._group, outcome="failed").inc()
            log.error(
                "replay set aside",
                group=self._group,
                topic=replay.topic,
                record=replay.record_id,
                reason=reason,
                traceback=traceback,
            )

    def _end(self, tx: Tx, *, replay: Replay, unit: Unit) -> tuple[bool, Replay | None]:
        """Put out what came of a replay, if it is still ours to end."""
        done = tx.replays.remove(replay.id, by=replay.claimed_by)
        if done:
            unit(tx)
        return done, self._claim_next(tx)

    def _claim_next(self, tx: Tx) -> Replay | None:
        now = self._clock.now()
        replay = tx.replays.next(self._group, stale=now - CLAIM, now=now, to_claim=True)
        if replay is None or replay.claimed_by is not None:
            return replay
        tx.replays.claim(replay.id, by=self._name, at=now)
        return dataclasses.replace(replay, claimed_by=self._name)

    def _is_anything_before_us(self, tx: Tx) -> bool:
        now = self._clock.now()
        return tx.replays.next(self._group, stale=now - CLAIM, now=now) is not None


def _back(tx: Tx, *, replay: Replay, letter: DeadLetter) -> bool:
    if not tx.replays.remove(replay.id, by=replay.claimed_by):
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
