from __future__ import annotations

from collections import Counter

from hypothesis import given, strategies as st

from ingest.slots import SLOTS, owner, share, slot_of

MEMBERS = st.sets(st.text(min_size=1, max_size=20), min_size=1, max_size=8)


@given(members=MEMBERS)
def test_every_slot_has_exactly_one_owner(members: set[str]) -> None:
    shares = [share(member, members) for member in members]

    assert Counter(slot for slots in shares for slot in slots) == Counter(range(SLOTS))


@given(members=MEMBERS, comer=st.text(min_size=1, max_size=20))
def test_who_comes_takes_slots_and_moves_none_between_the_others(members: set[str], comer: str) -> None:
    after = members | {comer}

    moved = {slot for slot in range(SLOTS) if owner(slot, members) != owner(slot, after)}

    assert moved == (set() if comer in members else share(comer, after))


@given(members=MEMBERS)
def test_who_goes_leaves_the_slots_of_the_others_alone(members: set[str]) -> None:
    goer = min(members)
    rest = members - {goer}

    for member in rest:
        assert share(member, rest) >= share(member, members)


@given(members=st.sets(st.uuids().map(str), min_size=2, max_size=8))
def test_the_slots_are_shared_out_fairly(members: set[str]) -> None:
    fair = SLOTS / len(members)

    assert all(0 < len(share(member, members)) <= fair * 2.5 for member in members)


def test_the_hosts_are_spread_over_all_slots() -> None:
    counted = Counter(slot_of(f"news{number}.example:443") for number in range(10_000))

    assert len(counted) == SLOTS
    assert max(counted.values()) < 2 * 10_000 / SLOTS


def test_nobody_owns_a_slot_when_there_is_nobody() -> None:
    assert owner(3, ()) is None
    assert share("a", ()) == frozenset()


def test_a_host_lies_where_it_always_did() -> None:
    # Workers of two versions share one store while they are replaced one by one.
    assert [slot_of(f"{name}.example:443") for name in "abc"] == [103, 73, 97]
    assert [owner(slot, ["a", "b", "c"]) for slot in range(6)] == ["b", "c", "a", "a", "b", "b"]
