from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st
from structlog.testing import capture_logs

from tocsin.errors import AlreadyRunning, Stop
from tocsin.health import CRASH_WINDOW, CRASHES_ALLOWED, Health, StageState
from tocsin.metrics import REGISTRY
from tocsin.supervisor import Backoff, Stage, Supervisor
from tocsin.testing import FakeClock

MINUTE = timedelta(minutes=1)
AT_ONCE = Backoff(first=timedelta(0))


class Worker:
    """A stage that counts its starts and does at each what it is told."""

    def __init__(self, *crashes: Exception) -> None:
        self._crashes = list(crashes)
        self.starts = 0
        self.cancelled = 0

    async def run(self) -> None:
        self.starts += 1
        if self._crashes:
            raise self._crashes.pop(0)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[asyncio.Task[None]]:
    async def run() -> None:
        await supervisor.run()

    task = asyncio.ensure_future(run())
    await turns()
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def turns(number: int = 30) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def a_supervisor(
    *stages: Stage, restart: Backoff = AT_ONCE, drain_s: float = 5.0
) -> tuple[Supervisor, Health, FakeClock]:
    clock = FakeClock()
    health = Health(clock)
    supervisor = Supervisor(restart=restart, health=health, clock=clock, drain_s=drain_s, chance=lambda: 1.0)
    for stage in stages:
        supervisor.add(stage)
    return supervisor, health, clock


def state_of(health: Health, name: str) -> StageState:
    return next(report.state for report in health.stages() if report.name == name)


async def test_a_stage_that_crashes_is_started_again_and_its_neighbour_is_not_disturbed() -> None:
    bad, good = Worker(ValueError("once"), ValueError("twice")), Worker()
    supervisor, health, _ = a_supervisor(Stage(name="bad", run=bad.run), Stage(name="good", run=good.run))

    with capture_logs() as lines:
        async with running(supervisor):
            await until(lambda: bad.starts == 3)

    assert (good.starts, good.cancelled, bad.cancelled) == (1, 1, 1)
    crashed = [line for line in lines if line["event"] == "stage crashed"]
    assert [(line["stage"], str(line["exc_info"])) for line in crashed] == [("bad", "once"), ("bad", "twice")]
    assert {report.name: report.crashes for report in health.stages()} == {"bad": 2, "good": 0}


async def test_a_crashed_stage_waits_before_its_next_start_and_says_so() -> None:
    bad = Worker(ValueError("wrong turn"))
    supervisor, health, clock = a_supervisor(Stage(name="bad", run=bad.run), restart=Backoff(first=MINUTE, cap=MINUTE))

    async with running(supervisor):
        state = state_of(health, "bad")
        error = health.stages()[0].last_error
        up = REGISTRY.get_sample_value("tocsin_stage_up", {"stage": "bad"})
        await clock.move(MINUTE)
        await until(lambda: bad.starts == 2)

        assert (state, error, up) == (StageState.BACKING_OFF, "ValueError: wrong turn", 0)
        assert state_of(health, "bad") is StageState.RUNNING
        assert health.ready().ok


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_stop_ends_everything_and_comes_out_as_itself(wrapped: bool) -> None:
    stop: Exception = AlreadyRunning("process 7 holds ./data")
    bad, good = Worker(ExceptionGroup("a stage's own tasks", [stop]) if wrapped else stop), Worker()
    supervisor, _, _ = a_supervisor(Stage(name="good", run=good.run), Stage(name="bad", run=bad.run))

    with pytest.raises(Stop, match="process 7 holds"):
        await supervisor.run()

    assert good.cancelled == 1


async def test_a_stage_that_returns_or_is_cancelled_by_a_stranger_has_crashed() -> None:
    async def returns() -> None:
        pass

    async def stumbles() -> None:
        stranger: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stranger.cancel()
        await stranger

    supervisor, health, _ = a_supervisor(
        Stage(name="returns", run=returns), Stage(name="stumbles", run=stumbles), restart=Backoff(first=MINUTE)
    )

    async with running(supervisor):
        errors = [report.last_error for report in health.stages()]

    assert errors == ["StageEnded: it returned", "StageEnded: it was cancelled, but not by us"]


