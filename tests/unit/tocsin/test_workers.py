from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.faults import worker_jobs as jobs
from tocsin.errors import JobUnprepared
from tocsin.workers import Done, Failed, FailureKind, Job, Pool
from tocsin.workers.order import PIECE_RECORDS, PIECE_S, Order

MEMORY = 512 * 2**20
PRELOAD = ("pytest", "tests.faults.worker_jobs")
ADD = Job(function=jobs.add, argument=1, key="1", deadline_s=5.0)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool(size=1, memory_limit_bytes=MEMORY, preload=PRELOAD) as pool:
        yield pool


@pytest.fixture
async def two() -> AsyncIterator[Pool]:
    async with Pool(size=2, memory_limit_bytes=MEMORY, preload=PRELOAD) as pool:
        yield pool


async def test_answers_come_in_the_order_of_the_records(two: Pool) -> None:
    answers = await two.map(ADD, range(1000))

    assert answers == [Done(n + 1) for n in range(1000)]


async def test_no_records_are_no_work(pool: Pool) -> None:
    assert await pool.map(ADD, []) == []


async def test_a_small_record_is_there_and_back_within_two_milliseconds(pool: Pool) -> None:
    await pool.map(ADD, [0])

    trips = []
    for n in range(100):
        started = time.perf_counter()
        await pool.map(ADD, [n])
        trips.append(time.perf_counter() - started)

    assert sorted(trips)[25] < 0.002  # a busy machine slows some; polling anywhere would slow them all


async def test_large_records_and_results_arrive_whole(pool: Pool) -> None:
    length = Job(function=jobs.length, argument=None, key="", deadline_s=10.0)
    repeated = Job(function=jobs.repeated, argument=None, key="", deadline_s=10.0)

    lengths = await pool.map(length, [bytes(8_000_000), b"", bytes(300_000)])
    results = await pool.map(repeated, [8_000_000, 0, 300_000])

    assert lengths == [Done(8_000_000), Done(0), Done(300_000)]
    assert [len(result.value) for result in results if isinstance(result, Done)] == [8_000_000, 0, 300_000]


async def test_a_reply_that_would_grow_too_big_comes_in_parts(pool: Pool) -> None:
    repeated = Job(function=jobs.repeated, argument=None, key="", deadline_s=10.0)

    results = await pool.map(repeated, [30_000_000] * 4)

    assert [len(result.value) for result in results if isinstance(result, Done)] == [30_000_000] * 4


async def test_all_idle_children_share_a_batch(two: Pool) -> None:
    pid = Job(function=jobs.pid, argument=None, key="", deadline_s=5.0)
    await until_up(two, 2)

    answers = await two.map(pid, range(2))

    assert len({answer.value for answer in answers if isinstance(answer, Done)}) == 2


async def test_a_small_call_overtakes_a_large_one(pool: Pool) -> None:
    nap = Job(function=jobs.nap, argument=None, key="", deadline_s=5.0)

    async with asyncio.TaskGroup() as calls:
        large = calls.create_task(pool.map(nap, [0.01] * 100))
        await asyncio.sleep(0.1)
        small = await pool.map(ADD, [1])
        overtaken = not large.done()

    assert small == [Done(2)]
    assert overtaken
    assert large.result() == [Done(0.01)] * 100


async def test_rules_are_prepared_once_a_child_and_version_and_not_charged_to_a_record(
    pool: Pool, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    counted = Job(function=jobs.add, prepare=jobs.counted_rules, argument=str(marks), key="a", deadline_s=5.0)
    slow = Job(function=jobs.echo_rules, prepare=jobs.slow_rules, argument=0.4, key="b", deadline_s=0.2)

    for _ in range(3):
        await pool.map(counted, [1, 2])
    answers = await pool.map(slow, [1])

    assert marks.read_text() == "x"
    assert answers == [Done((0.4, 1))]


async def test_two_rule_versions_are_used_side_by_side_and_old_ones_forgotten(pool: Pool) -> None:
    versions = [
        Job(function=jobs.echo_name, argument=f"rules {version}", key=str(version), deadline_s=5.0)
        for version in range(12)
    ]

    for _ in range(2):
        for version, job in enumerate(versions):
            assert await pool.map(job, [7]) == [Done((f"rules {version}", 7))]


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [(jobs.broken_rules, "'Tote' does not compile"), (jobs.deadly_rules, "ended by SIGABRT")],
)
async def test_rules_that_cannot_be_prepared_condemn_no_record(pool: Pool, prepare: object, reason: str) -> None:
    job = Job(function=jobs.echo_name, prepare=prepare, argument="Tote", key="1", deadline_s=5.0)  # type: ignore[arg-type] # one of two

    with pytest.raises(JobUnprepared, match=reason):
        await pool.map(job, [1, 2])

    assert await pool.map(ADD, [1]) == [Done(2)]


