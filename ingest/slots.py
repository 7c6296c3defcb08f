"""How the hosts are shared out: each lies in one slot, and rendezvous hashing says which worker should have a slot.

Pure. A worker that comes takes slots from all others and changes nothing between them; one that goes leaves its own
to all others.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

SLOTS: Final = 128


def slot_of(host: str) -> int:
    """Return the slot of *host*, for good."""
    return int.from_bytes(_digest(host), "big") % SLOTS


def owner(slot: int, members: Collection[str]) -> str | None:
    """Return which of *members* should have *slot*; None when there are none."""
    return max(members, key=lambda member: (_digest(f"{slot}\0{member}"), member), default=None)


def share(member: str, members: Collection[str]) -> frozenset[int]:
    """Return the slots that *member* should have."""
    return frozenset(slot for slot in range(SLOTS) if owner(slot, members) == member)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()
