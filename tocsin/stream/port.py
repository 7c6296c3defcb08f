"""The stream as its readers see it; one contract suite holds every adapter to it.

Writing is `Tx.emit`, so that a record is put out in the same transaction as the state it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

ARTICLES = "articles.v1"
READINGS = "readings.v1"
ALERTS = "alerts.v1"
TOPICS = (ARTICLES, READINGS, ALERTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecord:
    """One record; `value` is None when its bytes are damaged. Offsets rise but need not be contiguous."""

    topic: str
    partition: int
    offset: int
    key: str
    id: str
    value: bytes | None

    @property
    def body(self) -> bytes:
        """The bytes of an undamaged record; the consumer sets the others aside before any work sees them."""
        return self.value or b""


class Stream(Protocol):
    """Reads topics in order."""

    async def position(self, group: str, topic: str) -> int:
        """Return the committed offset of *group*: the one it reads next."""
        ...

    async def fetch(self, topic: str, *, start: int, most: int, timeout_s: float) -> Sequence[StreamRecord]:
        """Return up to *most* records at or after *start*; wait up to *timeout_s* while there is none."""
        ...