async def test_rules_that_take_for_ever_to_prepare_are_given_up(pool: Pool) -> None:
    job = Job(
        function=jobs.echo_rules,
        prepare=jobs.slow_rules,
        argument=60.0,
        key="1",
        deadline_s=5.0,
        prepare_deadline_s=0.2,
    )

    with pytest.raises(JobUnprepared, match=r"over its deadline of 0\.2 s"):
        await pool.map(job, [1])


async def test_a_record_that_cannot_be_sent_fails_alone(pool: Pool) -> None:
    job = Job(function=jobs.misbehave, argument=None, key="", deadline_s=5.0)

    records: list[Any] = ["a", jobs.Unpicklable(), "b"]

    answers = await pool.map(job, records)

    assert [answers[0], answers[2]] == [Done("A"), Done("B")]
    assert isinstance(answers[1], Failed)
    assert "cannot be sent to a worker: TypeError: stays where it is" in answers[1].reason


async def test_a_caller_that_goes_away_leaves_the_pool_to_others(pool: Pool) -> None:
    nap = Job(function=jobs.nap, argument=None, key="", deadline_s=5.0)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await pool.map(nap, [0.05] * 1000)

    assert await asyncio.wait_for(pool.map(ADD, [1]), 2.0) == [Done(2)]


async def test_a_pool_closes_in_bounded_time_and_its_callers_hear_of_it() -> None:
    nap = Job(function=jobs.nap, argument=None, key="", deadline_s=100.0)

    async with asyncio.TaskGroup() as calls:
        async with Pool(size=1, memory_limit_bytes=MEMORY, preload=PRELOAD) as pool:
            await pool.map(ADD, [1])
            call = calls.create_task(asyncio.wait_for(outcome(pool, nap), 5.0))
            await asyncio.sleep(0.1)
            started = time.perf_counter()
        took = time.perf_counter() - started

    assert took < 1.0
    assert call.result() == "the worker pool is closed"
    with pytest.raises(RuntimeError, match="closed"):
        await pool.map(ADD, [1])


async def test_an_error_of_the_caller_leaves_the_pool_as_itself() -> None:
    with pytest.raises(LookupError, match="the caller's own"):
        async with Pool(size=1, memory_limit_bytes=MEMORY, preload=PRELOAD):
            raise LookupError("the caller's own")


def test_a_pool_without_children_is_refused() -> None:
    with pytest.raises(ValueError, match="a pool of 0 children"):
        Pool(size=0, memory_limit_bytes=MEMORY)


async def outcome(pool: Pool, job: Job[None, None, float, float]) -> str:
    try:
        await pool.map(job, [60.0])
    except RuntimeError as error:
        return str(error)
    return "done"


async def until_up(pool: Pool, number: int) -> None:
    async with asyncio.timeout(10):
        while len(pool.pids) < number:
            await asyncio.sleep(0.01)


@given(
    records=st.integers(1, 3000),
    idle=st.integers(1, 8),
    pace_s=st.none() | st.floats(0, 10),
    fates=st.lists(st.sampled_from(["done", "back", "blame"]), max_size=40),
)
async def test_however_a_batch_is_cut_every_record_is_answered_once(
    records: int, idle: int, pace_s: float | None, fates: list[str]
) -> None:
    order = Order(ADD, range(records), asyncio.get_running_loop().create_future())
    order.give_back(0, records)
    answered: list[int] = []

    while order.has_work:
        piece = order.cut(idle=idle, pace_s=pace_s)
        assert 1 <= piece.stop - piece.start <= PIECE_RECORDS
        assert pace_s is None or piece.stop - piece.start == 1 or (piece.stop - piece.start) * pace_s <= PIECE_S
        match fates.pop() if fates else "done":
            case "back":
                piece.give_back()
            case "blame":
                piece.blame(piece.start, Failed("died", FailureKind.DIED))
                answered += [piece.start] if piece.suspected else []
                order.give_back(piece.start + 1, piece.stop)
            case _:
                for index in range(piece.start, piece.stop):
                    order.settle(index, Done(index))
                    answered.append(index)

    assert sorted(answered) == list(range(records))
    assert order.done.done()
