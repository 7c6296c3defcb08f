from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from incidents.settings import IncidentsSettings
from incidents.stage import GROUP, timers_with, work_with
from tocsin.consumer import consume, run_timers
from tocsin.records import IncidentState, Step, Toll
from tocsin.stream.codec import decode_alert, encode
from tocsin.stream.embedded import EmbeddedStream
from tocsin.stream.port import ALERTS, READINGS
from tocsin.testing import HOUR, NOON, FakeClock, a_detection, a_reading, a_store, an_article

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tocsin.records import Alert, Reading
    from tocsin.store.sqlite import SqliteStore
    from tocsin.store.tx import Tx

SETTINGS = IncidentsSettings()


@asynccontextmanager
async def running_stage(store: SqliteStore, clock: FakeClock) -> AsyncIterator[None]:
    stream = EmbeddedStream(store)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(
                consume(stream=stream, store=store, clock=clock, group=GROUP, topic=READINGS, work=work_with(SETTINGS)),
                name="incidents",
            ),
            tasks.create_task(
                run_timers(store=store, clock=clock, room=GROUP, handle=timers_with(SETTINGS)), name="timers"
            ),
        ]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def emit(tx: Tx, *readings: Reading) -> None:
    for reading in readings:
        tx.emit(READINGS, key=reading.article, record_id=reading.id, value=encode(reading))


async def alerts_of(store: SqliteStore, *, most: int) -> list[Alert]:
    """Wait until *most* alerts are on the topic, and a moment longer for one too many."""
    stream = EmbeddedStream(store)
    found: list[Alert] = []
    async with asyncio.timeout(10):
        while len(found) < most:
            records = await stream.fetch(ALERTS, start=0, most=100, timeout_s=0.2)
            found = [decode_alert(record.body) for record in records]
    return found


def telling(name: str, count: int) -> Reading:
    return a_reading(
        a_detection(toll=Toll(min=count, max=count), happening="unrest"), article=an_article(id=name, url=name)
    )


async def test_readings_become_alerts_and_a_restart_repeats_none(tmp_path: Path) -> None:
    clock = FakeClock()
    async with a_store(tmp_path) as store, running_stage(store, clock):
        await store.write(lambda tx: emit(tx, telling("a", 3), telling("b", 3), telling("c", 12)))
        first = await alerts_of(store, most=2)

    async with a_store(tmp_path) as store, running_stage(store, clock):
        await store.write(lambda tx: emit(tx, telling("d", 12), telling("e", 60)))
        second = await alerts_of(store, most=3)

    assert [alert.step for alert in first] == [Step.NEW, Step.ESCALATION]
    assert [alert.headline for alert in second] == [
        "3 dead confirmed — unrest in Estonia",
        "12 dead confirmed (was: 3) — unrest in Estonia",
        "60 dead confirmed (was: 12) — unrest in Estonia",
    ]
    assert second[:2] == first


async def test_a_reading_that_is_no_reading_is_set_aside_alone(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store, running_stage(store, FakeClock()):

        def unit(tx: Tx) -> None:
            tx.emit(READINGS, key="x", record_id="x", value=b'{"v":1,"record":{"article":7}}')
            emit(tx, telling("a", 3))

        await store.write(unit)
        alerts = await alerts_of(store, most=1)
        letters = await store.read(lambda tx: tx.dead_letters.list())

    assert len(alerts) == 1
    assert [letter.record_id for letter in letters] == ["x"]


async def test_an_incident_falls_quiet_when_its_time_has_come(tmp_path: Path) -> None:
    clock = FakeClock(NOON + 13 * HOUR)
    async with a_store(tmp_path) as store, running_stage(store, clock):
        await store.write(lambda tx: emit(tx, telling("a", 3)))
        await alerts_of(store, most=1)
        async with asyncio.timeout(10):
            while not (rows := await store.read(lambda tx: tx.incidents.standing(states=[IncidentState.QUIET]))):
                await asyncio.sleep(0.01)

    assert len(rows) == 1
