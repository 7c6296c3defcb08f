"""Stream, store and steps against a model in memory: whatever is killed, repeated or trimmed, both say the same.

One topic in, a stage that counts and passes on, one topic out, as every stage of the service is built. The model has
a list for each topic and a number for each key. A *worker* is what a process knows: where it believes the cursor to
be. A crash forgets it at any point; a zombie is a worker that believes in an old cursor. The same on PostgreSQL, with
a relay and a broker, is in `test_model_on_postgresql.py`.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from tocsin.errors import Fenced
from tocsin.records import digest
from tocsin.store.overlay import Change
from tocsin.store.sqlite import SqliteStore
from tocsin.store.timers import Timer
from tocsin.store.topics import StoredRecord
from tocsin.store.tx import Tx
from tocsin.testing import DAY, NOON, FakeClock, a_store

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tocsin.store.postgresql import PostgresqlStore

T = TypeVar("T")

STORE: Final = "tocsin.db"
EXAMPLES: Final = int(os.environ.get("CHAOS_EXAMPLES", "15"))
IN, OUT, GROUP, ROOM = "articles.v1", "readings.v1", "counting", "counting"
KEYS: Final = st.sampled_from("abc")
NAMES: Final = st.integers(0, 30).map(str)
KEPT: Final = 2 * DAY


@cache
def empty_store() -> Path:
    """Make one store without anything in it, to be copied: to make one takes longer than all that follows."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-model-"))
    atexit.register(shutil.rmtree, folder)

    async def make() -> None:
        async with a_store(folder):
            pass

    asyncio.run(make())
    return folder / STORE


class Poison(Exception):
    """The unit of a record that cannot be worked on."""


class Killed(BaseException):
    """The process ends here."""


@dataclass(slots=True)
class Worker:
    """What one process believes."""

    cursor: int
    batch: list[StoredRecord] = field(default_factory=list)


@dataclass(slots=True)
class Model:
    """What must be so."""

    arrived: list[tuple[str, str]] = field(default_factory=list)  # (key, id), in order
    known: dict[str, int] = field(default_factory=dict)  # id → place in `arrived`
    since: dict[str, datetime] = field(default_factory=dict)  # id → when it was put out last
    done: int = 0  # how many of `arrived` the group has passed
    counts: dict[str, int] = field(default_factory=dict)
    out: list[str] = field(default_factory=list)
    timers: dict[str, int] = field(default_factory=dict)  # key → due, in hours
    rung: list[str] = field(default_factory=list)


def count_of(key: str, value: str) -> Change:
    return Change(kind="count", id=key, value=value, actor="", at=NOON)


def steps(tx: Tx, record: StoredRecord) -> None:
    """Count one more of the record's key, pass the step on, and have a timer look at the key an hour later."""
    if record.id.endswith("7"):
        tx.overlay.put(count_of(record.key, "half"))
        raise Poison
    counted = next((int(one.value) for one in tx.overlay.all("count") if one.id == record.key), 0) + 1
    tx.overlay.put(count_of(record.key, str(counted)))
    tx.emit(OUT, key=record.key, record_id=digest(record.key, str(counted)), value=f"{record.key}{counted}".encode())


