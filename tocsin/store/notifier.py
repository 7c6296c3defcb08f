"""What the notifier asks of its tables: the outbox, who knows of what, what is kept back, and what routing said."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Integer,
    bindparam,
    delete,
    func,
    select,
    update,
)

from tocsin.records import Delivery, DeliveryState, MessageKind
from tocsin.store.incidents import is_standing
from tocsin.store.notifier_tables import alerts, held, outbox, told, verdicts
from tocsin.store.schema import Instant, delete_some, insert_ignore, upsert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Row

PENDING, SENDING, DONE, DEAD = DeliveryState

_COLUMNS: Final = [outbox.c[field.name] for field in fields(Delivery)]

# What a lane asks for each message is built once: to build it takes SQLAlchemy longer than SQLite to answer it.
_EARLIER: Final = outbox.alias("earlier")
_IN_THE_WAY: Final = (
    select(_EARLIER.c.seq)
    .where(
        _EARLIER.c.receiver == outbox.c.receiver,
        _EARLIER.c.incident == outbox.c.incident,
        _EARLIER.c.state.in_((PENDING, SENDING)),
        _EARLIER.c.seq < outbox.c.seq,
    )
    .exists()
)
_MAY_GO: Final = (outbox.c.receiver == bindparam("receiver"), outbox.c.state == PENDING, ~_IN_THE_WAY)
_CLAIM: Final = (
    select(outbox.c.seq, *_COLUMNS)
    .where(*_MAY_GO, outbox.c.next_try <= bindparam("now", type_=Instant))
    .order_by(outbox.c.seq)
    .limit(bindparam("limit", type_=Integer))
)
_NEXT_TRY: Final = select(func.min(outbox.c.next_try)).where(*_MAY_GO)
_CHARGED: Final = select(func.count(), func.min(outbox.c.created_at)).where(
    outbox.c.receiver == bindparam("receiver"),
    outbox.c.subscription == bindparam("subscription"),
    outbox.c.created_at > bindparam("since", type_=Instant),
    outbox.c.kind == MessageKind.ALERT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """That a receiver knows of an incident. `thread` is its first message of its own; None after a digest only."""

    incident: str
    receiver: str
    thread: str | None
    subscription: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An alert kept back from a receiver for a moment. `subscriptions` are those that asked for it, in order."""

    receiver: str
    purpose: str
    incident: str
    alert: str
    subscriptions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedVerdict:
    """What routing said of one alert for one receiver; the subscription is empty when none had a part in it."""

    alert: str
    receiver: str
    subscription: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How much a receiver has before it, and since when the oldest of it waits."""

    receiver: str
    count: int
    oldest: datetime


class NotifierRepository:
    """Everything the notifier remembers."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    # ------------------------------------------------------------------------------------------------- alerts

    def remember(
        self,
        alert: str,
        *,
        incident: str,
        revision: int,
        severity: int,
        void: bool,
        seen_at: datetime,
        value: bytes,
    ) -> bool:
        """Keep the bytes of *alert* for later messages; False when it was seen before.

        *severity* is its rank; *void* says that nothing of the incident is left to be told.
        """
        row = {
            "id": alert,
            "incident": incident,
            "revision": revision,
            "severity": severity,
            "void": void,
            "seen_at": seen_at,
            "value": value,
        }
        return insert_ignore(self._conn, alerts, row)

    def alert_values(self, ids: Sequence[str]) -> list[bytes]:
        """Return the bytes of the alerts with these ids, in their order; those no longer kept are left out."""
        rows = self._conn.execute(select(alerts.c.id, alerts.c.value).where(alerts.c.id.in_(ids)))
        found = {row.id: bytes(row.value) for row in rows}
        return [found[id_] for id_ in ids if id_ in found]

    def note_verdicts(self, noted: Sequence[NotedVerdict]) -> None:
        """Keep what routing said, for whoever asks why."""
        if noted:
            rows = [
                {"alert": v.alert, "receiver": v.receiver, "subscription": v.subscription, "verdict": v.verdict}
                for v in {(v.alert, v.receiver, v.subscription): v for v in noted}.values()
            ]
            self._conn.execute(verdicts.insert(), rows)

    def verdicts_on(self, alert: str) -> list[NotedVerdict]:
        """Return what routing said of *alert*."""
        query = select(verdicts).where(verdicts.c.alert == alert)
        rows = self._conn.execute(query.order_by(verdicts.c.receiver, verdicts.c.subscription))
        return [NotedVerdict(**row._asdict()) for row in rows]

    # --------------------------------------------------------------------------------------------------- told

    def told_of(self, incident: str) -> dict[str, Told]:
        """Return who knows of *incident*, by receiver."""
        rows = self._conn.execute(select(told).where(told.c.incident == incident))
        return {row.receiver: Told(**row._asdict()) for row in rows}

    def tell(self, told_now: Told) -> None:
        """Note that a receiver knows; what a digest told is made a thread by the first message of its own."""
        row = {name: getattr(told_now, name) for name in Told.__slots__}
        if told_now.thread is None:
            insert_ignore(self._conn, told, row)
        else:
            upsert(self._conn, told, row, key=("incident", "receiver"))

    # --------------------------------------------------------------------------------------------------- held

    def hold(self, item: Held) -> bool:
        """Keep an alert back; False when it is kept back already."""
        row = {name: getattr(item, name) for name in Held.__slots__} | {"subscriptions": " ".join(item.subscriptions)}
        return insert_ignore(self._conn, held, row)

    def held_of(self, incident: str) -> list[Held]:
        """Return what is kept back of *incident*, in order."""
        query = select(held).where(held.c.incident == incident).order_by(held.c.seq)
        return [_held(row) for row in self._conn.execute(query)]

    def release(self, receiver: str, incident: str) -> list[Held]:
        """Let go of what is kept back from *receiver* about *incident*, and return it in order."""
        which = (held.c.receiver == receiver, held.c.incident == incident)
        rows = self._conn.execute(select(held).where(*which).order_by(held.c.seq)).all()
        if rows:
            self._conn.execute(delete(held).where(*which))
        return [_held(row) for row in rows]

    def release_all(self, receiver: str, *, purpose: str) -> list[Held]:
        """Let go of everything kept back from *receiver* for *purpose*.

        The newest alert of each incident is returned, the gravest first; incidents of which nothing is left are not.
        """
        which = (held.c.receiver == receiver, held.c.purpose == purpose)
        query = (
            select(held, alerts.c.severity, alerts.c.void)
            .join(alerts, alerts.c.id == held.c.alert)
            .where(*which)
            .order_by(alerts.c.revision, held.c.seq)
        )
        newest = {row.incident: row for row in self._conn.execute(query)}
        self._conn.execute(delete(held).where(*which))
        rows = sorted(newest.values(), key=lambda row: (-row.severity, row.seq))
        return [_held(row) for row in rows if not row.void]

    # ------------------------------------------------------------------------------------------------- outbox

    def enqueue(self, delivery: Delivery) -> bool:
        """Put a message into the outbox; False when it is there already."""
        row = {field.name: getattr(delivery, field.name) for field in fields(Delivery)}
        row |= {"alerts": " ".join(delivery.alerts), "accepted": "\n".join(delivery.accepted)}
        return insert_ignore(self._conn, outbox, row)

    def charged(self, receiver: str, subscription: str, *, since: datetime) -> tuple[int, datetime | None]:
        """Return how often *subscription* rang at *receiver* after *since*, and when first."""
        names = {"receiver": receiver, "subscription": subscription, "since": since}
        row = self._conn.execute(_CHARGED, names).one()
        return row[0], row[1]

    def last_digest(self, receiver: str, *, cause: str) -> datetime | None:
        """Return when *receiver* was last sent a digest for *cause*."""
        query = select(func.max(outbox.c.created_at)).where(
            outbox.c.receiver == receiver, outbox.c.kind == MessageKind.DIGEST, outbox.c.cause == cause
        )
        return self._conn.execute(query).scalar()

    def claim(self, receiver: str, now: datetime, *, limit: int) -> list[Delivery]:
        """Take up to *limit* due messages and count the attempt; of each incident only the earliest unfinished one."""
        rows = self._conn.execute(_CLAIM, {"receiver": receiver, "now": now, "limit": limit}).all()
        if rows:
            taken = outbox.c.seq.in_([row.seq for row in rows])
            self._conn.execute(update(outbox).where(taken).values(state=SENDING, attempts=outbox.c.attempts + 1))
        return [_delivery(row, state=SENDING, attempts=row.attempts + 1) for row in rows]

    def recover(self, receiver: str) -> int:
        """Take up again what a lane that died was sending; return how many."""
        dropped = (outbox.c.receiver == receiver, outbox.c.state == SENDING)
        return self._conn.execute(update(outbox).where(*dropped).values(state=PENDING)).rowcount

    def done(self, key: str, *, remote: str | None, at: datetime, note: str = "") -> None:
        """Note that the receiver has taken the message."""
        self._settle(key, state=DONE, remote=remote, finished_at=at, reason=note)

    def defer(self, key: str, *, next_try: datetime, reason: str, accepted: Sequence[str] = ()) -> None:
        """Put the message back until *next_try*."""
        self._settle(key, state=PENDING, next_try=next_try, reason=reason, accepted="\n".join(accepted))

    def bury(self, key: str, *, reason: str, at: datetime) -> None:
        """Give the message up."""
        self._settle(key, state=DEAD, finished_at=at, reason=reason)

    def retry(self, key: str, *, at: datetime) -> Delivery | None:
        """Send a dead message again, with its old key and all its attempts; None when it is not dead."""
        dead = (outbox.c.key == key, outbox.c.state == DEAD)
        values = {"state": PENDING, "attempts": 0, "next_try": at, "created_at": at, "finished_at": None}
        revived = self._conn.execute(update(outbox).where(*dead).values(**values)).rowcount
        return self.delivery(key) if revived else None

    def drop(self, key: str, *, at: datetime, reason: str) -> bool:
        """Give up a message that is not finished; False when it is, or is being sent this moment."""
        waiting = (outbox.c.key == key, outbox.c.state == PENDING)
        values = {"state": DEAD, "finished_at": at, "reason": reason}
        return self._conn.execute(update(outbox).where(*waiting).values(**values)).rowcount == 1

    def delivery(self, key: str) -> Delivery | None:
        """Return the message with that key."""
        row = self._conn.execute(select(*_COLUMNS).where(outbox.c.key == key)).one_or_none()
        return None if row is None else _delivery(row)

    def deliveries(
        self,
        *,
        receiver: str | None = None,
        state: DeliveryState | None = None,
        incident: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Delivery]:
        """Return a page of the outbox, the newest first."""
        query = select(*_COLUMNS).order_by(outbox.c.seq.desc()).limit(limit).offset(offset)
        for column, wanted in ((outbox.c.receiver, receiver), (outbox.c.state, state), (outbox.c.incident, incident)):
            if wanted is not None:
                query = query.where(column == wanted)
        return [_delivery(row) for row in self._conn.execute(query)]

    def deliveries_of(self, alert: str) -> list[Delivery]:
        """Return the messages that tell *alert*, in the order they were made."""
        query = select(*_COLUMNS).where(outbox.c.alerts.contains(alert, autoescape=True)).order_by(outbox.c.seq)
        return [_delivery(row) for row in self._conn.execute(query)]

    def next_try(self, receiver: str) -> datetime | None:
        """Return when `claim` will find a message of *receiver*, if nothing else is settled until then."""
        return self._conn.execute(_NEXT_TRY, {"receiver": receiver}).scalar()

    def waiting(self) -> dict[str, Waiting]:
        """Return what is before each receiver that has anything before it."""
        query = (
            select(outbox.c.receiver, func.count().label("count"), func.min(outbox.c.created_at).label("oldest"))
            .where(outbox.c.state.in_((PENDING, SENDING)))
            .group_by(outbox.c.receiver)
        )
        return {row.receiver: Waiting(**row._asdict()) for row in self._conn.execute(query)}

    def waiting_for(self, receiver: str) -> Waiting | None:
        """Return what is before *receiver*; None when nothing is."""
        before = (outbox.c.receiver == receiver, outbox.c.state.in_((PENDING, SENDING)))
        row = self._conn.execute(select(func.count(), func.min(outbox.c.created_at)).where(*before)).one()
        return Waiting(receiver=receiver, count=row[0], oldest=row[1]) if row[0] else None

    def outcomes(self) -> dict[str, dict[DeliveryState, int]]:
        """Return by receiver how many messages are in which state."""
        query = select(outbox.c.receiver, outbox.c.state, func.count()).group_by(outbox.c.receiver, outbox.c.state)
        counted: dict[str, dict[DeliveryState, int]] = defaultdict(dict)
        for receiver, state, count in self._conn.execute(query):
            counted[receiver][DeliveryState(state)] = count
        return dict(counted)

    def prune(self, before: datetime, *, most: int = 5_000) -> int:
        """Forget up to *most* messages finished *before* then, and as many alerts that none needs any more.

        What concerns an incident that is not over is kept. Who was told is forgotten by the time of the telling, so
        *before* must lie well behind the close of incidents. Returns how many rows went in all; 0 when nothing is left
        to forget.
        """
        settled = (outbox.c.state.in_((DONE, DEAD)), outbox.c.finished_at < before)
        gone = delete_some(self._conn, outbox.c.seq, *settled, most=most)
        over = (told.c.at < before, ~is_standing(told.c.incident))
        gone += delete_some(self._conn, told.c.incident, *over, most=most)
        waits = select(outbox.c.seq).where(outbox.c.created_at < before, outbox.c.state.in_((PENDING, SENDING)))
        if self._conn.execute(waits.limit(1)).first() is None:
            holds = select(held.c.seq).where(held.c.alert == alerts.c.id)
            unheld = (alerts.c.seen_at < before, ~holds.exists(), ~is_standing(alerts.c.incident))
            some = select(alerts.c.id).where(*unheld).order_by(alerts.c.seen_at, alerts.c.id).limit(most)
            gone += self._conn.execute(delete(verdicts).where(verdicts.c.alert.in_(some))).rowcount
            gone += self._conn.execute(delete(alerts).where(alerts.c.id.in_(some))).rowcount
        return gone

    def _settle(self, key: str, **values: object) -> None:
        self._conn.execute(update(outbox).where(outbox.c.key == key).values(**values))


def _delivery(row: Row[tuple[object, ...]], **instead: object) -> Delivery:
    values: Mapping[str, object] = row._asdict()
    parts = {field.name: values[field.name] for field in fields(Delivery)}
    parts |= {
        "kind": MessageKind(str(values["kind"])),
        "state": DeliveryState(str(values["state"])),
        "alerts": tuple(str(values["alerts"]).split()),
        "accepted": tuple(str(values["accepted"]).splitlines()),
    }
    return Delivery(**(parts | instead))  # type: ignore[arg-type]  # the columns are the record's fields


def _held(row: Row[tuple[object, ...]]) -> Held:
    values = row._asdict()
    parts = {name: str(values[name]) for name in ("receiver", "purpose", "incident", "alert")}
    return Held(**parts, subscriptions=tuple(str(values["subscriptions"]).split()))
