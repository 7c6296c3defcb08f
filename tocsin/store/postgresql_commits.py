"""Many units in one commit on PostgreSQL, run again for as long as that may help, and counted once."""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from tocsin import metrics
from tocsin.errors import StoreUnavailable
from tocsin.store import postgresql_line
from tocsin.store.postgresql_session import (
    ERRORS,
    PROGRAM,
    Session,
    is_conflict,
    is_loss,
    lost,
    session_of,
    sqlstate,
    translated,
    words,
)
from tocsin.store.postgresql_wakes import notifications
from tocsin.store.trouble import QUOTA
from tocsin.store.tx import Tx

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from tocsin.clock import Clock
    from tocsin.store.postgresql_line import Line
    from tocsin.store.trouble import Troubles
    from tocsin.store.writer import Order

log = structlog.get_logger()

LOSSES: Final = 3  # of the connection under one group: then it may be what kills it
CONFLICTS: Final = 12  # that one group may meet with before its callers are told to wait
ALONE_AFTER: Final = 3  # conflicts; then each unit is committed by itself
DOUBT_WITHIN_S: Final = 60.0  # whether a commit stands is worth waiting for
IN_DOUBT_PAUSE_S: Final = 0.05
OUTBOX_LIMIT: Final = 1_000_000  # records, of some kilobytes each
LOOK_EVERY_S: Final = 5.0
WRITERS_KEPT: Final = timedelta(days=365)
TAKEN_KEY: Final = "23505"
LOCK_TIMEOUT: Final = "55P03"
READ_ONLY: Final = "25006"  # a server that was the primary and is none any more

_BEGIN: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ;"
    " INSERT INTO store_counters (name, value) VALUES ('{writer}', {number}) ON CONFLICT (name)"
    " DO UPDATE SET value = excluded.value WHERE store_counters.value < excluded.value"
)
# Waits until a transaction that may still be under way has ended, one way or the other.
_COUNTED: Final = (
    "INSERT INTO store_counters (name, value) VALUES (%(writer)s, 0) ON CONFLICT (name)"
    " DO UPDATE SET value = store_counters.value RETURNING value"
)
_LEAVE: Final = "DELETE FROM store_counters WHERE name = %(writer)s OR name >= 'writer/' AND name < %(oldest)s"
# `idle_in_transaction` ends a process that is stopped between two statements. One that is stopped in the middle of
# sending a statement is not idle to the server, and no timeout of PostgreSQL before 17 ends its wait for the rest.
_END_STOPPED: Final = """
WITH stopped AS MATERIALIZED (
    SELECT pid, application_name FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
      AND starts_with(application_name, %(program)s) AND state = 'active' AND wait_event = 'ClientRead'
      AND greatest(xact_start, state_change) < clock_timestamp() - %(silent)s
)
SELECT application_name FROM stopped WHERE pg_terminate_backend(pid)
"""
# How many records wait, where that is more than the limit. An estimate costs nothing, but a server that crashed begins
# to estimate from nothing; the span of the positions is never less than the truth.
_WAITING: Final = """
WITH told AS MATERIALIZED (
    SELECT (SELECT max(position) FROM stream_records) - (SELECT min(position) FROM stream_records) + 1 AS span,
           pg_stat_get_live_tuples('stream_records'::regclass) AS estimate
)
SELECT CASE WHEN coalesce(span, 0) <= %(limit)s THEN 0 WHEN estimate > %(limit)s THEN least(estimate, span)
       ELSE (SELECT count(*) FROM (SELECT FROM stream_records LIMIT %(limit)s + 1) AS waiting) END
FROM told
"""


class _Torn(Exception):
    """A unit failed, and the whole transaction with it."""


class _Contended(Exception):
    """Other processes stand in the way again and again; what is smaller gets through sooner."""


class _InDoubt(Exception):
    """The connection was lost when a commit was under way."""

    def __init__(self, woken: set[str]) -> None:
        super().__init__()
        self.woken = woken