class Pipeline(RuleBasedStateMachine):
    """Rules are what happens to a service; after each, store and model are compared."""

    workers = Bundle("workers")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.model = Model()
        self.hours = 0
        self.prepare()
        self.store = self.opened()

    def prepare(self) -> None:
        """Make what the store is kept in."""
        self.folder = Path(tempfile.mkdtemp(prefix="tocsin-model-"))
        shutil.copy(empty_store(), self.folder / STORE)

    def opened(self) -> SqliteStore | PostgresqlStore:
        store = SqliteStore(self.folder / STORE, clock=self.clock)
        self.run(store.open())
        assert store.lost_commits == 0
        return store

    def fetched(self, start: int, most: int) -> list[StoredRecord]:
        """Return what is on the topic at or behind *start*."""
        return self.run(self.store.read(lambda tx: tx.topics.fetch(IN, start=start, most=most)))

    def run(self, what: Awaitable[T]) -> T:
        return self.loop.run_until_complete(what)

    @override
    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        self.clear_away()

    def clear_away(self) -> None:
        """Remove what `prepare` made."""
        shutil.rmtree(self.folder)

    # ------------------------------------------------------------------------------------------------------- rules

    @initialize(target=workers)
    def begin(self) -> Worker:
        return Worker(cursor=0)

    @rule(key=KEYS, name=NAMES)
    def emit(self, key: str, name: str) -> None:
        """Put out a record, which may have been put out before."""
        fresh = self.run(self.store.write(lambda tx: tx.emit(IN, key=key, record_id=name, value=key.encode())))
        assert fresh == (name not in self.model.known)
        if fresh:
            self.model.known[name] = len(self.model.arrived)
            self.model.arrived.append((key, name))
            self.model.since[name] = self.clock.now()

    @rule(key=KEYS, names=st.lists(NAMES, min_size=1, max_size=4))
    def emit_and_die_before_the_commit(self, key: str, names: list[str]) -> None:
        def unit(tx: Tx) -> None:
            for name in names:
                tx.emit(IN, key=key, record_id=name, value=b"")
            raise Killed

        try:
            self.run(self.store.write(unit))
        except Killed:
            self.restart()

    @rule(worker=workers, most=st.integers(1, 5))
    def fetch(self, worker: Worker, most: int) -> None:
        """Read on from where the worker believes the cursor to be."""
        start = worker.batch[-1].position + 1 if worker.batch else worker.cursor
        worker.batch += self.fetched(start, most)

    @rule(worker=workers)
    @precondition(lambda self: self.model.arrived)
    def write(self, worker: Worker) -> None:
        """Write cursor, state and output of the batch in one transaction, record by record where one is poison."""
        self.put(worker, die=False)

    @rule(worker=workers)
    @precondition(lambda self: self.model.arrived)
    def write_and_die_before_the_commit(self, worker: Worker) -> None:
        self.put(worker, die=True)
        self.restart()

    def put(self, worker: Worker, *, die: bool) -> None:
        batch, worker.batch = worker.batch, []
        for record in batch:
            try:
                self.one(worker, record, die=die)
            except Fenced:
                assert worker.cursor != self.cursor()  # never one who is right
                return
            except Killed:
                return
            worker.cursor = record.position + 1
            self.pass_one(record)

    def one(self, worker: Worker, record: StoredRecord, *, die: bool) -> None:
        def unit(tx: Tx) -> None:
            tx.advance(GROUP, IN, 0, expect=worker.cursor, to=record.position + 1)
            self.work(tx, record)
            if die:
                raise Killed

        def aside(tx: Tx) -> None:
            tx.advance(GROUP, IN, 0, expect=worker.cursor, to=record.position + 1)

        try:
            self.run(self.store.write(unit))
        except Poison:
            self.run(self.store.write(aside))

    def work(self, tx: Tx, record: StoredRecord) -> None:
        """Do what the stage does with a record."""
        steps(tx, record)

    def pass_one(self, record: StoredRecord) -> None:
        """Note in the model that the group has passed *record*."""
        key, name = self.model.arrived[self.model.done]
        assert (record.key, record.id) == (key, name)
        self.model.done += 1
        self.count(key, name)

    def count(self, key: str, name: str) -> None:
        """Note in the model what comes of a record of that name."""
        if not name.endswith("7"):
            self.model.counts[key] = self.model.counts.get(key, 0) + 1
            self.model.out.append(f"{key}{self.model.counts[key]}")

    @rule(worker=workers)
    def rewind(self, worker: Worker) -> None:
        """Do what a fenced worker does: believe the store."""
        worker.cursor, worker.batch = self.cursor(), []

    @rule(target=workers)
    def another_worker(self) -> Worker:
        return Worker(cursor=self.cursor())

    @rule()
    def restart(self) -> None:
        """Close the file and open it again; the workers live on as zombies."""
        self.run(self.store.close())
        self.store = self.opened()

    @rule(hours=st.integers(0, 60))
    def trim(self, hours: int) -> None:
        """Let time pass and have the stream forget."""
        self.hours += hours
        self.run(self.clock.move(timedelta(hours=hours)))
        gone = self.run(
            self.store.write(lambda tx: tx.topics.trim(IN, groups=[GROUP], now=self.clock.now(), keep=KEPT, most=100))
        )
        self.forget(gone)

    def forget(self, gone: int) -> None:
        """Have the model forget what a trimming may have made the stream forget, *gone* of it."""
        left = {row.id for row in self.run(self.store.read(lambda tx: tx.topics.fetch(IN, start=0, most=999)))}
        passed = {name for _, name in self.model.arrived[: self.model.done]}
        for name in [one for one in self.model.known if one not in left]:
            assert name in passed
            del self.model.known[name]
            gone -= 1
        assert gone == 0

    @rule(key=KEYS, hours=st.integers(0, 5))
    def set_timer(self, key: str, hours: int) -> None:
        due = self.clock.now() + timedelta(hours=hours)
        self.run(self.store.write(lambda tx: tx.timers.set(ROOM, "look", key, due=due)))
        self.model.timers[key] = self.hours + hours

    @rule(dies=st.booleans(), twice=st.booleans())
    def fire(self, dies: bool, twice: bool) -> None:
        """Handle what is due; a death in between loses nothing, and a zombie's second handling does nothing."""
        due: list[Timer] = self.run(self.store.read(lambda tx: tx.timers.due(ROOM, self.clock.now())))
        assert {timer.key for timer in due} == {key for key, at in self.model.timers.items() if at <= self.hours}
        for timer in due * (2 if twice else 1):

            def unit(tx: Tx, timer: Timer = timer) -> bool:
                if not tx.timers.remove(timer):
                    return False
                tx.emit("alerts.v1", key=timer.key, record_id=f"{timer.key}{timer.due}", value=timer.key.encode())
                if dies:
                    raise Killed
                return True

            try:
                handled = self.run(self.store.write(unit))
            except Killed:
                continue
            assert handled == (timer.key in self.model.timers)
            self.model.timers.pop(timer.key, None)

    # -------------------------------------------------------------------------------------------------- comparisons

    def told(self, tx: Tx) -> list[str]:
        """Return what came out."""
        return [(row.value or b"").decode() for row in tx.topics.fetch(OUT, start=0, most=999)]

    def cursor(self) -> int:
        return int(self.run(self.store.read(lambda tx: tx.topics.position(GROUP, IN))))

    @invariant()
    def store_and_model_say_the_same(self) -> None:
        def look(tx: Tx) -> tuple[dict[str, int], list[str], int]:
            counts = {one.id: int(one.value) for one in tx.overlay.all("count")}
            return counts, self.told(tx), tx.topics.lag().get((GROUP, IN), -1)

        counts, out, behind = self.run(self.store.read(look))
        assert counts == self.model.counts
        assert out == self.model.out
        if behind >= 0:
            assert behind == len(self.model.arrived) - self.model.done


TestPipeline = Pipeline.TestCase
TestPipeline.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