async def test_five_crashes_in_ten_minutes_make_us_not_ready_until_the_stage_has_run_for_ten() -> None:
    bad = Worker(*(ValueError(f"number {n}") for n in range(CRASHES_ALLOWED)))
    supervisor, health, clock = a_supervisor(Stage(name="bad", run=bad.run), restart=Backoff(first=MINUTE, cap=MINUTE))

    async with running(supervisor):
        ready_at_first = health.ready().ok
        for n in range(2, CRASHES_ALLOWED + 2):
            await clock.move(MINUTE)
            await turns()
            assert bad.starts == n
        after_five = health.ready()
        await clock.move(CRASH_WINDOW - timedelta(seconds=1))
        nearly = health.ready().ok
        await clock.move(timedelta(seconds=1))

        assert ready_at_first
        assert after_five.reasons == ("stage 'bad' crashed 5 times within 10 minutes, last by ValueError: number 4",)
        assert not nearly
        assert health.ready().ok


async def test_stages_come_and_go_while_the_others_run() -> None:
    first, late = Worker(), Worker()
    supervisor, health, _ = a_supervisor(Stage(name="first", run=first.run))

    async with running(supervisor):
        supervisor.add(Stage(name="late", run=late.run))
        await until(lambda: late.starts == 1)
        up = REGISTRY.get_sample_value("tocsin_stage_up", {"stage": "late"})
        await supervisor.remove("late")
        await supervisor.remove("late")

        assert (up, late.cancelled, first.cancelled) == (1, 1, 0)
        assert [report.name for report in health.stages()] == ["first"]
        assert REGISTRY.get_sample_value("tocsin_stage_up", {"stage": "late"}) is None


async def test_a_stage_can_be_removed_while_it_backs_off() -> None:
    bad = Worker(ValueError("no"))
    supervisor, health, _ = a_supervisor(Stage(name="bad", run=bad.run), restart=Backoff(first=MINUTE))

    async with running(supervisor):
        await supervisor.remove("bad")

    assert health.stages() == ()


def test_two_stages_of_one_name_are_refused() -> None:
    supervisor, _, _ = a_supervisor(Stage(name="poller", run=Worker().run))

    with pytest.raises(ValueError, match="'poller' is there already"):
        supervisor.add(Stage(name="poller", run=Worker().run))


async def test_a_stage_that_ignores_its_end_is_named_and_left_behind() -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    good = Worker()
    supervisor, _, _ = a_supervisor(
        Stage(name="stubborn", run=stubborn), Stage(name="good", run=good.run), drain_s=0.05
    )

    with capture_logs() as lines:
        async with running(supervisor):
            pass
    left_behind = supervisor.left_behind
    released.set()
    await turns()

    assert good.cancelled == 1
    assert left_behind == ("stubborn",)
    assert [(line["event"], line["stage"]) for line in lines] == [("stage did not stop", "stubborn")]
    assert supervisor.left_behind == ()


async def test_a_stage_has_time_to_finish_what_it_began() -> None:
    finished = []

    async def careful() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await turns(3)
            finished.append("batch")

    supervisor, health, _ = a_supervisor(Stage(name="careful", run=careful))

    async with running(supervisor):
        pass

    assert finished == ["batch"]
    assert state_of(health, "careful") is StageState.STOPPED


async def test_a_stage_that_promised_to_beat_and_does_not_is_told() -> None:
    supervisor, health, clock = a_supervisor(
        Stage(name="poller", run=Worker().run, silent_after=MINUTE), Stage(name="quiet", run=Worker().run)
    )

    async with running(supervisor):
        await clock.move(MINUTE)
        health.beat("poller")
        await clock.move(MINUTE)
        in_time = health.ready()
        await clock.move(timedelta(seconds=30))
        late, alive = health.ready(), health.live()
        await clock.move(3 * MINUTE)

        assert in_time.ok
        assert late.reasons == ("stage 'poller' has made no progress for 90 s",)
        assert alive.ok
        assert health.live().reasons == ("stage 'poller' has made no progress for 270 s",)


def test_a_service_is_not_ready_before_its_stages_run_nor_while_it_drains() -> None:
    clock = FakeClock()
    health = Health(clock)

    health.add("poller")
    before = health.ready()
    health.running("poller")
    during = health.ready()
    health.drain()

    assert before.reasons == ("stage 'poller' is starting",)
    assert during.ok
    assert health.ready().reasons == ("the service is going down",)
    assert health.live().ok


@given(crashes=st.integers(1, 10_000))
def test_the_wait_grows_with_each_crash_in_a_row_up_to_its_cap(crashes: int) -> None:
    restart = Backoff(first=timedelta(seconds=1), cap=MINUTE)

    assert restart.bound(1) == timedelta(seconds=1)
    assert restart.bound(crashes) <= restart.bound(crashes + 1) <= MINUTE
