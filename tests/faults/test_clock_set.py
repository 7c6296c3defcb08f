"""The machine's clock is set an hour forward, back again, and an hour back, under a running service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random

import pytest

from tests.faults.test_disk import all_through, begun, ready
from tests.faults.test_kills import Scene, check, scene

HOUR_S = 3600
LIMIT_S = 30


async def rings(acted: Scene) -> None:
    """Publish, have the webhook refuse the first try, and wait until everything has been told singly."""
    before = len(acted.service.messages())
    stated = acted.room.stating
    acted.refusals.append("not now")
    acted.room.publish(40)
    assert acted.room.stating > stated
    async with asyncio.timeout(LIMIT_S):
        await all_through(acted)
    assert acted.refusals == []
    told = acted.service.messages()[before:]
    assert told
    assert {line["kind"] for line in told} <= {"alert", "update", "correction"}


@pytest.mark.faults
@pytest.mark.chaos
@pytest.mark.timeout(240)
async def test_nothing_is_lost_doubled_late_or_stuck_when_the_clock_is_set_by_an_hour(tmp_path: Path) -> None:
    wrong_by = tmp_path / "wrong_by"
    async with scene(tmp_path / "house", Random(3)) as acted:
        acted.service.launched_by = ("-m", "tests.faults.launcher", json.dumps({"clock": str(wrong_by)}))
        await begun(acted)

        for seconds in (HOUR_S, 0, -HOUR_S):
            wrong_by.write_text(str(seconds), "utf-8")
            await rings(acted)
            assert (await ready(acted))[0] == 200

        events = [line["event"] for line in acted.service.lines()]
        assert "clock of the machine set" in events
        assert await acted.service.stop() == 0
        (tmp_path / "anew").mkdir()
        await check(acted, kills=0, scratch=tmp_path / "anew")
