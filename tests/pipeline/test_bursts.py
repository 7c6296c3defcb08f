"""Readings become a burst, the burst an alert, and whoever asks why is told by which articles."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text
from typer.testing import CliRunner

from bursts import stage as bursts_stage
from bursts.settings import BurstsSettings
from incidents import stage as incidents_stage
from incidents.settings import IncidentsSettings
from notifier.frames import FRAMES
from notifier.telling import headline
from tests.unit.bursts.histories import SETTINGS, a_month, spike
from tocsin.cli import app
from tocsin.consumer import consume
from tocsin.matcher import BurstMatcher, Matcher, matches
from tocsin.records import Severity, Step
from tocsin.stages.archiving import archiving
from tocsin.store.archive import FileArchive
from tocsin.stream.codec import decode_alert, encode
from tocsin.stream.embedded import EmbeddedStream
from tocsin.stream.port import ALERTS, READINGS
from tocsin.testing import MINUTE, FakeClock, a_store
from tocsin.why import why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tocsin.records import Alert, Article, Reading
    from tocsin.store.sqlite import SqliteStore
    from tocsin.store.tx import Tx


@asynccontextmanager
async def running(store: SqliteStore, archive: FileArchive, settings: BurstsSettings) -> AsyncIterator[None]:
    """Run the stages behind the detectors."""
    stream, clock = EmbeddedStream(store), FakeClock()
    works = {
        "incidents": incidents_stage.work_with(IncidentsSettings()),
        "bursts": bursts_stage.work_with(settings),
        "archive": archiving(archive),
    }
    async with asyncio.TaskGroup() as tasks:
        stages = [
            tasks.create_task(
                consume(stream=stream, store=store, clock=clock, group=group, topic=READINGS, work=work), name=group
            )
            for group, work in works.items()
        ]
        try:
            yield
        finally:
            for stage in stages:
                stage.cancel()
                with suppress(asyncio.CancelledError):
                    await stage


def put(tx: Tx, readings: Sequence[Reading]) -> None:
    for reading in readings:
        tx.emit(READINGS, key=reading.article, record_id=reading.id, value=encode(reading))


async def calm(store: SqliteStore) -> None:
    """Wait until nobody has anything left to read."""
    async with asyncio.timeout(20):
        while any((await store.read(lambda tx: tx.topics.lag())).values()):
            await asyncio.sleep(0.02)


async def alerts_of(store: SqliteStore) -> list[Alert]:
    records = await EmbeddedStream(store).fetch(ALERTS, start=0, most=200, timeout_s=0.1)
    return [decode_alert(record.body) for record in records]


def bursts_among(alerts: Sequence[Alert]) -> list[Alert]:
    return [alert for alert in alerts if "burst" in alert.types]


async def played(folder: Path, settings: BurstsSettings = SETTINGS) -> list[Alert]:
    archive = FileArchive(folder / "archive", size=10**9)
    async with a_store(folder) as store:
        await store.write(a_month)
        await store.write(lambda tx: tx.topics.expect({READINGS: ("incidents", "bursts", "archive")}))
        await store.write(partial(put, readings=spike(30, within=40 * MINUTE)))
        async with running(store, archive, settings):
            await calm(store)
        found = await alerts_of(store)
    archive.close()
    return found


async def test_a_burst_rings_as_an_incident_of_its_own_and_names_its_articles(tmp_path: Path) -> None:
    alerts = await played(tmp_path)

    first, second = bursts_among(alerts)
    assert first.headline.startswith("Unusually many articles on deaths: ")
    assert first.headline.endswith(" in 1 h, usually 1 — Estonia")
    assert (first.types, first.countries, first.severity) == (("burst",), ("EE",), Severity.MODERATE)
    assert (first.step, second.step) == (Step.NEW, Step.ESCALATION)
    assert first.incident == second.incident
    assert first.incident not in {alert.incident for alert in alerts if alert.types != ("burst",)}
    assert len({source.owner for source in first.sources}) == 7
    assert all(url.startswith("https://news.example/") for url in first.urls)
    (fact,) = second.facts
    assert fact.volume is not None
    assert fact.volume.sources == ()
    assert f"(was: {fact.volume.before})" in second.headline


async def test_a_subscription_can_ask_for_bursts_on_a_topic(tmp_path: Path) -> None:
    first, *_ = bursts_among(await played(tmp_path))

    assert matches(first, Matcher(types=("burst",)))
    assert matches(first, Matcher(burst=BurstMatcher(topics=("deaths",), min=5)))
    assert not matches(first, Matcher(burst=BurstMatcher(topics=("curfew",))))
    assert not matches(first, Matcher(burst=BurstMatcher(min=500)))
    assert not matches(first, Matcher(types=("deaths",)))


async def test_a_burst_reads_well_in_every_language(tmp_path: Path) -> None:
    first, second = bursts_among(await played(tmp_path))

    for language, start, end in (
        ("en", "Unusually many articles on deaths: ", " in 1 h, usually 1 — Estonia"),
        ("de", "Ungewöhnlich viele Artikel über Tote: ", " in 1 h, sonst 1 — Estland"),
        ("ru", "Необычно много статей на тему «погибшие»: ", " за 1 ч, обычно 1 — Эстония"),
    ):
        told = headline(first, FRAMES[language])
        assert told.startswith(start)
        assert told.endswith(end)
    assert "(was: " in headline(second, FRAMES["en"])


async def test_what_is_read_again_after_a_crash_rings_nothing_again(tmp_path: Path) -> None:
    before = await played(tmp_path)
    archive = FileArchive(tmp_path / "archive", size=10**9)
    async with a_store(tmp_path) as store:
        await store.write(
            lambda tx: tx.conn.execute(
                text("UPDATE stream_cursors SET position = 0, attempts = 0 WHERE consumer_group = 'bursts'")
            )
        )
        await store.write(partial(put, readings=spike(30, within=40 * MINUTE)))
        async with running(store, archive, SETTINGS):
            await calm(store)
        after = await alerts_of(store)
        counted = await store.read(lambda tx: tx.bursts.within(("EE", "deaths"), first=0, last=10**9))
    archive.close()

    assert after == before
    assert len(counted) == 30


async def test_switched_off_it_only_lets_the_cursor_move(tmp_path: Path) -> None:
    alerts = await played(tmp_path, BurstsSettings(enabled=False))

    assert alerts
    assert bursts_among(alerts) == []


async def nothing_to_explain(_: Article) -> Sequence[str]:
    return ()


async def test_why_tells_of_what_a_burst_is_made_and_explain_knows_it_too(tmp_path: Path) -> None:
    first, *_ = bursts_among(await played(tmp_path))
    archive = FileArchive(tmp_path / "archive", size=10**9)
    async with a_store(tmp_path) as store:
        ask = partial(why, store=store, archive=archive, explain=nothing_to_explain, feeds=())
        by_alert = await ask(first.id[:12])
        by_incident = await ask(first.incident)
    archive.close()

    (way,) = json.loads(json.dumps(by_alert["ways"]))
    assert way == json.loads(json.dumps(by_incident["ways"]))[0]
    stages = [stop["stage"] for stop in way["stages"]]
    assert stages[0] == "bursts"
    assert stages.count("article") == 12
    assert stages[13] == "incidents"
    assert "https://news.example/" in way["stages"][1]["what"]
    assert "usually 1" in way["title"]

    shown = CliRunner().invoke(app, ["explain", way["article"], "--data", str(tmp_path)])

    assert shown.exit_code == 0, shown.output
    assert shown.output.count("✓") == 12
