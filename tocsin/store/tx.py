"""One transaction: what a unit of work reads, decides and writes through."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from tocsin.errors import StoreFull
from tocsin.store.access import AccessRepository
from tocsin.store.bursts import BurstRepository
from tocsin.store.dead_letters import DeadLetterRepository
from tocsin.store.incidents import IncidentRepository
from tocsin.store.ingest import IngestRepository
from tocsin.store.leases import LeaseRepository
from tocsin.store.notifier import NotifierRepository
from tocsin.store.outbox import OutboxRepository
from tocsin.store.overlay import OverlayRepository
from tocsin.store.relayed import WAKE, RelayedTopicRepository
from tocsin.store.replays import ReplayRepository
from tocsin.store.timers import TimerRepository
from tocsin.store.topics import TopicRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from tocsin.clock import Clock


class Tx:
    """Everything a unit may touch. A unit awaits nothing and calls nobody.

    `conn` belongs to the repositories; a room uses theirs. What a unit wakes is woken after the commit, and what it
    counts or logs is left to `after`.
    """

    def __init__(self, conn: Connection, clock: Clock, *, no_room: str = "") -> None:
        self.conn = conn
        self.woken: set[str] = set()
        self.afterwards: list[Callable[[], None]] = []  # of the unit that runs
        self._clock = clock
        self._no_room = no_room
        # The two modes know no mixture: on PostgreSQL the stream is a broker, and what is emitted waits for the relay.
        self._relayed = conn.dialect.name == "postgresql"
        self.topics = RelayedTopicRepository(conn) if self._relayed else TopicRepository(conn)

    def emit(self, topic: str, *, key: str, record_id: str, value: bytes) -> bool:
        """Put one record on *topic*; return False, and do nothing, when its id was seen before."""
        fresh = self.topics.append(topic, key=key, record_id=record_id, value=value, at=self._clock.now())
        if fresh:
            self._wake_readers(topic)
        return fresh

    def emit_all(self, topic: str, records: Sequence[tuple[str, str, bytes]]) -> int:
        """Put records, given as (key, id, value), on *topic* in order; return how many ids were not seen before."""
        fresh = self.topics.append_all(topic, records, at=self._clock.now())
        if fresh:
            self._wake_readers(topic)
        return fresh

    @property
    def is_relayed(self) -> bool:
        """Whether what is put out waits for a relay to bring it to the brokers."""
        return self._relayed

    def emit_again(self, topic: str, *, key: str, record_id: str, value: bytes) -> bool:
        """Put one record on *topic* that never came to lie there; return False when it does, or waits to."""
        if not self._relayed:
            return self.emit(topic, key=key, record_id=record_id, value=value)
        fresh = self.outbox.put_again(topic, key=key, record_id=record_id, value=value, at=self._clock.now())
        if fresh:
            self._wake_readers(topic)
        return fresh

    def advance(self, group: str, topic: str, partition: int, *, expect: int, to: int) -> None:
        """Move a cursor from *expect* to *to*.

        Raises:
            Fenced: another worker has moved it.

        """
        self.topics.advance(group, topic, partition, expect=expect, to=to)

    def wake(self, name: str) -> None:
        """Wake whoever waits for *name*, once this is committed."""
        self.woken.add(name)

    def after(self, tell: Callable[[], None]) -> None:
        """Call *tell* once, when this unit stands: what is counted and logged, which a second run would do again.

        It is called in the writer's thread before the unit's caller is answered, and never when the unit is undone or
        the process dies at that moment: so nothing that is needed may be done by it.
        """
        self.afterwards.append(tell)

    def require_room(self) -> None:
        """Make sure that new articles may be accepted; alerts and state keep a reserve of their own.

        Raises:
            StoreFull: the store is within its reserve.

        """
        if self._no_room:
            raise StoreFull(f"no article is accepted: {self._no_room}")

    @cached_property
    def outbox(self) -> OutboxRepository:
        """What waits for the relay; only where the stream is a broker."""
        return OutboxRepository(self.conn)

    @cached_property
    def timers(self) -> TimerRepository:
        """What must happen later."""
        return TimerRepository(self.conn, self.wake)

    @cached_property
    def dead_letters(self) -> DeadLetterRepository:
        """What was set aside."""
        return DeadLetterRepository(self.conn)

    @cached_property
    def replays(self) -> ReplayRepository:
        """What was set aside and is to be worked on once more."""
        return ReplayRepository(self.conn, self.wake)

    @cached_property
    def leases(self) -> LeaseRepository:
        """Who may do what only one may do."""
        return LeaseRepository(self.conn, now=self._clock.now, wake=self.wake)

    @cached_property
    def overlay(self) -> OverlayRepository:
        """What people changed by web or command line."""
        return OverlayRepository(self.conn)

    @cached_property
    def access(self) -> AccessRepository:
        """Who changed what."""
        return AccessRepository(self.conn)

    @cached_property
    def ingest(self) -> IngestRepository:
        """Feeds and articles."""
        return IngestRepository(self.conn)

    @cached_property
    def incidents(self) -> IncidentRepository:
        """Incidents and alerts."""
        return IncidentRepository(self.conn)

    @cached_property
    def bursts(self) -> BurstRepository:
        """How many articles told of what."""
        return BurstRepository(self.conn)

    @cached_property
    def notifier(self) -> NotifierRepository:
        """The outbox and what it remembers."""
        return NotifierRepository(self.conn)

    def _wake_readers(self, topic: str) -> None:
        self.woken.add(WAKE if self._relayed else topic)
