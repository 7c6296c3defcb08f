"""What an operator decides about incidents: the `incidents:` key."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tocsin.matcher import Matcher
from tocsin.records import Severity
from tocsin.yamlfile import Duration

_CLOSED = ConfigDict(frozen=True, extra="forbid")


class SeverityLevel(BaseModel):
    """One line of `severity:`; an incident has the first level of which any matcher fits."""

    model_config = _CLOSED

    level: Severity
    any: Annotated[tuple[Matcher, ...], Field(min_length=1)]

    @field_validator("any")
    @classmethod
    def _not_by_itself(cls, matchers: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
        if any(matcher.severity is not None for matcher in matchers):
            raise ValueError("severity cannot be decided by severity")
        return matchers


def _shipped() -> tuple[SeverityLevel, ...]:
    levels: tuple[dict[str, object], ...] = (
        {"level": "extreme", "any": ({"deaths": {"min": 50}}, {"government_dismissal": {"kind": "toppled"}})},
        {
            "level": "severe",
            "any": (
                {"deaths": {"min": 5}},
                {"foreign_troops": {"certainty": "confirmed"}},
                {"type": "government_dismissal"},
            ),
        },
        {"level": "moderate", "any": ({"deaths": {"min": 1}}, {"type": "foreign_troops"})},
    )
    return tuple(SeverityLevel.model_validate(level) for level in levels)


class IncidentsSettings(BaseModel):
    """How long an incident lives, what is too old to ring, and how grave it is.

    Without news an incident is quiet after `quiet_after`, closed after `close_after`, and forgotten as a match for
    retold stories after `remember`. A happening older than `recency` opens none; one seen later than `ring_within`
    after its publication is told with the opening picture. A lower toll in which no withdrawal is read counts as a
    correction only `settle` after the rise that it contradicts: before that it is a slower newsroom.
    """

    model_config = _CLOSED

    quiet_after: Duration = timedelta(hours=12)
    close_after: Duration = timedelta(hours=48)
    remember: Duration = timedelta(days=14)
    recency: Duration = timedelta(hours=36)
    ring_within: Duration = timedelta(hours=2)
    settle: Duration = timedelta(hours=1)
    severity: tuple[SeverityLevel, ...] = Field(default_factory=_shipped)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not timedelta(0) < self.quiet_after <= self.close_after <= self.remember:
            raise ValueError("quiet_after, close_after and remember must each be longer than the one before")
        if self.ring_within > self.recency:
            raise ValueError("ring_within must not be longer than recency")
        return self
