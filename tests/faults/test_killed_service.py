"""`kill -9` anywhere: nothing missing, and twice only what was on its way to a receiver, with the same key."""

from __future__ import annotations

import asyncio
import os
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.faults.stage_door import SETTLE_S, has_opened, theatre, until_calm

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 20
STORY_LIMIT_S = 240


@pytest.mark.faults
@pytest.mark.timeout(STORY_LIMIT_S + SETTLE_S + 60)
async def test_a_story_survives_twenty_kills_at_random_moments(tmp_path: Path) -> None:
    seed = int(os.environ.get("TOCSIN_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    chance = Random(seed)
    async with theatre(tmp_path / "demo") as scene:
        await scene.service.start_and_wait()
        async with asyncio.timeout(60):
            while not await has_opened(scene):
                await asyncio.sleep(0.1)
        playing = asyncio.ensure_future(scene.playback.run())

        kills = 0
        while kills < KILLS:
            await asyncio.sleep(chance.uniform(0.0, 7.0))
            await scene.service.kill()
            kills += 1
            await scene.service.start()
        async with asyncio.timeout(STORY_LIMIT_S):
            await playing
        await until_calm(scene)

        told = f"seed {seed}"
        assert scene.wrong() == [], told
        assert list(scene.strangers()) == [], told
        assert all(count <= kills for count in scene.repeats().values()), told
        assert all(message.repeats <= 1 for message in scene.board.messages), told
        assert await scene.service.stop() == 0
