"""The stream inside the store: topics are rows, so one transaction holds cursor, state and output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.stream.port import StreamRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx


class EmbeddedStream:
    """`Stream` over the store of this process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def position(self, group: str, topic: str) -> int:
        """Return the committed offset of *group*."""
        return await self._store.read(lambda tx: tx.topics.position(group, topic))

    async def fetch(self, topic: str, *, start: int, most: int, timeout_s: float) -> Sequence[StreamRecord]:
        """Return up to *most* records at or after *start*; wait up to *timeout_s* while there is none."""

        def query(tx: Tx) -> list[StreamRecord]:
            return [
                StreamRecord(topic=topic, partition=0, offset=row.position, key=row.key, id=row.id, value=row.value)
                for row in tx.topics.fetch(topic, start=start, most=most)
            ]

        mark = self._store.mark(topic)
        found = await self._store.read(query)
        if found or timeout_s <= 0:
            return found
        await self._store.wait(topic, mark, timeout_s=timeout_s)
        return await self._store.read(query)
