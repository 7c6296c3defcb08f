"""Why a store does not take what it is given: told once when it begins, and once when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from tocsin import metrics
from tocsin.errors import StoreDamaged, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = structlog.get_logger()

QUOTA: Final = "quota"
_KINDS: Final[Mapping[str, type[Exception]]] = {
    "full": StoreFull,
    "unavailable": StoreUnavailable,
    "damaged": StoreDamaged,
}


class Troubles:
    """What is wrong with one store, as of the last attempt to write. Noted by the writer's thread alone."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._now: dict[str, str] = {}  # by kind
        for kind in (QUOTA, *_KINDS):
            metrics.STORE_TROUBLE.labels(kind=kind).set(0)

    def told(self) -> Sequence[str]:
        """Return them in words, for an operator."""
        return tuple(self._now.values())

    def failed(self, error: BaseException) -> None:
        """Note what kept the writer from writing, if it was the store itself."""
        for kind, type_ in _KINDS.items():
            if isinstance(error, type_):
                self.note(kind, str(error))
                return

    def worked(self) -> None:
        """Note that the writer has written."""
        for kind in _KINDS:
            self.note(kind, "")

    def note(self, kind: str, reason: str) -> None:
        """Note that there is trouble of this kind, and why; without a *reason*, that there is none."""
        if bool(reason) == (kind in self._now):
            return
        metrics.STORE_TROUBLE.labels(kind=kind).set(bool(reason))
        if reason:
            log.error("store in trouble", store=self._store, kind=kind, reason=reason)
            self._now = {**self._now, kind: f"the store is in trouble ({kind}): {reason}"}
        else:
            log.warning("store recovered", store=self._store, kind=kind)
            self._now = {name: told for name, told in self._now.items() if name != kind}
