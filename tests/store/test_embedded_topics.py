"""What topics are like where the store itself is the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tocsin.testing import DAY, HOUR, NOON, a_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

TOPIC = "articles.v1"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with a_store(tmp_path) as opened:
        yield opened


def emit(tx: Tx, name: str) -> bool:
    return tx.emit(TOPIC, key=name, record_id=name, value=name.encode())


async def ids(store: Store) -> list[str]:
    return await store.read(lambda tx: [row.id for row in tx.topics.fetch(TOPIC, start=0, most=1000)])


def trim(tx: Tx, *, groups: Sequence[str]) -> int:
    return tx.topics.trim(TOPIC, groups=groups, now=NOON + 40_000 * DAY, keep=DAY)


async def test_lag_counts_what_a_group_has_not_passed(store: Store) -> None:
    for name in "abc":
        await store.write(lambda tx, name=name: emit(tx, name))  # type: ignore[misc]  # mypy infers no lambda with defaults
    first = await store.read(lambda tx: tx.topics.fetch(TOPIC, start=0, most=1))

    await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=first[0].position + 1))

    assert await store.read(lambda tx: tx.topics.lag()) == {("g", TOPIC): 2}


async def test_trimming_spares_what_a_group_has_not_passed(store: Store) -> None:
    for name in "abc":
        await store.write(lambda tx, name=name: emit(tx, name))  # type: ignore[misc]  # mypy infers no lambda with defaults
    rows = await store.read(lambda tx: tx.topics.fetch(TOPIC, start=0, most=9))
    await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=rows[1].position + 1))

    trimmed = await store.write(lambda tx: trim(tx, groups=["g"]))

    assert trimmed == 2
    assert await ids(store) == ["c"]


async def test_trimming_spares_everything_while_one_of_the_groups_has_not_begun(store: Store) -> None:
    await store.write(lambda tx: emit(tx, "a"))
    await store.write(lambda tx: tx.advance("quick", TOPIC, 0, expect=0, to=1_000))

    trimmed = await store.write(lambda tx: trim(tx, groups=["quick", "not begun"]))

    assert trimmed == 0
    assert await ids(store) == ["a"]


async def test_trimming_waits_for_no_group_that_is_no_more(store: Store) -> None:
    await store.write(lambda tx: tx.advance("of an earlier version", TOPIC, 0, expect=0, to=1))
    for name in "abc":
        await store.write(lambda tx, name=name: emit(tx, name))  # type: ignore[misc]  # mypy infers no lambda with defaults
    await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=1_000))

    assert await store.write(lambda tx: trim(tx, groups=["g"])) == 3


async def test_trimming_spares_what_is_young_and_goes_on_past_a_clock_that_was_wrong(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for name, age in (("of a wrong clock", -400 * DAY), ("old", 4 * DAY), ("young", DAY), ("ahead", -HOUR)):
            tx.topics.append(TOPIC, key=name, record_id=name, value=b"", at=NOON - age)
        tx.advance("g", TOPIC, 0, expect=0, to=1_000)

    await store.write(fill)

    for _ in range(4):
        await store.write(lambda tx: tx.topics.trim(TOPIC, groups=["g"], now=NOON, keep=3 * DAY, most=1))

    assert await ids(store) == ["young", "ahead"]


async def test_an_offset_is_never_given_again(store: Store) -> None:
    await store.write(lambda tx: emit(tx, "a"))
    (old,) = await store.read(lambda tx: tx.topics.fetch(TOPIC, start=0, most=9))
    await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=old.position + 1))
    await store.write(lambda tx: trim(tx, groups=["g"]))

    await store.write(lambda tx: emit(tx, "b"))

    (new,) = await store.read(lambda tx: tx.topics.fetch(TOPIC, start=0, most=9))
    assert new.position > old.position
