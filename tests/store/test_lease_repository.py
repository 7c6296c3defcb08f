"""The table of leases, by a clock that the test holds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import create_engine
from typing_extensions import override

from tocsin.errors import Fenced
from tocsin.store.everything import metadata
from tocsin.store.leases import NOBODY, Taken
from tocsin.store.tx import Tx
from tocsin.testing import NOON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

LASTING = timedelta(seconds=6)
SECOND = timedelta(seconds=1)


class Hands:
    """A clock whose hands are set, forward or back."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError(seconds)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def tx(clock: Hands) -> Iterator[Tx]:
    engine = create_engine("sqlite://")
    with engine.connect() as conn:
        metadata.create_all(conn)
        yield Tx(conn, clock)
    engine.dispose()


def take(tx: Tx, *names: str, holder: str = "a") -> dict[str, Taken]:
    return tx.leases.acquire(names, holder=holder, lasting=LASTING)


def test_what_one_holds_no_other_can_take(tx: Tx, clock: Hands) -> None:
    first = take(tx, "relay")
    clock.at += LASTING - SECOND

    second = take(tx, "relay", holder="b")

    assert first == {"relay": Taken(epoch=1, after=NOBODY)}
    assert second == {}
    tx.leases.check("relay", 1, holder="a")


def test_what_ran_out_is_taken_over_and_fences_who_had_it(tx: Tx, clock: Hands) -> None:
    take(tx, "relay")
    clock.at += LASTING

    taken = take(tx, "relay", holder="b")

    assert taken == {"relay": Taken(epoch=2, after="a")}
    assert tx.leases.renew({"relay": 1}, holder="a", lasting=LASTING) == frozenset()
    with pytest.raises(Fenced, match="'relay' of epoch 1 is not ours any more: b has it"):
        tx.leases.check("relay", 1, holder="a")


def test_what_ran_out_but_was_not_taken_is_still_ours(tx: Tx, clock: Hands) -> None:
    take(tx, "relay")
    clock.at += 2 * LASTING

    tx.leases.check("relay", 1, holder="a")

    assert tx.leases.renew({"relay": 1}, holder="a", lasting=LASTING) == {"relay"}
    assert take(tx, "relay", holder="b") == {}


def test_what_is_given_back_is_free_at_once_and_wakes_who_waits(tx: Tx) -> None:
    take(tx, "relay", "ingest/slot/1", "ingest/slot/2")

    tx.leases.release({"relay": 1, "ingest/slot/1": 1}, holder="a")

    assert tx.woken == {"lease:relay", "lease:ingest"}
    assert take(tx, "relay", "ingest/slot/1", "ingest/slot/2", holder="b").keys() == {"relay", "ingest/slot/1"}
    with pytest.raises(Fenced):
        tx.leases.check("relay", 1, holder="a")


def test_giving_back_what_another_has_by_now_changes_nothing(tx: Tx, clock: Hands) -> None:
    take(tx, "relay")
    clock.at += LASTING
    take(tx, "relay", holder="b")

    tx.leases.release({"relay": 1}, holder="a")

    tx.leases.check("relay", 2, holder="b")


def test_who_takes_its_own_lease_again_fences_what_it_began_before(tx: Tx) -> None:
    take(tx, "relay")

    again = take(tx, "relay")

    assert again == {"relay": Taken(epoch=2, after=NOBODY)}
    with pytest.raises(Fenced):
        tx.leases.check("relay", 1, holder="a")


def test_an_epoch_that_another_was_given_too_is_not_ours(tx: Tx, clock: Hands) -> None:
    """A standby that takes over without the last commits knows nothing of our epoch, and gives it a second time."""
    take(tx, "relay", holder="b")
    clock.at += SECOND

    tx.leases.release({"relay": 1}, holder="a")

    assert tx.leases.renew({"relay": 1}, holder="a", lasting=LASTING) == frozenset()
    assert [(row.holder, row.epoch, row.left) for row in tx.leases.find("relay")] == [("b", 1, LASTING - SECOND)]
    with pytest.raises(Fenced, match="'relay' of epoch 1 is not ours any more: b has it"):
        tx.leases.check("relay", 1, holder="a")


