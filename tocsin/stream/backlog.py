"""What waits for the relay, without what it can do nothing about for now."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Set as AbstractSet

    from tocsin.store.outbox import OutboxRecord
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx
    from tocsin.stream.flight import Where

AT_ONCE: Final = 1_000  # records in one flight
AT_ONCE_BYTES: Final = 8 * 1024 * 1024
AGAIN_S: Final = 5.0  # positions may come to light late: then everything is looked at again
AGAIN_TIMES: Final = 20  # ... and it takes a part of our time that is no more than this


class Backlog:
    """Reads the lowest rows of the outbox.

    While partitions are late their rows pile up before all others, so it remembers how far there is nothing else.
    """

    def __init__(self, where: Callable[[str, str], Where]) -> None:
        self._where = where
        self._late: AbstractSet[Where] = frozenset()
        self._passed = 0
        self._again_at = 0.0

    async def lowest(self, store: Store, *, late: AbstractSet[Where], but: frozenset[int]) -> list[OutboxRecord]:
        """Return what goes next, by position, without the rows of partitions that are *late* and without *but*."""
        if not late:
            self._late = late
            return await store.read(
                lambda tx: tx.outbox.lowest(most=AT_ONCE, most_bytes=AT_ONCE_BYTES, but=but),
            )
        began = time.monotonic()
        anew = not self._late or not self._late <= late or began >= self._again_at
        read = partial(self._in_time, above=0 if anew else self._passed, late=late, but=but)
        rows, self._passed = await store.read(read)
        if anew:
            self._again_at = began + max(AGAIN_S, AGAIN_TIMES * (time.monotonic() - began))
        self._late = late
        return rows

    def _in_time(
        self, tx: Tx, *, above: int, late: AbstractSet[Where], but: frozenset[int]
    ) -> tuple[list[OutboxRecord], int]:
        return tx.outbox.lowest_but(
            lambda topic, key: self._where(topic, key) in late,
            above=above,
            most=AT_ONCE,
            most_bytes=AT_ONCE_BYTES,
            but=but,
        )
