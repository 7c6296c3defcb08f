"""How grave an incident is: the first level of the settings that fits what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.matcher import matches_any
from tocsin.records import Certainty, Fact, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import SeverityLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """An incident as a matcher sees it."""

    types: tuple[str, ...]
    countries: tuple[str, ...]
    alliances: tuple[str, ...]
    certainty: Certainty
    facts: tuple[Fact, ...]
    severity: Severity = Severity.MINOR


def severity_of(situation: Situation, levels: Sequence[SeverityLevel], *, least: Severity | None = None) -> Severity:
    """Return the level of *situation*; a rule's own severity (*least*) can only raise it."""
    found = next((level.level for level in levels if matches_any(situation, level.any)), Severity.MINOR)
    return max(found, least or Severity.MINOR, key=lambda severity: severity.rank)