def test_a_lease_nobody_ever_took_is_nobody_s(tx: Tx) -> None:
    with pytest.raises(Fenced, match="nobody has it"):
        tx.leases.check("relay", 1, holder="a")


def test_a_clock_that_was_set_back_leaves_no_lease_with_the_dead(tx: Tx, clock: Hands) -> None:
    take(tx, "relay")
    clock.at -= timedelta(hours=1)

    taken = take(tx, "relay", holder="b")

    assert taken == {"relay": Taken(epoch=2, after="a")}


def test_a_renewal_mends_what_a_clock_that_was_set_back_had_done(tx: Tx, clock: Hands) -> None:
    take(tx, "relay")
    clock.at -= timedelta(hours=1)
    tx.leases.renew({"relay": 1}, holder="a", lasting=LASTING)

    assert take(tx, "relay", holder="b") == {}


def test_many_are_renewed_at_once_and_only_those_that_are_ours(tx: Tx, clock: Hands) -> None:
    slots = [f"ingest/slot/{number}" for number in range(128)]
    take(tx, *slots)
    clock.at += LASTING
    take(tx, slots[7], holder="b")

    renewed = tx.leases.renew(dict.fromkeys(slots, 1), holder="a", lasting=LASTING)

    assert renewed == {*slots} - {slots[7]}
    rows = {row.name: row for row in tx.leases.under("ingest/slot/")}
    assert len(rows) == len(slots)
    assert all(row.left == LASTING for row in rows.values())
    assert (rows[slots[7]].holder, rows[slots[8]].holder) == ("b", "a")


def test_only_what_nobody_holds_is_forgotten(tx: Tx, clock: Hands) -> None:
    take(tx, "ingest/member/a", "ingest/member/b")
    clock.at += LASTING
    tx.leases.renew({"ingest/member/a": 1}, holder="a", lasting=LASTING)

    tx.leases.forget(["ingest/member/a", "ingest/member/b"])

    assert [row.name for row in tx.leases.find("ingest/member/a", "ingest/member/b")] == ["ingest/member/a"]


class OneHolder(RuleBasedStateMachine):
    """Three workers do what they like, and some of them are paused for as long as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Hands()
        self.engine = create_engine("sqlite://")
        conn = self.engine.connect()
        metadata.create_all(conn)
        self.tx = Tx(conn, self.clock)
        self.believed: dict[str, int] = {}  # holder → the epoch that it thinks it has
        self.highest = 0

    @rule(seconds=st.integers(0, 9))
    def time_passes(self, seconds: int) -> None:
        self.clock.at += timedelta(seconds=seconds)

    @rule(holder=st.sampled_from("abc"))
    def one_takes_it(self, holder: str) -> None:
        taken = take(self.tx, "relay", holder=holder)
        if taken:
            epoch = taken["relay"].epoch
            assert epoch > self.highest
            self.highest = self.believed[holder] = epoch

    @rule(holder=st.sampled_from("abc"))
    def one_renews_it(self, holder: str) -> None:
        if holder in self.believed and not self.tx.leases.renew(
            {"relay": self.believed[holder]}, holder=holder, lasting=LASTING
        ):
            del self.believed[holder]

    @rule(holder=st.sampled_from("abc"))
    def one_gives_it_back(self, holder: str) -> None:
        if holder in self.believed:
            epoch = self.believed.pop(holder)
            self.tx.leases.release({"relay": epoch}, holder=holder)

    @invariant()
    def at_most_one_of_those_who_believe_can_write(self) -> None:
        able = []
        for holder, epoch in self.believed.items():
            try:
                self.tx.leases.check("relay", epoch, holder=holder)
            except Fenced:
                continue
            able.append(holder)
        assert len(able) <= 1

    @override
    def teardown(self) -> None:
        self.tx.conn.close()
        self.engine.dispose()


TestOneHolder = OneHolder.TestCase
TestOneHolder.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
