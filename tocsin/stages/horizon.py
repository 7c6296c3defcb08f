"""How long is remembered while the store's quota runs short: forgetting sooner heals, a full store stands still."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from tocsin import metrics

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger()

SHORTEN_ABOVE: Final = 0.8  # of the quota; at 0.9 no article is accepted any more
IN_HASTE_ABOVE: Final = 0.87
LENGTHEN_BELOW: Final = 0.65
STEP: Final = 0.8
STEP_IN_HASTE: Final = 0.5
LENGTHENED_EVERY: Final = timedelta(hours=1)  # what is gained fills slowly, so that one step is seen before the next
SHORTEST: Final = 0.01


class Horizon:
    """The `share` of the configured times for which things are kept now: 1 while there is room."""

    def __init__(self) -> None:
        self.share = 1.0
        self._shortened_in = -1
        self._changed_at: datetime | None = None
        metrics.HORIZON_SHARE.set(self.share)

    def of(self, whole: timedelta, *, least: timedelta) -> timedelta:
        """Return for how long to keep what is to be kept for *whole*; shortened, it is *least* in any case."""
        return max(min(whole, least), whole * self.share)

    def look(self, used: float, *, now: datetime, rounds: int) -> None:
        """Shorten or lengthen it by one step as *used*, a share of the quota, asks for.

        *rounds* counts how often everything was gone through: what a step brings is seen only after the next.
        """
        metrics.STORE_QUOTA_USED.set(used)
        if used > SHORTEN_ABOVE and self.share > SHORTEST and rounds > self._shortened_in:
            self._shortened_in = rounds
            step = STEP_IN_HASTE if used > IN_HASTE_ABOVE else STEP
            self._change("horizon shortened", max(SHORTEST, self.share * step), used=used, now=now)
        elif used < LENGTHEN_BELOW and self.share < 1 and self._has_waited(now):
            self._change("horizon lengthened", min(1.0, self.share / STEP), used=used, now=now)

    def _has_waited(self, now: datetime) -> bool:
        return self._changed_at is None or now - self._changed_at >= LENGTHENED_EVERY

    def _change(self, what: str, share: float, *, used: float, now: datetime) -> None:
        self.share = share
        self._changed_at = now
        metrics.HORIZON_SHARE.set(share)
        log.warning(what, share=round(share, 3), quota_used=round(used, 3))
