"""A record that was set aside only because the process died is taken up once more by itself, and only once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tocsin.records import DeadLetter
from tocsin.stages.housekeeping import _give_second_chances
from tocsin.store.tx import Tx
from tocsin.stream.dead_letters import DIED, put_aside
from tocsin.stream.port import ARTICLES
from tocsin.testing import MINUTE, NOON, a_store


def a_letter(**parts: object) -> DeadLetter:
    values = {
        "id": "x",
        "stage": "detectors",
        "topic": ARTICLES,
        "record_id": "r",
        "value": b"{}",
        "size": 2,
        "at": NOON,
    }
    return DeadLetter(**(values | {"reason": f"{DIED} 2 times while it worked on this record"} | parts))  # type: ignore[arg-type]  # by name


async def chances(folder: Path, letter: DeadLetter, *, after: timedelta) -> tuple[int, int]:
    """Set *letter* aside and look again *after* that; return how many wait to be replayed and how many lie aside."""

    def look(tx: Tx) -> tuple[int, int]:
        _give_second_chances(tx, now=NOON + after)
        return sum(tx.replays.waiting().values()), tx.dead_letters.count()

    async with a_store(folder) as store:
        await store.write(lambda tx: put_aside(tx, letter))
        return await store.write(look)


async def test_who_was_there_when_the_process_died_is_tried_again_once_things_are_calm(tmp_path: Path) -> None:
    assert await chances(tmp_path, a_letter(), after=2 * MINUTE) == (1, 0)


@pytest.mark.parametrize(
    "letter",
    [a_letter(times=2), a_letter(reason="checksum does not match"), a_letter(topic="timers"), a_letter(size=3)],
    ids=["tried before", "to blame", "no record", "not whole"],
)
async def test_everything_else_waits_for_somebody_to_look(tmp_path: Path, letter: DeadLetter) -> None:
    assert await chances(tmp_path, letter, after=2 * MINUTE) == (0, 1)


async def test_what_was_set_aside_a_moment_ago_waits_until_the_process_has_lived_on(tmp_path: Path) -> None:
    assert await chances(tmp_path, a_letter(), after=MINUTE / 2) == (0, 1)
