"""The stream as its readers see it; one contract suite holds every adapter to it.

Writing is `Tx.emit`, so that a record is put out in the same transaction as the state it came from. A reader's
cursor is in the store, too, and moves in that transaction (`Tx.advance`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

ARTICLES: Final = "articles.v1"
READINGS: Final = "readings.v1"
ALERTS: Final = "alerts.v1"
DEAD_LETTERS: Final = "dead-letters.v1"
TOPICS: Final = (ARTICLES, READINGS, ALERTS)

RECORD_LIMIT_BYTES: Final = 1_000_000  # Kafka takes 1,048,588 by default, headers and framing included


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecord:
    """One record; `value` is None when its bytes are of no use, and `damage` says why.

    Offsets rise within a partition but need not be contiguous.
    """

    topic: str
    partition: int
    offset: int
    key: str
    id: str
    value: bytes | None
    damage: str = "checksum does not match"

    @property
    def body(self) -> bytes:
        """The bytes of an undamaged record; the consumer sets the others aside before any work sees them."""
        return self.value or b""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What of a partition can be looked at: offsets from *first* up to, not including, *end*."""

    first: int
    end: int


class Reader(Protocol):
    """One member of a consumer group on one topic. It commits nothing: its owner moves the cursor in the store."""

    async def fetch(self, *, most: int, timeout_s: float) -> Sequence[StreamRecord]:
        """Return the next records, up to *most*, and read on behind them; wait up to *timeout_s* while there is none.

        Records of several partitions may come at once, each partition's in order. A partition may be taken away or
        given to us anew at any time; what comes of it afterwards has another `generation`.
        """
        ...

    def generation(self, partition: int) -> int:
        """Return a number that changes whenever *partition* is given to this reader anew, or rewound."""
        ...

    def cursor(self, partition: int) -> int:
        """Return where the group's cursor stood when the reader was given *partition*, or rewound."""
        ...

    def seek(self, partition: int, offset: int) -> None:
        """Read *partition* from *offset* on, which was fetched before; nothing happens when it is not ours any more."""
        ...

    async def rewind(self) -> None:
        """Read on from where the group's cursors stand in the store."""
        ...


class Stream(Protocol):
    """Reads topics in order."""

    def reader(
        self, group: str, topic: str, *, shared: bool = False, patient: bool = False
    ) -> AbstractAsyncContextManager[Reader]:
        """Join *group*: *shared* with others, each with some of the partitions, else as the only one, with all.

        A *patient* one may be given records half a second late, so that many come at once.
        """
        ...

    async def fetch(
        self, topic: str, *, start: int, most: int, timeout_s: float, partition: int = 0
    ) -> Sequence[StreamRecord]:
        """Look at up to *most* records at or after *start*, outside any group; wait up to *timeout_s* for the first."""
        ...

    async def bounds(self, topic: str) -> Mapping[int, Bounds]:
        """Return what there is to look at, by partition; of a partition without any record, where the next will be."""
        ...

    async def lag(self) -> Mapping[tuple[str, str], int]:
        """Return, for each (group, topic) that has a cursor, how many records wait."""
        ...
