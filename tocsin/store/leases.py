"""Who may do what only one may do: names, each with its holder, until when, and a number that never comes twice.

On PostgreSQL only the server's clock counts; elsewhere the given one does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from tocsin.errors import Fenced
from tocsin.store.schema import EPOCH, MICROSECOND, Instant, Text, insert_ignore_all, metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires", Instant, nullable=False),
)

NOBODY: Final = ""
# Nobody takes a lease for longer than it lasts: one that runs out later than that was taken before the clock was set
# back, and its holder, if it lives, corrects it when it renews.
CLOCK_SLACK: Final = timedelta(seconds=1)


# Nothing weaker than FOR SHARE keeps another's UPDATE away. A holder paused behind it keeps it for as long as the
# server lets a transaction idle.
_CHECK: Final = (
    select(leases.c.holder, leases.c.epoch).where(leases.c.name == bindparam("of_name")).with_for_update(read=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    """One lease as it stands. `left` is how long it still lasts, by the clock that counts; not positive when free."""

    name: str
    holder: str
    epoch: int
    left: timedelta

    def is_free(self, *, lasting: timedelta) -> bool:
        """Whether somebody whose leases last so long may take it."""
        return self.left <= timedelta(0) or self.left > lasting + CLOCK_SLACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A lease just taken. `after` is whose time ran out; `NOBODY` when it was new or given back."""

    epoch: int
    after: str


def wake_of(name: str) -> str:
    """Return what is woken when a lease of this kind is given back: `ingest/slot/7` and its like share one."""
    return f"lease:{name.partition('/')[0]}"


class LeaseRepository:
    """The leases. A name may be any; those before a slash are of one kind."""

    def __init__(self, conn: Connection, *, now: Callable[[], datetime], wake: Callable[[str], None]) -> None:
        self._conn = conn
        self._now = now
        self._wake = wake

    def acquire(self, names: Collection[str], *, holder: str, lasting: timedelta) -> dict[str, Taken]:
        """Take those of *names* that are free, or are *holder*'s already, each with an epoch higher than ever before.

        One that another transaction has a hand on counts as held: nobody waits here for a holder that was paused
        between its check and its commit.
        """
        wanted = sorted(set(names))
        if not wanted:
            return {}
        now = self._clock()
        known = set(self._conn.scalars(select(leases.c.name).where(leases.c.name.in_(wanted))))
        new = [{"name": name, "holder": NOBODY, "epoch": 0, "expires": EPOCH} for name in wanted if name not in known]
        insert_ignore_all(self._conn, leases, new)
        free = or_(
            leases.c.expires <= now,
            leases.c.expires > now + (lasting + CLOCK_SLACK) // MICROSECOND,
            leases.c.holder == holder,
        )
        query = select(leases.c.name, leases.c.holder, leases.c.epoch).where(leases.c.name.in_(wanted), free)
        rows = self._conn.execute(query.order_by(leases.c.name).with_for_update(skip_locked=True)).all()
        if not rows:
            return {}
        self._conn.execute(
            update(leases)
            .where(leases.c.name.in_([row.name for row in rows]))
            .values(holder=holder, epoch=leases.c.epoch + 1, expires=self._in(lasting))
        )
        return {
            row.name: Taken(epoch=row.epoch + 1, after=NOBODY if row.holder == holder else row.holder) for row in rows
        }

    def renew(self, held: Mapping[str, int], *, holder: str, lasting: timedelta) -> frozenset[str]:
        """Let *holder*'s leases, given as name → epoch, last anew from now; return those that still were its."""
        if not held:
            return frozenset()
        ours = self._are(held, holder)
        renewed = update(leases).where(ours).values(expires=self._in(lasting)).returning(leases.c.name)
        return frozenset(self._conn.scalars(renewed))

    def release(self, held: Mapping[str, int], *, holder: str) -> None:
        """Give back *holder*'s leases, and wake who waits for one; what is not its any more stays as it is."""
        if not held:
            return
        self._conn.execute(
            update(leases)
            .where(self._are(held, holder))
            .values(holder=NOBODY, epoch=leases.c.epoch + 1, expires=EPOCH)  # the old epoch is fenced from now on
        )
        for name in held:
            self._wake(wake_of(name))

    def check(self, name: str, epoch: int, *, holder: str) -> None:
        """Make sure that the lease is *holder*'s, and that nobody takes it before this transaction is over.

        It may have run out: as long as nobody else took it, it is still ours.

        Raises:
            Fenced: another has taken it, or it was given back.
        """
        row = self._conn.execute(_CHECK, {"of_name": name}).one_or_none()
        if row is None or (row.holder, row.epoch) != (holder, epoch):
            whose = "nobody" if row is None or row.holder == NOBODY else row.holder
            raise Fenced(f"the lease {name!r} of epoch {epoch} is not ours any more: {whose} has it")

    def find(self, *names: str) -> list[LeaseRow]:
        """Return those of *names* that were ever taken."""
        return self._rows(leases.c.name.in_(names))

    def under(self, prefix: str) -> list[LeaseRow]:
        """Return all whose name begins with *prefix*, in order of name."""
        return self._rows(leases.c.name.startswith(prefix, autoescape=True))

    def forget(self, names: Iterable[str]) -> None:
        """Forget leases whose name will never be taken again; those that are held stay."""
        self._conn.execute(delete(leases).where(leases.c.name.in_(list(names)), leases.c.expires <= self._clock()))

    def _rows(self, condition: ColumnElement[bool]) -> list[LeaseRow]:
        left = cast(leases.c.expires, BigInteger) - self._clock()
        query = select(leases.c.name, leases.c.holder, leases.c.epoch, left.label("left")).where(condition)
        return [
            LeaseRow(name=row.name, holder=row.holder, epoch=row.epoch, left=row.left * MICROSECOND)
            for row in self._conn.execute(query.order_by(leases.c.name))
        ]

    @staticmethod
    def _are(held: Mapping[str, int], holder: str) -> ColumnElement[bool]:
        # The names alone find the rows by their key; the pairs say which of them are still ours. So does the
        # holder: a standby that lacked the last commits when it took over gives an epoch a second time.
        return and_(
            leases.c.name.in_(sorted(held)),
            tuple_(leases.c.name, leases.c.epoch).in_(sorted(held.items())),
            leases.c.holder == holder,
        )

    def _clock(self) -> ColumnElement[int]:
        """Return the present in microseconds, as the database is to reckon it."""
        if self._conn.dialect.name != "postgresql":
            return literal((self._now() - EPOCH) // MICROSECOND, BigInteger)
        # Not now(), which stands still in a transaction.
        return cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)

    def _in(self, lasting: timedelta) -> ColumnElement[int]:
        return self._clock() + lasting // MICROSECOND
