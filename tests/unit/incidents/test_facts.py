from __future__ import annotations

from datetime import timedelta

from incidents.facts import known_of
from incidents.state import Claim, Known
from tocsin.records import Attribution, Certainty, Sender, Speaker, Tier, Toll
from tocsin.testing import HOUR, NOON

SETTLE = HOUR
PARTY = Attribution(speaker=Speaker.PARTY, who="the defence ministry")
WITNESS = Attribution(speaker=Speaker.WITNESS, who="a resident")


def claim(
    owner: str,
    low: int | None = None,
    high: int | None = -1,
    *,
    after: float = 0,
    tier: Tier = Tier.NATIONAL,
    certainty: Certainty = Certainty.CONFIRMED,
    withdrawn: int | None = None,
    approx: bool = False,
    copied: bool = False,
    denied: bool = False,
    by: Attribution | None = None,
    senders: tuple[str, ...] = (),
    ended: float | None = None,
) -> Claim:
    at = NOON + timedelta(hours=after)
    return Claim(
        type="foreign_troops" if senders else "deaths",
        owner=owner,
        tier=tier.rank,
        articles=(f"{owner}-{after}",),
        told_at=at,
        last_at=at,
        ended_at=None if ended is None else NOON + timedelta(hours=ended),
        certainty=certainty,
        toll=Toll(min=low, max=low if high == -1 else high, approx=approx),
        withdrawn=None if withdrawn is None else Toll(min=withdrawn, max=withdrawn),
        denied=denied,
        copied=copied,
        attribution=by,
        senders=tuple(Sender(code=code, certainty=certainty) for code in senders),
    )


def view(*claims: Claim) -> Known:
    (known,) = known_of(claims, settle=SETTLE)
    return known


def toll(*claims: Claim) -> int | None:
    known = view(*claims)
    assert known.toll is not None
    return known.toll.min


def test_what_is_confirmed_and_what_is_claimed_stand_side_by_side() -> None:
    known = view(claim("a", 5), claim("b", 20, certainty=Certainty.REPORTED))

    assert (known.toll, known.certainty) == (Toll(min=5, max=5), Certainty.CONFIRMED)
    assert known.claimed is not None
    assert known.claimed.toll == Toll(min=20, max=20)


def test_owners_are_counted_not_articles_and_not_copies() -> None:
    known = view(claim("a", 5), claim("a", 5, after=1), claim("b", 5, after=2, copied=True), claim("c", 5, after=3))

    assert known.owners == 2


def test_an_authority_lowers_the_toll_and_a_stale_copy_does_not_raise_it_again() -> None:
    lowered = [claim("a", 11, None), claim("b", 11, None, after=1), claim("c", 9, after=18)]

    assert toll(*lowered) == 9
    assert toll(*lowered, claim("d", 11, None, after=20)) == 9
    assert toll(*lowered, claim("d", 10, after=20, approx=True)) == 9
    assert toll(*lowered, claim("d", 12, after=20)) == 12


def test_the_newsroom_that_told_the_correction_may_raise_it_to_the_old_figure() -> None:
    assert toll(claim("a", 11), claim("c", 9, after=18), claim("c", 11, after=30)) == 11


def test_a_slower_newsroom_lowers_nothing() -> None:
    risen = [claim("a", 4), claim("a", 11, None, after=5)]

    assert toll(*risen, claim("b", 4, after=8)) == 11  # heard before
    assert toll(*risen, claim("b", 9, after=5.2)) == 11  # told too soon after the rise
    assert toll(*risen, claim("b", 9, None, after=8)) == 11  # "at least nine" contradicts nothing
    assert toll(*risen, claim("b", 2, after=8)) == 11  # a part
    assert toll(*risen, claim("b", 9, after=8, certainty=Certainty.REPORTED)) == 11


def test_a_named_withdrawal_needs_no_waiting() -> None:
    assert toll(claim("a", 62), claim("b", 47, after=0.2, withdrawn=62)) == 47


def test_a_lesser_source_only_disputes_until_a_second_owner_says_so() -> None:
    told = claim("wire", 62, tier=Tier.WIRE)
    objection = claim("blog", 7, after=2, tier=Tier.OTHER, withdrawn=62)
    second = claim("local", 7, after=3, tier=Tier.LOCAL, withdrawn=62)
    copied = claim("local", 7, after=3, tier=Tier.LOCAL, withdrawn=62, copied=True)

    assert (toll(told, objection), view(told, objection).disputed) == (62, True)
    assert toll(told, objection, copied) == 62
    assert toll(told, objection, second) == 7


def test_a_source_may_always_take_back_its_own_word() -> None:
    told = claim("blog", 62, tier=Tier.OTHER)

    assert toll(told, claim("blog", 7, after=2, tier=Tier.OTHER, withdrawn=62)) == 7


def test_a_rewritten_article_takes_its_claim_back() -> None:
    assert view(claim("a", 5, ended=1)).withdrawn
    assert toll(claim("a", 5, ended=1), claim("b", 5)) == 5


def test_a_round_number_gives_way_to_the_count() -> None:
    assert view(claim("a", 50, approx=True), claim("b", 47, after=1)).toll == Toll(min=47, max=47)
    assert toll(claim("b", 47), claim("a", 50, after=1, approx=True)) == 47
    assert not view(claim("a", 50, approx=True), claim("b", 47, after=1)).disputed


def test_a_party_denies_what_was_only_reported() -> None:
    seen = claim("a", senders=("RU",), certainty=Certainty.REPORTED, by=WITNESS)
    denial = claim("b", senders=("RU",), after=1, denied=True, by=PARTY)
    retold = claim("c", senders=("RU",), after=2, certainty=Certainty.REPORTED, by=WITNESS)
    landed = claim("d", senders=("RU",), after=3)

    assert view(seen, denial).withdrawn
    assert view(seen, denial, retold).withdrawn
    assert view(seen, denial, retold, landed).certainty is Certainty.CONFIRMED


def test_a_denial_of_what_is_confirmed_is_a_dispute() -> None:
    known = view(claim("a", senders=("RU",)), claim("b", senders=("RU",), after=1, denied=True, by=PARTY))

    assert (known.withdrawn, known.disputed) == (False, True)


def test_a_denial_touches_only_the_sender_that_it_names() -> None:
    both = claim("a", senders=("RU", "KZ"), certainty=Certainty.REPORTED)

    known = view(both, claim("b", senders=("RU",), after=1, denied=True, by=PARTY))

    assert [sender.code for sender in known.senders] == ["KZ"]


def test_a_denial_of_what_nobody_claimed_is_nothing() -> None:
    assert known_of([claim("b", senders=("RU",), denied=True, by=PARTY)], settle=SETTLE) == ()
