"""A figure of ours beside a peer's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """What we do, by `ours`, and what somebody else does, by `theirs`; each returns so much a second."""

    what: str
    unit: str
    ours: Callable[[], float]
    peer: str
    theirs: Callable[[], float]
