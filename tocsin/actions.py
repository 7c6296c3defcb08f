"""What the web may ask of the running service."""

from __future__ import annotations

import asyncio
import importlib.metadata
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from ingest.settings import FeedSettings
from tocsin import metrics
from tocsin.dead_letters import Desk
from tocsin.errors import TryLater
from tocsin.health import Health, StageState
from tocsin.stages import detecting
from tocsin.stream.codec import encode
from tocsin.stream.dead_letters import show
from tocsin.why import why
from tocsin.workers import Failed
from web.ports import Measured, StageStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.errors import Problem
    from tocsin.records import Article
    from tocsin.settings import Settings
    from tocsin.store.dead_letters import Heap
    from tocsin.store.port import Archive, Store
    from tocsin.store.tx import Tx
    from tocsin.stream.port import Stream
    from tocsin.workers import Pool

STORE_S: Final = 2.5  # for the store to say how it is; a scraper and somebody at a terminal wait for it
LAG_S: Final = 2.5


class Board:
    """The health board in the web's words."""

    def __init__(self, health: Health, pool: Pool, trouble: Callable[[], Sequence[str]]) -> None:
        self._health = health
        self._pool = pool
        self._trouble = trouble

    def stages(self) -> Sequence[StageStatus]:
        """Return every stage of this process."""
        return [
            StageStatus(
                name=stage.name,
                running=stage.state is StageState.RUNNING,
                restarts=stage.crashes,
                trouble=stage.last_error or "",
            )
            for stage in self._health.stages()
        ]

    def unready(self) -> Sequence[str]:
        """Return why work should not be sent here now."""
        childless = () if self._pool.pids else ("no worker child is up",)
        return (*self._health.ready().reasons, *childless, *self._trouble())


class Actions:
    """Answers from memory where it can; the store is read in threads."""

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        reload: Callable[[], Awaitable[Sequence[Problem]]],
        store: Store,
        stream: Stream,
        archive: Archive,
        pool: Pool,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._reload = reload
        self.stream = stream
        self._store = store
        self._archive = archive
        self._pool = pool
        self._search = asyncio.Semaphore(1)  # people who search must not take all that read the store
        self._clock = clock
        self._known = Measured(version=importlib.metadata.version("tocsin"))
        self._waiting_since: datetime | None = None
        self._lag: asyncio.Task[Mapping[tuple[str, str], int] | None] | None = None
        self.letters = Desk(store=store, clock=clock, receivers=lambda: settings().notifier.receivers)

    def feed_problems(self, feed: Mapping[str, object]) -> Sequence[str]:
        """Return what keeps *feed* from being polled."""
        try:
            FeedSettings.model_validate(dict(feed))
        except ValidationError as error:
            return [
                f"{'.'.join(str(part) for part in one['loc']) or 'feed'}: {one['msg']}"
                for one in error.errors(include_input=False)
            ]
        return ()

    async def reload(self) -> Sequence[Problem]:
        """Read the files again."""
        return await self._reload()

    async def why(self, query: str) -> Mapping[str, object]:
        """Say why something rang, or which stage said no."""
        return await why(
            query,
            store=self._store,
            archive=self._archive,
            explain=self._explain,
            feeds=self._settings().sources.all(),
            search=self._search,
        )

    async def _explain(self, article: Article) -> Sequence[str]:
        (answer,) = await self._pool.map(detecting.explaining_job(self._settings().detectors), [encode(article)])
        return [f"the text cannot be read: {answer.reason}"] if isinstance(answer, Failed) else answer.value

    async def measure(self) -> Measured:
        """Look at lag, sizes and versions now, and set the gauges accordingly.

        A store that is away fails nobody, for that is when numbers are asked for: what cannot be seen within moments
        stays as it was last, and `Measured.stale` says why.
        """
        stale = ""
        try:
            async with asyncio.timeout(STORE_S):
                await self._look()
        except TimeoutError:
            stale = f"the store did not answer in {STORE_S:g} s"
        except TryLater as error:
            stale = str(error)
        since = self._waiting_since
        age_s = 0.0 if since is None else (self._clock.now() - since).total_seconds()
        metrics.RELAY_OLDEST_SECONDS.set(max(0.0, age_s))
        lag = self._known.lag if stale else await self._behind()
        self._known = replace(self._known, rules=self._settings().detectors.version, lag=lag, stale=stale)
        return self._known

    async def _look(self) -> None:
        """Ask the store and the archive."""
        heaps, replays, self._waiting_since = await self._store.read(_counted)
        show(heaps, replays)
        letters = {heap.stage: heap.count for heap in heaps}
        self._known = replace(self._known, dead_letters=letters, replays=replays)
        files = await asyncio.to_thread(self._archive.sizes)
        sizes = {"archive": sum(files.values()), "store": await asyncio.to_thread(self._store.bytes_on_disk)}
        for part, size in sizes.items():
            metrics.STORE_BYTES.labels(part=part).set(size)
        self._known = replace(self._known, store_bytes=sizes)

    async def _behind(self) -> Mapping[str, int]:
        """Return the lag, or what was known of it when brokers keep us waiting.

        Whoever asks them is not cancelled, which would leave connections behind, but joined by the next.
        """
        if self._lag is None:
            self._lag = asyncio.get_running_loop().create_task(self._asked(), name="measure lag")
        asking = self._lag
        await asyncio.wait({asking}, timeout=LAG_S)
        if not asking.done():
            return self._known.lag
        if self._lag is asking:
            self._lag = None
        lag = asking.result()
        if lag is None:
            return self._known.lag
        for (group, topic), behind in lag.items():
            metrics.LAG.labels(group=group, topic=topic).set(behind)
        return {f"{group} {topic}": behind for (group, topic), behind in lag.items()}

    async def _asked(self) -> Mapping[tuple[str, str], int] | None:
        """Return the lag; None when it cannot be had, as nobody may be left to hear an error."""
        try:
            return await self.stream.lag()
        except TryLater:
            return None


def _counted(tx: Tx) -> tuple[Sequence[Heap], Mapping[str, int], datetime | None]:
    return tx.dead_letters.heaps(), tx.replays.waiting(), tx.topics.waiting_since()
