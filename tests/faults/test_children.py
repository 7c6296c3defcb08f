"""Worker children that loop, die, eat memory or are killed; the faults are real."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from multiprocessing import forkserver
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.faults import worker_jobs as jobs
from tests.faults.harness import is_alive
from tocsin.metrics import REGISTRY
from tocsin.workers import Done, Failed, FailureKind, Job, Pool

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]

MEMORY = 256 * 2**20
PRELOAD = ("pytest", "tests.faults.worker_jobs")
MISDEEDS = {
    "loop": FailureKind.DEADLINE,
    "loop in C": FailureKind.DEADLINE,
    "sleep": FailureKind.DEADLINE,
    "stop": FailureKind.DEADLINE,
    "4 GB": FailureKind.MEMORY,
    "creep": FailureKind.MEMORY,
    "abort": FailureKind.DIED,
    "segfault": FailureKind.DIED,
    "os._exit": FailureKind.DIED,
    "kill": FailureKind.DIED,
    "close": FailureKind.DIED,
    "nonsense": FailureKind.DIED,
    "flood": FailureKind.DIED,
    "recursion": FailureKind.RAISED,
    "sys.exit": FailureKind.RAISED,
    "raise": FailureKind.RAISED,
    "long message": FailureKind.RAISED,
    "unprintable": FailureKind.RAISED,
    "unpicklable": FailureKind.RAISED,
    "unreadable": FailureKind.RAISED,
    "huge": FailureKind.RAISED,
}
ADD = Job(function=jobs.add, argument=1, key="1", deadline_s=5.0)
PID = Job(function=jobs.pid, argument=None, key="", deadline_s=5.0)


def misbehave(deadline_s: float) -> Job[None, None, str, str]:
    return Job(function=jobs.misbehave, argument=None, key="", deadline_s=deadline_s)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool(size=1, memory_limit_bytes=MEMORY, preload=PRELOAD) as pool:
        await pool.map(ADD, [0])
        yield pool


@pytest.fixture
async def two() -> AsyncIterator[Pool]:
    async with Pool(size=2, memory_limit_bytes=MEMORY, preload=PRELOAD) as pool:
        await until(lambda: len(pool.pids) == 2, 10.0)
        yield pool


async def until(condition: Callable[[], bool], limit_s: float) -> float:
    started = time.perf_counter()
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)
    return time.perf_counter() - started


@pytest.mark.parametrize("misdeed", MISDEEDS)
async def test_a_misdeed_is_set_aside_and_its_neighbours_are_done(pool: Pool, misdeed: str) -> None:
    deadline_s = 0.3 if MISDEEDS[misdeed] is FailureKind.DEADLINE else 5.0

    answers = await pool.map(misbehave(deadline_s), ["a", "b", misdeed, "c", "d"])

    bad = answers.pop(2)
    assert answers == [Done("A"), Done("B"), Done("C"), Done("D")]
    assert isinstance(bad, Failed)
    assert bad.kind is MISDEEDS[misdeed]
    assert len(bad.reason) <= 1100
    assert await pool.map(ADD, [1]) == [Done(2)]


async def test_misdeeds_of_every_kind_at_once_take_no_good_record_with_them(two: Pool) -> None:
    records = [
        record
        for n, misdeed in enumerate(["loop", "abort", "4 GB", "raise", "os._exit", "stop", "segfault"])
        for record in (f"a{n}", f"b{n}", f"c{n}", misdeed)
    ]

    async with asyncio.TaskGroup() as group:
        bad = group.create_task(two.map(misbehave(0.5), records))
        good = group.create_task(two.map(ADD, range(500)))

    assert good.result() == [Done(n + 1) for n in range(500)]
    for record, answer in zip(records, bad.result(), strict=True):
        assert isinstance(answer, Failed) if record in MISDEEDS else answer == Done(record.upper())


async def test_a_record_that_only_once_brought_a_child_down_is_done(pool: Pool, tmp_path: Path) -> None:
    flaky = Job(function=jobs.flaky, argument=str(tmp_path), key="", deadline_s=5.0)

    answers = await pool.map(flaky, range(12))

    assert answers == [Done(n) for n in range(12)]


async def test_a_reason_says_what_an_operator_needs(pool: Pool) -> None:
    answers = await pool.map(misbehave(0.2), ["loop", "abort", "raise", "4 GB"])

    looped, aborted, raised, ate = (answer.reason for answer in answers if isinstance(answer, Failed))
    assert looped == "over its deadline of 1 s"
    assert aborted == "the interpreter was ended by SIGABRT"
    assert raised.startswith("LookupError: no such thing\n  File ")
    assert "worker_jobs.py" in raised
    assert ate.startswith(f"over the limit of {MEMORY} bytes: MemoryError")


async def test_a_killed_child_is_replaced_within_half_a_second_and_that_is_told(pool: Pool) -> None:
    (pid,) = pool.pids
    before = REGISTRY.get_sample_value("tocsin_child_restarts_total", {"reason": "died"}) or 0.0

    with capture_logs() as lines:
        os.kill(pid, signal.SIGKILL)
        took_s = await until(lambda: bool(pool.pids) and pool.pids != (pid,), 5.0)

    assert took_s < 0.5
    assert [(line["event"], line["pid"], line["reason"]) for line in lines] == [
        ("worker replaced", pid, "it ended while idle")
    ]
    assert REGISTRY.get_sample_value("tocsin_child_restarts_total", {"reason": "died"}) == before + 1
    assert await pool.map(ADD, [1]) == [Done(2)]


async def test_a_child_killed_at_work_costs_no_record(pool: Pool) -> None:
    nap = Job(function=jobs.nap, argument=None, key="", deadline_s=5.0)

    async with asyncio.TaskGroup() as group:
        call = group.create_task(pool.map(nap, [0.01] * 60))
        await asyncio.sleep(0.2)
        os.kill(pool.pids[0], signal.SIGKILL)

    assert call.result() == [Done(0.01)] * 60


async def test_the_fork_server_may_die_too(two: Pool) -> None:
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined] # nobody says it aloud

    os.kill(server, signal.SIGKILL)
    await until(lambda: not is_alive(server), 2.0)
    survivors = await two.map(PID, range(20))
    answers = await two.map(misbehave(0.3), ["a", "loop", "b", "abort", "c"])

    assert all(isinstance(answer, Done) for answer in survivors)
    assert [answer for answer in answers if isinstance(answer, Done)] == [Done("A"), Done("B"), Done("C")]
    await until(lambda: len(two.pids) == 2, 10.0)


async def test_only_the_parent_ends_a_child(pool: Pool) -> None:
    (pid,) = pool.pids

    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    await asyncio.sleep(0.2)

    assert await pool.map(PID, [0]) == [Done(pid)]


async def test_a_child_inherits_no_socket_but_its_link_and_is_the_first_that_memory_shortage_takes(pool: Pool) -> None:
    around = Job(function=jobs.surroundings, argument=None, key="", deadline_s=5.0)
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)

    async with server:
        (answer,) = await pool.map(around, [0])

    assert isinstance(answer, Done)
    descriptors = answer.value["descriptors"]
    assert isinstance(descriptors, list)
    assert len([name for name in descriptors if name.startswith("socket:")]) == 1
    assert answer.value["oom"] == 500


async def test_no_child_outlives_a_killed_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.orphanage", stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        children = [int(pid) for pid in (await parent.stdout.readline()).split()]
    alive_before = [is_alive(pid) for pid in children]

    parent.kill()
    await parent.wait()
    took_s = await until(lambda: not any(is_alive(pid) for pid in children), 5.0)

    assert alive_before == [True] * 3
    assert took_s < 1.0


async def test_a_flood_of_records_that_hang_is_heard_of_at_each_one(pool: Pool) -> None:
    beats: list[float] = []

    answers = await pool.map(misbehave(0.2), ["loop"] * 6, beat=lambda: beats.append(time.perf_counter()))

    assert all(isinstance(answer, Failed) for answer in answers)
    assert len(beats) == 6
    assert max(later - earlier for earlier, later in pairwise(beats)) < 5.0
