"""The stream inside the store: topics are rows, so one transaction holds cursor, state and output."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tocsin.stream.port import Bounds, StreamRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx


class EmbeddedStream:
    """`Stream` over the store of this process. Each topic is one partition, 0."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @asynccontextmanager
    async def reader(
        self, group: str, topic: str, *, shared: bool = False, patient: bool = False
    ) -> AsyncIterator[EmbeddedReader]:
        """Read *topic* for *group*; *shared* or not, there is one process and one reader, and nothing to wait for."""
        del shared, patient
        reader = EmbeddedReader(self, self._store, group, topic)
        await reader.rewind()
        try:
            yield reader
        finally:
            await reader.close()

    async def fetch(
        self, topic: str, *, start: int, most: int, timeout_s: float, partition: int = 0
    ) -> Sequence[StreamRecord]:
        """Return up to *most* records at or after *start*; wait up to *timeout_s* while there is none."""
        if partition != 0:
            return ()

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

    async def bounds(self, topic: str) -> Mapping[int, Bounds]:
        """Return what there is to look at."""
        first, end = await self._store.read(lambda tx: tx.topics.bounds(topic))
        return {0: Bounds(first, end)}

    async def lag(self) -> Mapping[tuple[str, str], int]:
        """Return, for each (group, topic) that has a cursor, how many records wait."""
        return await self._store.read(lambda tx: tx.topics.lag())


class EmbeddedReader:
    """`Reader` of the one partition there is. While there is more than was asked for, it reads ahead."""

    def __init__(self, stream: EmbeddedStream, store: Store, group: str, topic: str) -> None:
        self._stream = stream
        self._store = store
        self._group = group
        self._topic = topic
        self._cursor = 0
        self._position = 0
        self._generation = 0
        self._ahead: tuple[int, int, asyncio.Task[Sequence[StreamRecord]]] | None = None

    async def fetch(self, *, most: int, timeout_s: float) -> Sequence[StreamRecord]:
        """Return the next records, up to *most*, and read on behind them."""
        ahead, self._ahead = self._ahead, None
        found: Sequence[StreamRecord] = ()
        if ahead is not None:
            start, as_many, task = ahead
            found = await task
            if (start, as_many) != (self._position, most):
                found = ()  # somebody has sought another place since
        if not found:
            found = await self._stream.fetch(self._topic, start=self._position, most=most, timeout_s=timeout_s)
        if found:
            self._position = found[-1].offset + 1
        if len(found) == most:
            reading = self._stream.fetch(self._topic, start=self._position, most=most, timeout_s=0)
            self._ahead = self._position, most, asyncio.create_task(reading, name=f"read ahead {self._topic}")
        return found

    async def close(self) -> None:
        """Forget what was read ahead."""
        if self._ahead is not None:
            _, _, task = self._ahead
            self._ahead = None
            task.cancel()
            await asyncio.wait({task})

    def generation(self, partition: int) -> int:
        """Return a number that changes with each rewind."""
        assert partition == 0
        return self._generation

    def cursor(self, partition: int) -> int:
        """Return where the cursor stood at the last rewind."""
        assert partition == 0
        return self._cursor

    def seek(self, partition: int, offset: int) -> None:
        """Read from *offset* on."""
        assert partition == 0
        self._position = offset

    async def rewind(self) -> None:
        """Read on from where the group's cursor stands."""
        self._cursor = self._position = await self._store.read(lambda tx: tx.topics.position(self._group, self._topic))
        self._generation += 1
