"""The incidents stage: what `tocsin.consumer` calls for readings and for timers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tocsin.stream.codec import decode_reading

from .engine import absorb
from .life import ROOM, grow_older

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin.consumer import Unit, Work
    from tocsin.store.timers import Timer
    from tocsin.store.tx import Tx
    from tocsin.stream.port import StreamRecord

    from .settings import IncidentsSettings

GROUP: Final = ROOM


def work_with(settings: IncidentsSettings) -> Work:
    """Return what `consume` needs for `readings.v1` in the group "incidents"."""

    async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        return [partial(_absorb, value=record.body, settings=settings) for record in records]

    return work


def timers_with(settings: IncidentsSettings) -> Callable[[Tx, Timer], None]:
    """Return what `run_timers` needs for the room "incidents"."""
    return partial(grow_older, settings=settings)


def _absorb(tx: Tx, *, value: bytes, settings: IncidentsSettings) -> None:
    # Decoded within the unit: a reading that cannot be read is set aside alone.
    absorb(tx, decode_reading(value), settings=settings)
