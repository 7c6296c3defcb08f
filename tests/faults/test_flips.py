"""A byte flips in the log of a service that was killed: the next start says what is lost and fetches it again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.ledger import STORE_FILE
from tests.faults.test_disk import all_through, begun, metric
from tests.faults.test_kills import scene, seeded

ROUNDS = 5


@pytest.mark.faults
@pytest.mark.chaos
@pytest.mark.timeout(400)
async def test_commits_that_a_flipped_byte_cost_are_counted_and_what_was_in_them_is_fetched_again(
    tmp_path: Path,
) -> None:
    _, chance = seeded()
    async with scene(tmp_path / "house", chance) as acted:
        await begun(acted)
        lost = []
        for _ in range(ROUNDS):
            acted.room.publish(80)
            await all_through(acted)
            await acted.service.kill()
            log = acted.service.data / f"{STORE_FILE}-wal"
            raw = bytearray(await asyncio.to_thread(log.read_bytes))
            raw[chance.randrange(len(raw) // 2, len(raw))] ^= 1 << chance.randrange(8)
            await asyncio.to_thread(log.write_bytes, bytes(raw))

            await acted.service.start_and_wait()
            lost.append(await metric(acted, "tocsin_store_lost_commits"))
            await all_through(acted)

        assert any(lost)
        told = [line["commits"] for line in acted.service.lines() if line["event"] == "commits were lost"]
        assert told == [commits for commits in lost if commits]
        articles = acted.ledger.articles()
        assert len(articles) == acted.room.published
        assert set(articles.values()) == {1}
        assert acted.ledger.missing_readings(acted.service.config) == (set(), set())
        (tmp_path / "anew").mkdir()
        assert await acted.ledger.differing_alerts(acted.service.config, tmp_path / "anew") == []
        assert acted.ledger.untold("hook") == []
        assert await acted.service.stop() == 0
