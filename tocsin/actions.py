"""What the web may ask of the running service."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ingest.settings import FeedSettings
from tocsin import metrics
from tocsin.dead_letters import Desk
from tocsin.health import Health, StageState
from tocsin.stages import detecting
from tocsin.stream.codec import encode
from tocsin.stream.dead_letters import show
from tocsin.why import why
from tocsin.workers import Failed
from web.ports import Measured, StageStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tocsin.clock import Clock
    from tocsin.errors import Problem
    from tocsin.records import Article
    from tocsin.settings import Settings
    from tocsin.store.port import Archive, Store
    from tocsin.stream.port import Stream
    from tocsin.workers import Pool


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
        )

    async def _explain(self, article: Article) -> Sequence[str]:
        (answer,) = await self._pool.map(detecting.explaining_job(self._settings().detectors), [encode(article)])
        return [f"the text cannot be read: {answer.reason}"] if isinstance(answer, Failed) else answer.value

    async def measure(self) -> Measured:
        """Look at lag, sizes and versions now, and set the gauges accordingly."""
        lag = await self.stream.lag()
        for (group, topic), behind in lag.items():
            metrics.LAG.labels(group=group, topic=topic).set(behind)
        files = await asyncio.to_thread(self._archive.sizes)
        sizes = {"archive": sum(files.values()), "store": await asyncio.to_thread(self._store.bytes_on_disk)}
        for part, size in sizes.items():
            metrics.STORE_BYTES.labels(part=part).set(size)
        heaps, replays = await self._store.read(lambda tx: (tx.dead_letters.heaps(), tx.replays.waiting()))
        show(heaps, replays)
        return Measured(
            version=importlib.metadata.version("tocsin"),
            rules=self._settings().detectors.version,
            lag={f"{group} {topic}": behind for (group, topic), behind in lag.items()},
            store_bytes=sizes,
            dead_letters={heap.stage: heap.count for heap in heaps},
            replays=replays,
        )