class _Tries:
    """How often one group was tried in vain."""

    def __init__(self) -> None:
        self.conflicts = 0
        self.losses = 0
        self._since = 0.0

    def lose(self) -> None:
        """Count a lost connection."""
        self._since = self._since or time.monotonic()
        self.losses += 1

    @property
    def are_enough(self) -> bool:
        """Whether its callers are to be told to wait: a server that comes and goes is given some time."""
        return self.conflicts >= CONFLICTS or (
            self.losses >= LOSSES and time.monotonic() - self._since > postgresql_line.BACK_WITHIN_S
        )

    @property
    def pause_s(self) -> float:
        """How long to wait before the next try; never the same, so that two who were in each other's way part."""
        longest = 0.005 * 2 ** min(self.conflicts, 6) + 0.02 * 2 ** min(self.losses, 5)
        return random.uniform(0, longest)  # noqa: S311 — nobody is to be kept from guessing it


class Commits:
    """What the writer's thread does with the units it is given. *answer* tells their callers, and whom to wake.

    A process of ours that has been *silent* for so long inside a transaction does not keep its locks.

    Each group has a number, which is written into a row of this process's own together with what the group does: so a
    commit whose answer was lost can be looked up, after a crash or fail-over of the server as well.
    """

    def __init__(
        self,
        line: Line,
        *,
        at: str,
        clock: Clock,
        troubles: Troubles,
        closing: threading.Event,
        silent: timedelta,
        answer: Callable[[Sequence[Order], set[str]], None],
    ) -> None:
        self._line = line
        self._silent = silent
        self._at = at
        self._clock = clock
        self._troubles = troubles
        self._closing = closing
        self._answer = answer
        self._writer = _name(clock.now())
        self._number = 0
        self._full = ""
        self._look_at = 0.0

    def work(self, batch: Sequence[Order]) -> None:
        """Commit *batch* and answer it. Runs in the writer's thread, which must outlive whatever happens."""
        woken: set[str] = set()
        try:
            woken = self._commit(batch)
        except _Contended:
            for order in batch:
                self.work([order])
            return
        except Exception as error:  # noqa: BLE001 — the one writer outlives any unit; each caller gets the error
            fate = translated(error, at=self._at)
            self._troubles.failed(fate)
            for order in batch:
                order.outcome, order.error = None, fate
        self._answer(batch, woken)

    def leave(self) -> None:
        """Take our row away, and those of processes that were killed a year ago, once nothing is to be written."""
        with contextlib.suppress(StoreUnavailable, *ERRORS):
            oldest = _name(self._clock.now() - WRITERS_KEPT)
            session_of(self._line.conn(within_s=0)).execute(_LEAVE, {"writer": self._writer, "oldest": oldest})

    def _commit(self, batch: Sequence[Order]) -> set[str]:
        """Run *batch* in one transaction, and again for as long as that may help; return what it wakes."""
        tries = _Tries()
        self._number += 1
        savepoints = False
        while True:
            conn = self._line.conn()
            session = session_of(conn)
            try:
                return self._once(conn, batch, savepoints=savepoints, patient=tries.conflicts < ALONE_AFTER)
            except _Torn:
                savepoints = True
                continue
            except _InDoubt as doubt:
                tries.lose()
                metrics.STORE_RETRIES.labels(reason="doubt").inc()
                if self._stands(doubt):
                    return doubt.woken
                if tries.are_enough:
                    raise StoreUnavailable(f"{self._at}: the connection was lost at each commit") from doubt
            except ERRORS as error:
                self._count(error, session, tries)
                if tries.are_enough:
                    raise
                if tries.conflicts >= ALONE_AFTER and len(batch) > 1:
                    raise _Contended from error
            self._closing.wait(tries.pause_s)

    def _count(self, error: Exception, session: Session, tries: _Tries) -> None:
        """Note what became of a try, and make ready for the next; what no other try would mend is raised."""
        if session.is_lost or is_loss(error) or sqlstate(error) == READ_ONLY:
            tries.lose()
            self._line.drop()
            if tries.losses == 1:
                log.warning("connection lost", store=self._at, reason=words(error))
            metrics.STORE_RETRIES.labels(reason="lost").inc()
            return
        self._undo(session)
        if not _may_pass(error):
            raise error
        tries.conflicts += 1
        metrics.STORE_RETRIES.labels(reason="conflict").inc()
        if sqlstate(error) == LOCK_TIMEOUT:
            self._end_stopped(session)

    def _once(self, conn: Connection, batch: Sequence[Order], *, savepoints: bool, patient: bool) -> set[str]:
        """Run *batch* in one transaction; without *savepoints* only if none of them fails, or if it is the only one."""
        session = session_of(conn)
        session.execute(_BEGIN.format(writer=self._writer, number=self._number), prepare=False)
        tx = Tx(conn, self._clock, no_room=self._no_room(session))
        for order in batch:
            if savepoints:
                session.execute("SAVEPOINT unit")
            order.run(tx)
            self._judge(order, session, patient=patient)
            if savepoints:
                session.execute("ROLLBACK TO unit; RELEASE unit" if order.error else "RELEASE unit", prepare=False)
            elif order.error is not None:
                self._undo(session)
                if len(batch) > 1:
                    raise _Torn
                return set()
        # One message: told after the commit, so that its lock on all who tell is not held while the disk is waited for.
        commit = "; ".join(("COMMIT", *notifications(tx.woken)))
        try:
            ended = session.execute(commit, prepare=False)
        except ERRORS as error:
            raise _InDoubt(tx.woken) from error
        if ended.statusmessage != "COMMIT":
            raise StoreUnavailable(f"{self._at}: COMMIT was answered by {ended.statusmessage}")
        metrics.STORE_COMMITS.inc()
        if not any(order.error for order in batch):
            self._troubles.worked()
        return tx.woken

    def _no_room(self, session: Session) -> str:
        """Return why no article is accepted, if so: state and alerts keep the room that a full outbox would take."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_S  # also when the question takes too long and fails
            (waiting,) = session.execute(_WAITING, {"limit": OUTBOX_LIMIT}).fetchone() or (0,)
            self._full = f"{waiting:,} records wait for the brokers" if waiting > OUTBOX_LIMIT else ""
            self._troubles.note(QUOTA, self._full)
        return self._full

    def _judge(self, order: Order, session: Session, *, patient: bool) -> None:
        """Tell what is wrong with a unit from what is wrong with the whole transaction, which is raised."""
        ours = order.error if order.error is None else _of_database(order.error)
        if ours is not None:
            if is_loss(ours) or is_conflict(ours) or sqlstate(ours) == READ_ONLY:
                raise ours
            if patient and _may_pass(ours):
                raise ours
        if session.is_lost:
            raise lost()
        if isinstance(order.error, ERRORS):
            order.error = translated(order.error, at=self._at)
            self._troubles.failed(order.error)
        elif order.error is None and session.has_refused:
            order.error = RuntimeError("the unit went on after the database had refused a statement of it")

    def _stands(self, doubt: _InDoubt) -> bool:
        """Say whether the commit that nobody confirmed is one.

        Raises:
            StoreUnavailable: nobody who knows can be asked.
        """
        deadline = time.monotonic() + DOUBT_WITHIN_S
        self._line.drop()
        while True:
            session = session_of(self._line.conn(within_s=max(0.0, deadline - time.monotonic())))
            try:
                (counted,) = session.execute(_COUNTED, {"writer": self._writer}).fetchone() or (0,)
            except ERRORS as error:
                if session.is_lost or is_loss(error):
                    self._line.drop()
                if time.monotonic() > deadline:
                    raise StoreUnavailable(f"{self._at}: whether a commit stands is not known") from error
                time.sleep(IN_DOUBT_PAUSE_S)
                continue
            if counted < self._number:
                return False
            log.info("commit confirmed", store=self._at)
            if doubt.woken:
                with contextlib.suppress(*ERRORS):  # who waits looks by himself as well
                    session.execute("; ".join(notifications(doubt.woken)), prepare=False)
            return True

    def _end_stopped(self, session: Session) -> None:
        """Have the server undo what a stopped process holds locks for; should it wake, it finds its connection lost."""
        try:
            stopped = session.execute(_END_STOPPED, {"program": PROGRAM, "silent": self._silent}).fetchall()
        except ERRORS:
            self._line.drop()
            return
        for (holder,) in stopped:
            log.warning("stopped transaction ended", store=self._at, holder=holder.removeprefix(PROGRAM).strip())

    def _undo(self, session: Session) -> None:
        try:
            session.execute("ROLLBACK")
        except ERRORS:
            self._line.drop()


def _may_pass(error: BaseException) -> bool:
    """Whether running the same again may help: a key that is taken may be one that another process took just now."""
    return is_conflict(error) or sqlstate(error) == TAKEN_KEY


def _name(now: datetime) -> str:
    return f"writer/{now:%Y-%m-%d}/{secrets.token_hex(8)}"


def _of_database(error: BaseException) -> BaseException | None:
    """Return the database's error that *error* is or comes from."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, ERRORS):
            return at
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return None
