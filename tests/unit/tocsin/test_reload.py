from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tests.faults.harness import write_config
from tocsin.app import Service
from tocsin.clock import SystemClock
from tocsin.errors import StoreUnavailable
from tocsin.foundation import laid
from tocsin.health import Health
from tocsin.settings import load_settings
from tocsin.store.overlay import FEEDS_CHANGED
from tocsin.supervisor import Stage
from tocsin.workers import Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tocsin.settings import Settings
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

ZONE = "tocsin: {timezone: %s}\n"
RECEIVERS = "receivers:\n  log: {kind: file, path: a.jsonl}\n  hangs: {kind: file, path: b.jsonl}\n"
HANGING = timedelta(seconds=2)


class Lane:
    """Counts its starts; one that hangs is slow to end."""

    def __init__(self, name: str, starts: list[str]) -> None:
        self._name = name
        self._starts = starts

    async def run(self) -> None:
        self._starts.append(self._name)
        try:
            await asyncio.Event().wait()
        finally:
            if self._name == "hangs":
                await asyncio.sleep(HANGING.total_seconds())


class Lanes(Service):
    """A service that is nothing but lanes."""

    starts: list[str]

    @override
    def _stages(self) -> Any:
        return ()

    @override
    def _new_lanes(self, settings: Settings) -> Any:
        return {
            name: Stage(name=f"lane {name}", run=Lane(name, self.starts).run) for name in settings.notifier.receivers
        }


@asynccontextmanager
async def a_running(config: Path, data: Path) -> AsyncIterator[Lanes]:
    """Run a service that is nothing but lanes, until the block is left."""

    def load() -> Settings:
        return load_settings(config, data_dir=data)

    clock = SystemClock()
    async with laid(load(), clock=clock) as foundation:
        service = Lanes(
            load(),
            load=load,
            foundation=foundation,
            pool=Pool(size=1, memory_limit_bytes=10**9),
            health=Health(clock),
            clock=clock,
            stage_drain_s=5.0,
        )
        service.starts = []
        running = asyncio.ensure_future(service.run(asyncio.Event()))
        try:
            yield service
        finally:
            running.cancel()
            await asyncio.wait([running])


class Away:
    """A store that cannot be written to, the first time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refused = 0

    async def write(self, unit: Callable[[Tx], Any]) -> Any:
        if not self.refused:
            self.refused += 1
            raise StoreUnavailable("the server is away")
        return await self._store.write(unit)


async def test_a_reload_while_the_store_is_away_is_whole_and_the_poller_hears_of_it_later(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config", {"tocsin.yaml": "tocsin: {web: {listen: '127.0.0.1:1'}}\n"})

    async with a_running(config, tmp_path) as service:
        (config / "tocsin.yaml").write_text("tocsin: {web: {listen: '127.0.0.1:2'}}\n")
        whole = service._store
        mark = whole.mark(FEEDS_CHANGED)
        store = Away(whole)
        service._store = store  # type: ignore[assignment]  # a reload only writes

        problems = await service.reload()

        assert problems == ()
        assert service._web_moved.is_set()
        await whole.wait(FEEDS_CHANGED, mark, timeout_s=10.0)
        assert whole.mark(FEEDS_CHANGED) != mark
        assert store.refused == 1


async def test_a_receiver_that_hangs_keeps_no_other_waiting_in_a_reload(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config", {"tocsin.yaml": ZONE % "UTC", "receivers.yaml": RECEIVERS})

    async with a_running(config, tmp_path) as service:
        await asyncio.sleep(0.1)
        (config / "tocsin.yaml").write_text(ZONE % "Europe/Tallinn")
        reloading = asyncio.ensure_future(service.reload())
        async with asyncio.timeout(30):
            while service.starts.count("log") < 2:
                await asyncio.sleep(0.05)

        assert not reloading.done()
        assert service.starts.count("hangs") == 1
        await reloading
        async with asyncio.timeout(5):
            while service.starts.count("hangs") < 2:
                await asyncio.sleep(0.05)
