"""Expected and found events are put together so that most attributes agree."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from detectors.pairing import PAIRED_MOST, agrees, paired

events = st.fixed_dictionaries({"min": st.integers(0, 3), "country": st.sampled_from(["FR", "DE", None])})
names = ("min", "country")


def agreement(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> int:
    return sum(agrees(name, one[name], other[name]) for one, other in pairs for name in names)


@given(st.lists(events, max_size=4), st.lists(events, max_size=4))
def test_as_many_pairs_as_there_can_be_each_event_once_and_none_agree_on_more(
    expected: list[dict[str, Any]], found: list[dict[str, Any]]
) -> None:
    pairs = paired(expected, found, names=lambda _: names)

    assert len(pairs) == min(len(expected), len(found))
    assert len({id(one) for one, _ in pairs}) == len({id(other) for _, other in pairs}) == len(pairs)
    swapped = paired(found, expected, names=lambda _: names)
    assert agreement(pairs) == agreement(swapped) >= agreement(list(zip(expected, found, strict=False)))


@given(st.permutations(range(PAIRED_MOST)))
def test_the_order_in_which_events_are_found_does_not_matter(order: list[int]) -> None:
    expected = [{"min": n} for n in range(PAIRED_MOST)]

    pairs = paired(expected, [{"min": n} for n in order], names=iter)

    assert all(one == other for one, other in pairs)


def test_very_many_events_are_paired_as_they_come() -> None:
    many = [{"min": n} for n in range(PAIRED_MOST + 1)]

    assert paired(many, many[::-1], names=iter) == list(zip(many, many[::-1], strict=True))


def test_senders_have_no_order() -> None:
    assert agrees("from", ["US", "GB"], ["GB", "US"])
    assert not agrees("places", ["US", "GB"], ["GB", "US"])
