"""The service, wired by hand: read this page first, from top to bottom.

    ingest ──articles.v1──▶ detectors ──readings.v1──▶ incidents ──alerts.v1──▶ notifier ──▶ one lane a receiver
                                           ▲    │
                                           └ bursts

Every stage runs under one supervisor and holds its state in the store. What the operator may change while it runs is
asked for anew each time it is used (`Service.settings`), so that a reload needs no restart and drops nothing. Where
state and stream are, and who may do alone what only one process may do, is the foundation's business.
"""

from __future__ import annotations

import asyncio
import zoneinfo
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from bursts import stage as bursts_stage
from incidents import stage as incidents_stage
from ingest.poller import Poller
from ingest.share import Share
from notifier import dispatch
from notifier.room import Dispatcher, lanes
from tocsin.actions import Actions, Board
from tocsin.clock import Clock, SystemClock
from tocsin.consumer import Work, consume, persist, run_timers
from tocsin.errors import SettingsInvalid, Stop
from tocsin.foundation import Foundation, laid
from tocsin.records import Article, Source
from tocsin.replays import run_replays
from tocsin.stages import PRELOAD, WORK, archiving, detecting
from tocsin.stages.housekeeping import ids_known, keep_house
from tocsin.store.overlay import FEEDS_CHANGED
from tocsin.stream.codec import encode
from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS, TOPICS
from tocsin.supervisor import Backoff, Health, Stage, Supervisor
from tocsin.workers import Pool
from web.app import create_app
from web.server import run as serve_web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from starlette.applications import Starlette

    from ingest.settings import Feed
    from tocsin.consumer import Unit
    from tocsin.errors import Problem
    from tocsin.settings import Settings
    from tocsin.store.port import Store
    from tocsin.store.timers import Timer
    from tocsin.store.tx import Tx
    from tocsin.stream.port import StreamRecord
    from web.settings import WebSettings

log = structlog.get_logger()

CHILD_MEMORY_BYTES: Final = 1_000_000_000
# Who reads what; a record is trimmed only when all of its topic's groups have passed it.
READERS: Final[Mapping[str, Sequence[str]]] = {
    ARTICLES: (detecting.GROUP, archiving.GROUP),
    READINGS: (incidents_stage.GROUP, bursts_stage.GROUP, archiving.GROUP),
    ALERTS: (dispatch.ROOM, archiving.GROUP),
    DEAD_LETTERS: (),  # other programs', if anybody's
}
# How many waiting records a group takes at once; nobody waits for the archive, and a commit there is dear.
BATCH: Final = 100
BATCHES: Final = {detecting.GROUP: 200, archiving.GROUP: 500}
AHEAD: Final = {detecting.GROUP: 2}  # batches in the making, so that no child waits while the next is fetched
SILENT_AFTER: Final = timedelta(minutes=3)  # a consumer that makes no turn for so long is stuck, not idle
RESTART: Final = Backoff(first=timedelta(seconds=0.5), cap=timedelta(minutes=1))


async def run(
    settings: Settings,
    *,
    load: Callable[[], Settings],
    reload_asked: asyncio.Event,
    health: Health,
    stage_drain_s: float,
    work: Collection[str] = WORK,
) -> None:
    """Run the service until cancelled; then every stage has *stage_drain_s* to end.

    Whoever cancels tells *health* first (`drain`), so that no more work is sent here meanwhile. *load* reads the files
    again; it is called when *reload_asked* is set, and by the web. The web is served whatever part of the *work* this
    process does.

    Raises:
        Stop: something that no restart of a stage can mend.
    """
    clock = SystemClock()
    async with laid(settings, clock=clock, work=work) as foundation:
        pool = Pool(
            size=settings.tocsin.workers if {"ingest", "detectors"} & set(work) else 1,
            memory_limit_bytes=CHILD_MEMORY_BYTES,
            preload=PRELOAD,
        )
        async with pool:
            service = Service(
                settings,
                load=load,
                foundation=foundation,
                pool=pool,
                health=health,
                clock=clock,
                stage_drain_s=stage_drain_s,
                work=work,
            )
            await service.run(reload_asked)


