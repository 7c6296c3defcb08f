"""The store and the archive as the rooms see them; one contract suite each holds every adapter to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from tocsin.store.archive import Kept
    from tocsin.store.tx import Tx

T = TypeVar("T")


class Store(Protocol):
    """State that survives the process."""

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run *unit* in one transaction and answer after its commit.

        *unit* reads, decides and writes through `Tx`, awaits nothing and calls nobody. It may be run again
        when the database asks for that, so it leaves to `Tx.after` what is counted or logged. What it raises undoes
        this unit only, and is raised here.

        Raises:
            Fenced: another worker has moved this cursor.
            StoreFull: the quota or the disk is used up.
            StoreUnavailable: the database cannot write now.

        """
        ...

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Run *query* on a snapshot of what is committed; it cannot write."""
        ...

    def mark(self, name: str) -> int:
        """Return a mark to hand to `wait`: take it before looking, wait after having found nothing."""
        ...

    async def wait(self, name: str, mark: int, *, timeout_s: float) -> None:
        """Return once *name* was woken after *mark*, or after *timeout_s*."""
        ...

    def bytes_on_disk(self) -> int:
        """Return how much the state takes; blocks for a moment."""
        ...


class Archive(Protocol):
    """What was read and rung: the stream forgets, the archive keeps. Every method blocks: call it in a thread."""

    size: int  # how many bytes it may take

    def put(self, kept: Sequence[Kept]) -> None:
        """Keep records; what is there already stays as it is.

        Raises:
            RecordUnreadable: one of them can never be kept; the others may not have been kept either.
            StoreFull, StoreUnavailable: some were not kept.

        """
        ...

    def latest(self, kind: str, *, limit: int, before: tuple[datetime, str] | None = None) -> list[Kept]:
        """Return a page, the newest first; *before* is the instant and id of the last one seen."""
        ...

    def by_key(self, kind: str, key: str) -> list[Kept]:
        """Return all of one key, the newest first."""
        ...

    def by_url(self, kind: str, url: str) -> list[Kept]:
        """Return all of one URL, the newest first."""
        ...

    def search(self, kind: str, words: str, *, limit: int = 50) -> list[Kept]:
        """Return what holds all of *words* in title or text, the newest first."""
        ...

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each part by its name, the oldest first."""
        ...

    def trim(self, *, now: datetime, keep: timedelta) -> list[str]:
        """Drop what ended before *keep* ago, then the oldest parts while all are larger than `size`; name them."""
        ...
