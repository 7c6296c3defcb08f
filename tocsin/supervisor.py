"""Keeps the stages running: one that crashes is started again alone, the others do not notice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Never

import structlog

from tocsin.errors import Stop
from tocsin.health import Health
from tocsin.metrics import STAGE_RESTARTS, STAGE_UP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin.clock import Clock

__all__ = ["Backoff", "Health", "Stage", "StageEnded", "Supervisor", "run"]

DRAIN_S = 8.0  # of the ten seconds that a service manager is promised

log = structlog.get_logger()


class StageEnded(Exception):
    """A stage came to an end though nobody had ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Something that runs until it is cancelled and can be started anew after a crash.

    With `silent_after` it promises to call `Health.beat` that often.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    silent_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long a crashed stage waits: a random part of a bound that doubles with each crash in a row (full jitter).

    A stage that had run for `forgiven_after` crashes for the first time again.
    """

    first: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(minutes=1)
    forgiven_after: timedelta = timedelta(minutes=2)

    def bound(self, crashes: int) -> timedelta:
        """Return the longest wait after so many crashes in a row."""
        return min(self.cap, self.first * 2.0 ** min(crashes - 1, 30))


class Supervisor:
    """Runs stages, each behind its own bulkhead. Stages come and go while it runs."""

    def __init__(
        self,
        *,
        restart: Backoff,
        health: Health,
        clock: Clock,
        drain_s: float = DRAIN_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._restart = restart
        self._health = health
        self._clock = clock
        self._drain_s = drain_s
        self._chance = chance
        self._stages: dict[str, Stage] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._left_behind: dict[str, asyncio.Task[None]] = {}

    @property
    def left_behind(self) -> tuple[str, ...]:
        """Stages that ignored their cancellation and are still there; such a process ends only by `os._exit`."""
        return tuple(name for name, task in self._left_behind.items() if not task.done())

    def add(self, stage: Stage) -> None:
        """Have *stage* run: at once if the supervisor does, else with it.

        Raises:
            ValueError: there is a stage of that name.
        """
        if stage.name in self._stages:
            raise ValueError(f"stage {stage.name!r} is there already")
        self._stages[stage.name] = stage
        self._health.add(stage.name, silent_after=stage.silent_after)
        if self._group is not None:
            self._keepers[stage.name] = self._group.create_task(self._keep(stage), name=f"keeper of {stage.name}")

    async def remove(self, name: str) -> None:
        """End the stage and return when it is gone, at the latest when its time to drain is over."""
        if self._stages.pop(name, None) is None:
            return
        keeper = self._keepers.pop(name, None)
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
            STAGE_UP.remove(name)
        self._health.forget(name)

    async def run(self) -> Never:
        """Run until cancelled; then every stage has `drain_s` to end.

        Raises:
            Stop: a stage met something that no restart can mend; all others were ended first.
        """
        try:
            async with asyncio.TaskGroup() as self._group:
                for stage in self._stages.values():
                    keeper = self._group.create_task(self._keep(stage), name=f"keeper of {stage.name}")
                    self._keepers[stage.name] = keeper
                await asyncio.Event().wait()  # for ever: a TaskGroup without tasks would be over at once
        except* Stop as group:
            stop = _stop_in(group)
            assert stop is not None
        else:
            raise AssertionError("unreachable: only a cancellation or an error ends the group")
        finally:
            self._group = None
            self._keepers.clear()
        raise stop

    async def _keep(self, stage: Stage) -> None:
        crashes = 0
        try:
            while True:
                started = self._clock.now()
                self._health.running(stage.name)
                STAGE_UP.labels(stage=stage.name).set(1)
                error = await self._crash_of(stage)
                STAGE_UP.labels(stage=stage.name).set(0)
                stop = _stop_in(error)
                if stop is not None:
                    log.error("stage stopped the service", stage=stage.name, reason=str(stop))
                    raise stop
                crashes = 1 if self._clock.now() - started >= self._restart.forgiven_after else crashes + 1
                wait_s = self._restart.bound(crashes).total_seconds() * self._chance()
                self._health.crashed(stage.name, error)
                log.error("stage crashed", stage=stage.name, restart_in_s=round(wait_s, 2), exc_info=error)
                await self._clock.sleep(wait_s)
                STAGE_RESTARTS.labels(stage=stage.name).inc()
        finally:
            STAGE_UP.labels(stage=stage.name).set(0)
            self._health.stopped(stage.name)

    async def _crash_of(self, stage: Stage) -> BaseException:
        """Run *stage* once and return what ended it; this is the stages' bulkhead."""
        # A task of its own outside any TaskGroup, which would wait for ever for a stage that ignores its cancellation.
        task = asyncio.get_running_loop().create_task(_running(stage), name=stage.name)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            await self._drain(stage, task)
            raise
        if task.cancelled():
            return StageEnded("it was cancelled, but not by us")
        return task.exception() or StageEnded("it returned")

    async def _drain(self, stage: Stage, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.wait({task}, timeout=self._drain_s)
        if not task.done():
            self._left_behind[stage.name] = task
            log.error("stage did not stop", stage=stage.name, after_s=self._drain_s)
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.warning("stage failed while stopping", stage=stage.name, exc_info=error)


async def run(stages: Iterable[Stage], *, restart: Backoff, health: Health, clock: Clock) -> Never:
    """Run *stages* until cancelled, or until one of them says `Stop`."""
    supervisor = Supervisor(restart=restart, health=health, clock=clock)
    for stage in stages:
        supervisor.add(stage)
    await supervisor.run()


async def _running(stage: Stage) -> None:
    await stage.run()


def _stop_in(error: BaseException) -> Stop | None:
    """Find the `Stop` that *error* is, or that a stage's own TaskGroup has wrapped."""
    if isinstance(error, BaseExceptionGroup):
        return next((stop for inner in error.exceptions if (stop := _stop_in(inner)) is not None), None)
    return error if isinstance(error, Stop) else None
