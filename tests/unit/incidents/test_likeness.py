from __future__ import annotations

import pytest

from incidents.likeness import bands_of, likeness, words_of

ORIGINAL = words_of(
    "Fähre sinkt auf dem Peipussee, drei Tote",
    "Drei Menschen sind beim Untergang einer Fähre auf dem Peipussee nahe Mustvee gestorben, teilte die Polizei mit.",
)
REWRITTEN = words_of(
    "Drei Tote bei Fährunglück in Estland",
    "Auf dem Peipussee ist nahe Mustvee eine Fähre gesunken. Drei Menschen starben, wie die Polizei mitteilte.",
)
OTHER = words_of(
    "Großbrand in Tallinner Lagerhalle fordert zwei Leben",
    "Zwei Feuerwehrleute kamen am Abend beim Einsturz eines Daches ums Leben, sagte die Bürgermeisterin.",
)


def test_the_same_text_is_wholly_alike_and_lies_in_the_same_buckets() -> None:
    assert likeness(ORIGINAL, ORIGINAL) == pytest.approx(1.0)
    assert len(set(bands_of(ORIGINAL))) == 6


def test_a_copy_with_another_ending_shares_a_bucket() -> None:
    copy = words_of(
        "Fähre sinkt auf dem Peipussee, drei Tote",
        "Drei Menschen sind beim Untergang einer Fähre auf dem Peipussee nahe Mustvee gestorben. (dna)",
    )

    assert likeness(ORIGINAL, copy) > 0.8
    assert set(bands_of(ORIGINAL)) & set(bands_of(copy))


def test_the_same_story_is_more_alike_than_another() -> None:
    assert likeness(ORIGINAL, REWRITTEN) > 0.3 > likeness(ORIGINAL, OTHER)


def test_texts_of_few_words_are_like_nothing() -> None:
    assert likeness(words_of("Drei Tote", ""), ORIGINAL) == pytest.approx(0.0)
    assert bands_of(words_of("", "")) == ()
