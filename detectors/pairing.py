"""Which event that was found is meant by which one that was expected: so that most attributes agree in sum."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Event = dict[str, Any]

PAIRED_MOST: Final = 6  # events of one text that are paired in the best way; more are paired as they come


def paired(
    expected: Sequence[Event], found: Sequence[Event], *, names: Callable[[Event], Iterable[str]]
) -> list[tuple[Event, Event]]:
    """Return pairs of (expected, found), as many as there can be; *names* are the attributes that count."""
    if not expected or not found:
        return []
    if max(len(expected), len(found)) > PAIRED_MOST:
        return list(zip(expected, found, strict=False))
    few = min(len(expected), len(found))
    ways = (
        list(zip(some, others, strict=True))
        for some in ([expected] if len(expected) == few else permutations(expected, few))
        for others in permutations(found, few)
    )
    return max(
        ways,
        key=lambda pairs: sum(
            agrees(name, one.get(name), other.get(name)) for one, other in pairs for name in names(one)
        ),
    )


def agrees(name: str, one: object, other: object) -> bool:
    """Say whether two values of one attribute are the same; senders have no order."""
    if name == "from" and isinstance(one, list) and isinstance(other, list):
        return sorted(one) == sorted(other)
    return one == other
