"""The bursts stage: what `tocsin.consumer` calls for readings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tocsin.stream.codec import decode_reading

from .engine import take_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.consumer import Unit, Work
    from tocsin.store.tx import Tx
    from tocsin.stream.port import StreamRecord

    from .settings import BurstsSettings

GROUP: Final = "bursts"


def work_with(settings: BurstsSettings) -> Work:
    """Return what `consume` needs for `readings.v1` in the group "bursts".

    Switched off it lets the cursor move all the same: what a group has not passed is never trimmed.
    """

    async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        unit = _take_in if settings.enabled else _pass_over
        return [partial(unit, value=record.body, settings=settings) for record in records]

    return work


def _take_in(tx: Tx, *, value: bytes, settings: BurstsSettings) -> None:
    # Decoded within the unit: a reading that cannot be read is set aside alone.
    take_in(tx, decode_reading(value), settings=settings)


def _pass_over(tx: Tx, *, value: bytes, settings: BurstsSettings) -> None:
    """Leave it at that."""