class Service:
    """All stages of one process, and the configuration that is in force."""

    def __init__(
        self,
        settings: Settings,
        *,
        load: Callable[[], Settings],
        foundation: Foundation,
        pool: Pool,
        health: Health,
        clock: Clock,
        stage_drain_s: float,
        work: Collection[str] = WORK,
    ) -> None:
        self.settings = settings
        self._load = load
        self._foundation = foundation
        self._store = foundation.store
        self._stream = foundation.stream
        self._archive = foundation.archive
        self._pool = pool
        self._clock = clock
        self._work = frozenset(work)
        self._health = health
        self._supervisor = Supervisor(restart=RESTART, health=self._health, clock=clock, drain_s=stage_drain_s)
        self._dispatcher = Dispatcher(settings.notifier, clock=clock)
        self._lanes: set[str] = set()
        self._reloading = asyncio.Lock()
        self._web_moved = asyncio.Event()
        self._feeds_changed = asyncio.Event()

    async def run(self, reload_asked: asyncio.Event) -> None:
        """Run every stage until cancelled."""
        for stage in self._stages():
            self._supervisor.add(stage)
        if "notifier" in self._work:
            for name, lane in self._new_lanes(self.settings).items():
                self._lanes.add(name)
                self._supervisor.add(lane)
        self._supervisor.add(Stage(name="reload", run=partial(self._reload_when_asked, reload_asked)))
        await self._supervisor.run()

    # ------------------------------------------------------------------------------------------------ the stages

    def _stages(self) -> Sequence[Stage]:
        actions = Actions(
            settings=lambda: self.settings,
            reload=self.reload,
            store=self._store,
            stream=self._stream,
            archive=self._archive,
            pool=self._pool,
            clock=self._clock,
        )
        app = create_app(
            store=self._store,
            archive=self._archive,
            health=Board(self._health, self._pool, self._foundation.trouble),
            settings=lambda: self.settings.tocsin.web,
            actions=actions,
            clock=self._clock,
        )
        parts: Mapping[str, Callable[[], Sequence[Stage]]] = {
            "ingest": self._ingest,
            "detectors": self._detectors,
            "incidents": self._incidents,
            "notifier": self._notifier,
            "archive": self._archiving,
        }
        return (
            Stage(name="web", run=partial(self._serve, app)),
            *(Stage(name=name, run=run) for name, run in self._foundation.background.items()),
            *(stage for name in WORK if name in self._work for stage in parts[name]()),
            self._held("housekeeping", "housekeeping", self._keep_house),
        )

    def _ingest(self) -> Sequence[Stage]:
        return (Stage(name="ingest", run=self._poll),)

    def _detectors(self) -> Sequence[Stage]:
        work = detecting.detecting(self._pool, lambda: self.settings.detectors)
        stage = Stage(name="detectors", run=self._detect, silent_after=SILENT_AFTER)
        return (stage, self._replaying(detecting.GROUP, work, alone=None))

    def _incidents(self) -> Sequence[Stage]:
        room, counting = incidents_stage.GROUP, bursts_stage.GROUP
        return (
            self._consuming("incidents", room, READINGS, self._track, alone=room),
            self._timing("incidents timers", room, self._grow_older),
            self._replaying(room, self._track, alone=room),
            self._consuming("bursts", counting, READINGS, self._count, alone=counting),
            self._replaying(counting, self._count, alone=counting),
        )

    def _notifier(self) -> Sequence[Stage]:
        room = dispatch.ROOM
        return (
            self._consuming("notifier", room, ALERTS, self._dispatch, alone=room),
            self._timing("notifier timers", room, self._release),
            self._replaying(room, self._dispatch, alone=room),
        )

    def _archiving(self) -> Sequence[Stage]:
        gathering = archiving.archiving(self._archive, gather_s=archiving.GATHER_S)
        room = archiving.GROUP
        return (
            *(self._consuming(f"archive {topic}", room, topic, gathering, alone=room) for topic in TOPICS),
            self._replaying(room, archiving.archiving(self._archive), alone=room),
        )

    async def _serve(self, app: Starlette) -> None:
        """Serve where the settings say; where that cannot be any more after a reload, serve where we did before."""
        before: str | None = None
        while True:
            self._web_moved.clear()
            settings = self.settings.tocsin.web
            try:
                await self._serve_until_moved(app, settings)
            except ExceptionGroup as group:
                refused = group.subgroup(Stop)
                if before is None or refused is None:
                    raise
                reason = "; ".join(str(stop) for stop in refused.exceptions)
                log.error("web not moved", reason=reason, listen=before)  # noqa: TRY400 — an operator's mistake has no traceback
                await self._serve_until_moved(app, settings.model_copy(update={"listen": before}))
            else:
                before = settings.listen

    async def _serve_until_moved(self, app: Starlette, settings: WebSettings) -> None:
        """Serve until a reload moves the address; then requests under way end first."""
        async with asyncio.TaskGroup() as tasks:
            server = serve_web(app, settings=settings, data_dir=self.settings.data_dir)
            serving = tasks.create_task(server, name="web server")
            await self._web_moved.wait()
            serving.cancel()

    async def _poll(self) -> None:
        poller = Poller(
            store=self._store,
            clock=self._clock,
            pool=self._pool,
            polling=self.settings.tocsin.polling,
            feeds=self._feeds,
            share=self._share(),
        )
        await poller.run()

    def _share(self) -> Share | None:
        """Return what says which feeds are this worker's; None where it is the only one."""
        holder = self._foundation.holder
        return (
            None
            if holder is None
            else Share(store=self._store, turns=self._foundation.turns, clock=self._clock, holder=holder)
        )

    def _feeds(self) -> Sequence[Feed]:
        return self.settings.sources.all()

    async def _detect(self) -> None:
        await self._warm()
        beat = partial(self._health.beat, "detectors")
        work = detecting.detecting(self._pool, lambda: self.settings.detectors, beat=beat)
        await self._consume("detectors", detecting.GROUP, ARTICLES, work, self._store, shared=True)

    async def _warm(self) -> None:
        """Have every child compile the rules before the first article is blamed for being slow."""
        article = Article(id="", revision="", feed="", source=Source(owner=""), seen_at=self._clock.now())
        job = replace(detecting.detecting_job(self.settings.detectors), deadline_s=60.0)
        await self._pool.map(job, [encode(article)] * self.settings.tocsin.workers)

    def _track(self, records: Sequence[StreamRecord]) -> Awaitable[Sequence[Unit]]:
        return incidents_stage.work_with(self.settings.incidents)(records)

    def _count(self, records: Sequence[StreamRecord]) -> Awaitable[Sequence[Unit]]:
        return bursts_stage.work_with(self.settings.bursts)(records)

    def _grow_older(self, tx: Tx, timer: Timer) -> None:
        incidents_stage.timers_with(self.settings.incidents)(tx, timer)

    def _dispatch(self, records: Sequence[StreamRecord]) -> Awaitable[Sequence[Unit]]:
        return self._dispatcher.work(records)

    def _release(self, tx: Tx, timer: Timer) -> None:
        self._dispatcher.on_timer(tx, timer)

    async def _keep_house(self, store: Store) -> None:
        kafka = self.settings.tocsin.kafka
        await keep_house(
            store=store,
            archive=self._archive,
            clock=self._clock,
            keep=lambda: timedelta(days=self.settings.tocsin.keep.days),
            readers=READERS,
            known=lambda: ids_known(None if kafka is None else kafka.keep),
            incidents_live=lambda: self.settings.incidents.close_after + self.settings.incidents.remember,
            quota_used=self._foundation.quota_used,
        )

    def _held(
        self, name: str, right: str, run: Callable[[Store], Awaitable[None]], *, silent_after: timedelta | None = None
    ) -> Stage:
        """Return a stage that runs where the *right* is held, and waits everywhere else."""
        alone = self._foundation.alone(right)
        beat = partial(self._health.beat, name)
        return Stage(name=name, run=partial(alone.while_held, run, beat=beat), silent_after=silent_after)

    def _consuming(self, name: str, group: str, topic: str, work: Work, *, alone: str) -> Stage:
        run = partial(self._consume, name, group, topic, work)
        return self._held(name, alone, run, silent_after=SILENT_AFTER)

    async def _consume(
        self, name: str, group: str, topic: str, work: Work, store: Store, *, shared: bool = False
    ) -> None:
        # The detectors' output and the archive's rows have names of their own, so there a record that comes again does
        # no harm; an incident would count it twice.
        is_safe = group in {detecting.GROUP, archiving.GROUP}
        await consume(
            stream=self._stream,
            store=store,
            clock=self._clock,
            group=group,
            topic=topic,
            work=work,
            batch=BATCHES.get(group, BATCH),
            ahead=AHEAD.get(group, 1),
            beat=partial(self._health.beat, name),
            shared=shared,
            patient=group == archiving.GROUP,
            once=self._foundation.repeats and not is_safe,
        )

    def _replaying(self, group: str, work: Work, *, alone: str | None) -> Stage:
        """Return the stage that takes dead letters of *group* through its work once more."""
        name = f"replays {group}"
        shared = alone is None and self._foundation.repeats  # where there is a broker there may be other workers

        async def run(store: Store) -> None:
            beat = partial(self._health.beat, name)
            await run_replays(store=store, clock=self._clock, group=group, work=work, beat=beat, shared=shared)

        if alone is None:
            return Stage(name=name, run=partial(run, self._store), silent_after=SILENT_AFTER)
        return self._held(name, alone, run, silent_after=SILENT_AFTER)

    def _timing(self, name: str, room: str, handle: Callable[[Tx, Timer], None]) -> Stage:
        async def run(store: Store) -> None:
            beat = partial(self._health.beat, name)
            await run_timers(store=store, clock=self._clock, room=room, handle=handle, beat=beat)

        return self._held(name, room, run, silent_after=SILENT_AFTER)

    def _new_lanes(self, settings: Settings) -> dict[str, Stage]:
        """Return one stage for each receiver, by its name."""
        return {name: self._lane(name, settings) for name in settings.notifier.receivers}

    def _lane(self, name: str, settings: Settings) -> Stage:
        async def run(store: Store) -> None:
            made = lanes(
                settings.notifier,
                store=store,
                clock=self._clock,
                data_dir=settings.data_dir,
                zone=zoneinfo.ZoneInfo(settings.tocsin.timezone),
            )
            await made[name].run()

        return self._held(f"lane {name}", dispatch.ROOM, run)

    # ------------------------------------------------------------------------------------------------ reloading

    async def _reload_when_asked(self, asked: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_of_feeds(), name="news of feeds")
            while True:
                await asked.wait()
                asked.clear()
                await self.reload()

    async def _tell_of_feeds(self) -> None:
        """Wake who polls after a reload, however long the store is away; nobody who reloads waits for that."""
        while True:
            await self._feeds_changed.wait()
            self._feeds_changed.clear()
            try:
                await persist(self._store, self._clock, lambda tx: tx.wake(FEEDS_CHANGED))
            except BaseException:
                self._feeds_changed.set()
                raise

    async def reload(self) -> Sequence[Problem]:
        """Read the files again and put them in force; with any problem the old ones stay.

        What is under way ends by the old configuration, what comes after begins by the new one.
        """
        async with self._reloading:
            try:
                new = await asyncio.to_thread(self._load)
            except SettingsInvalid as error:
                for problem in error.problems:
                    log.error("configuration refused", problem=str(problem))  # noqa: TRY400 — an operator's mistake has no traceback
                return error.problems
            old, self.settings = self.settings, new
            self._dispatcher = Dispatcher(new.notifier, clock=self._clock)
            self._archive.size = new.tocsin.keep.size
            if old.tocsin.workers != new.tocsin.workers:
                log.warning("restart needed", setting="tocsin.workers", running=old.tocsin.workers)
            if "notifier" in self._work:
                await self._change_lanes(old, new)
            if "ingest" in self._work and old.tocsin.polling != new.tocsin.polling:
                await self._supervisor.remove("ingest")
                for stage in self._ingest():
                    self._supervisor.add(stage)
            else:
                self._feeds_changed.set()
            if _doors(old.tocsin.web) != _doors(new.tocsin.web):
                self._web_moved.set()
            log.info("configuration reloaded", version=new.version, rules=new.detectors.version)
            return ()

    async def _change_lanes(self, old: Settings, new: Settings) -> None:
        """End the lanes of receivers that are gone or changed, and start the new ones; the others go on."""
        same_frame = (old.notifier.subscriptions, old.tocsin.timezone) == (
            new.notifier.subscriptions,
            new.tocsin.timezone,
        )
        fresh = self._new_lanes(new)
        changed = {
            name
            for name in {*self._lanes, *fresh}
            if not (same_frame and name in self._lanes)
            or old.notifier.receivers.get(name) != new.notifier.receivers.get(name)
        }
        # All at once: one whose receiver hangs takes its time to end, and the others must not wait for it.
        async with asyncio.TaskGroup() as tasks:
            for name in changed:
                tasks.create_task(self._change_lane(name, fresh.get(name)), name=f"change of lane {name}")

    async def _change_lane(self, name: str, fresh: Stage | None) -> None:
        if name in self._lanes:
            self._lanes.discard(name)
            await self._supervisor.remove(f"lane {name}")
        if fresh is not None:
            self._lanes.add(name)
            self._supervisor.add(fresh)


def _doors(web: WebSettings) -> tuple[object, ...]:
    """Return what a listening socket was made from; everything else the web asks for anew at each request."""
    return (web.listen, web.connections)
