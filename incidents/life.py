"""An incident without news falls quiet, is closed, and is at last forgotten as a match for stories told again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from tocsin.records import IncidentState

from .state import from_bytes, to_bytes

if TYPE_CHECKING:
    from tocsin.store.timers import Timer
    from tocsin.store.tx import Tx

    from .settings import IncidentsSettings
    from .state import Incident

log = structlog.get_logger()

ROOM: Final = "incidents"
LIFE: Final = "life"


def set_life_timer(tx: Tx, incident: Incident, *, settings: IncidentsSettings) -> None:
    """Call again when the incident may fall quiet. News do not move the timer: it looks at them when it is due."""
    tx.timers.set(ROOM, LIFE, incident.id, due=incident.last_seen + settings.quiet_after)


def grow_older(tx: Tx, timer: Timer, *, settings: IncidentsSettings) -> None:
    """Handle a due timer: time is the timer's own, so that late handling changes nothing."""
    body = tx.incidents.body(timer.key)
    row = tx.incidents.get(timer.key)
    if row is None:
        return
    incident = from_bytes(body)
    idle = timer.due - incident.last_seen
    if idle >= settings.remember:
        tx.incidents.forget_keys(incident.id)
        return
    state, again = incident.state, settings.remember
    is_alive = state in (IncidentState.OPEN, IncidentState.QUIET)
    if idle < settings.quiet_after:
        again = settings.quiet_after
    elif idle < settings.close_after:
        state, again = (IncidentState.QUIET if is_alive else state), settings.close_after
    elif is_alive:
        state = IncidentState.CLOSED
    if state is not incident.state:
        tx.incidents.put(replace(row, state=state), body=to_bytes(replace(incident, state=state)))
        tx.after(partial(log.info, "incident aged", incident=incident.id[:12], state=state.value))
    tx.timers.set(ROOM, LIFE, incident.id, due=incident.last_seen + again)
