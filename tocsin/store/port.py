"""The store as the rooms see it; one contract suite holds every adapter to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.store.tx import Tx

T = TypeVar("T")


class Store(Protocol):
    """State that survives the process."""

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run *unit* in one transaction and answer after its commit.

        *unit* reads, decides and writes through `Tx`, awaits nothing and calls nobody. It may be run again
        when the database asks for that. What it raises undoes this unit only, and is raised here.

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
