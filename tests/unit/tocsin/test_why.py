"""What asking why costs everybody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from tocsin.testing import a_store
from tocsin.why import why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tocsin.records import Article
    from tocsin.store.port import Archive, Store
    from tocsin.store.tx import Tx


class Slow:
    """A store that keeps every reader until `goes_on` is set, and counts them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.goes_on = asyncio.Event()
        self.reading = 0

    async def read(self, query: Callable[[Tx], Any]) -> Any:
        self.reading += 1
        try:
            await self.goes_on.wait()
            return await self._store.read(query)
        finally:
            self.reading -= 1


async def explain(_: Article) -> Sequence[str]:
    return ()


async def test_searches_are_made_one_after_the_other_and_a_look_at_an_address_need_not_wait(tmp_path: Path) -> None:
    search = asyncio.Semaphore(1)
    async with a_store(tmp_path) as opened, asyncio.TaskGroup() as tasks:
        store = Slow(opened)

        def ask(query: str) -> asyncio.Task[Any]:
            question = why(
                query,
                store=cast("Store", store),
                archive=cast("Archive", None),  # nobody looks there for what the store does not know
                explain=explain,
                feeds=(),
                search=search,
            )
            return tasks.create_task(question, name=query)

        asked = [ask(f"killed in Narva {number}") for number in range(4)]
        await asyncio.sleep(0)
        searching = store.reading
        asked += [ask("https://n.example/a"), ask("abcdef012345")]
        await asyncio.sleep(0)
        in_all = store.reading
        store.goes_on.set()
        answers = [await each for each in asked]

    assert (searching, in_all) == (1, 3)
    assert all(answer["found"] == 0 and answer["missing"] for answer in answers)
