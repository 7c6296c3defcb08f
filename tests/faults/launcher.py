"""`tocsin …` that dies at a point which the test chooses, or whose wall clock jumps. The product knows nothing of it.

    python -m tests.faults.launcher PLAN run --config … --data …

PLAN is JSON. `{"die": POINT, "at": N}` ends the process by SIGKILL at the N-th time that it passes POINT (see
`POINTS`), `{"deadly": WORD}` whenever it fetches a document that holds WORD. `{"clock": FILE}` adds the seconds that
stand in FILE to every reading of the wall clock, and only to that.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

# A commit has three borders: nothing of it stands, it stands and nobody knows, it stands and is counted. Then the two
# places that are outside the transaction: the archive's file, and a receiver that has taken the message.
POINTS: Final = (
    "before commit",
    "after commit",
    "after count",
    "before archive",
    "after archive",
    "before send",
    "after send",
)
# Of a process in a cluster: PostgreSQL counts its commits itself, and its archive is part of them.
CLUSTER_POINTS: Final = (
    "inside a transaction",
    "inside a statement",
    "before commit",
    "after commit",
    "before send",
    "after send",
)
# `Parse` of a statement, whole, and the first bytes of a `Bind` (PostgreSQL's frontend/backend protocol 3, 55.7).
HALF_A_STATEMENT: Final = struct.pack("!ci10sh", b"P", 16, b"\0SELECT 1\0", 0) + struct.pack(
    "!cic", b"B", 100_000, b"\0"
)


class _Death:
    """A signal, SIGKILL if no other is given, at the N-th passing of one point."""

    def __init__(self, point: str, at: int, number: signal.Signals = signal.SIGKILL) -> None:
        self._point = point
        self._left = at
        self._signal = number

    def passing(self, point: str, *, first: Callable[[], object] = bool) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                first()
                os.kill(os.getpid(), self._signal)
                time.sleep(0.5)  # another thread may take the signal, and this one go on for a moment


def _die(death: _Death) -> None:
    from sqlalchemy import event

    from notifier.channels.file import JsonLines
    from notifier.channels.slack_webhook import SlackWebhook
    from tocsin.store import sqlite
    from tocsin.store.archive import FileArchive
    from tocsin.store.commit_counter import CommitCounter

    make_engine = sqlite._engine

    @wraps(make_engine)
    def engine_of(*arguments: Any, **named: Any) -> Any:
        engine = make_engine(*arguments, **named)

        @event.listens_for(engine, "before_cursor_execute")
        def before(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _m: bool) -> None:
            if statement == "COMMIT":
                death.passing("before commit")

        @event.listens_for(engine, "after_cursor_execute")
        def after(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _m: bool) -> None:
            if statement == "COMMIT":
                death.passing("after commit")

        return engine

    sqlite._engine = engine_of
    _wrap(CommitCounter, "note", death, after="after count")
    _wrap(FileArchive, "put", death, before="before archive", after="after archive")
    for channel in (JsonLines, SlackWebhook):
        _wrap_async(channel, "send", death, before="before send", after="after send")


def _die_in_a_cluster(death: _Death) -> None:
    from tocsin.store.postgresql_session import Session

    inner = Session.execute

    @wraps(inner)
    def execute(session: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        if not isinstance(query, str):
            return inner(session, query, *arguments, **named)
        if query.startswith("COMMIT"):
            death.passing("before commit")
        answer = inner(session, query, *arguments, **named)
        if query.startswith("COMMIT"):
            death.passing("after commit")
        elif query.startswith("BEGIN") and "READ ONLY" not in query:
            death.passing("inside a transaction")
            death.passing("inside a statement", first=partial(os.write, session.pgconn.socket, HALF_A_STATEMENT))
        return answer

    Session.execute = execute  # type: ignore[method-assign, assignment]  # we stand between


def _wrap(owner: type, name: str, death: _Death, *, before: str = "", after: str = "") -> None:
    inner: Callable[..., Any] = getattr(owner, name)

    @wraps(inner)
    def outer(*arguments: Any, **named: Any) -> Any:
        death.passing(before)
        answer = inner(*arguments, **named)
        death.passing(after)
        return answer

    setattr(owner, name, outer)


def _wrap_async(owner: type, name: str, death: _Death, *, before: str, after: str) -> None:
    inner: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @wraps(inner)
    async def outer(*arguments: Any, **named: Any) -> Any:
        death.passing(before)
        answer = await inner(*arguments, **named)
        death.passing(after)
        return answer

    setattr(owner, name, outer)


def _die_of(word: bytes) -> None:
    from ingest import visit

    inner: Callable[..., Awaitable[Any]] = vars(visit)["fetch"]

    @wraps(inner)
    async def fetch(*arguments: Any, **named: Any) -> Any:
        got = await inner(*arguments, **named)
        if word in getattr(got, "body", b""):
            os.kill(os.getpid(), signal.SIGKILL)
        return got

    vars(visit)["fetch"] = fetch


def _bend_clock(file: Path) -> None:
    from tocsin import clock

    inner = clock.wall

    def wall() -> float:
        try:
            return inner() + float(file.read_text("utf-8") or 0)
        except FileNotFoundError:
            return inner()

    clock.wall = wall


def main(arguments: Sequence[str]) -> None:
    """Prepare what the plan says and be `tocsin`."""
    plan = json.loads(arguments[0])
    for what, number in (("die", signal.SIGKILL), ("stop", signal.SIGSTOP)):
        if what in plan:
            death = _Death(plan[what], plan["at"], number)
            _die(death)
            if plan[what] in CLUSTER_POINTS:
                _die_in_a_cluster(death)
    if "deadly" in plan:
        _die_of(plan["deadly"].encode())
    if "clock" in plan:
        _bend_clock(Path(plan["clock"]))
    from tocsin.cli import main as tocsin

    tocsin(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
