from __future__ import annotations

import itertools

import pytest

from tocsin.demo.story import Format, Outcome, Story, bundled

NOTHING_RINGS_BY_LUCK_MINUTES = 45  # 1.8 s at the default speed, more than the feeds' polling interval


@pytest.fixture(scope="module")
def story() -> Story:
    return bundled()


def test_the_story_has_four_outlets_in_three_languages_and_four_formats(story: Story) -> None:
    outlets = story.outlets

    articles = {edition.article for edition in story.editions}

    assert len(outlets) == 4
    assert {outlet.language for outlet in outlets} == {"de", "en", "ru"}
    assert {outlet.format for outlet in outlets} == set(Format)
    assert len(articles) >= 24
    assert sum(outlet.tier == "wire" for outlet in outlets) == 1


def test_every_article_is_told_once_and_its_address_is_its_own(story: Story) -> None:
    names = [edition.name for edition in story.editions]

    urls = {edition.url: edition.article for edition in story.editions}

    assert len(set(names)) == len(names)
    assert len(urls) == len({edition.article for edition in story.editions})


def test_texts_appear_far_enough_apart_that_their_order_is_not_left_to_the_polling(story: Story) -> None:
    live = story.live

    gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(live)]

    assert min(gaps) >= NOTHING_RINGS_BY_LUCK_MINUTES


def test_the_unrest_goes_through_every_stage_in_order(story: Story) -> None:
    rings = [edition for edition in story.live if edition.expect.step.rings and edition.expect.incident == "unrest"]

    stages = [(edition.expect.step.value, *edition.expect.types) for edition in rings]

    assert stages == [
        ("new", "deaths"),
        ("escalation", "deaths"),
        ("escalation", "deaths"),
        ("escalation", "deaths"),
        ("escalation", "foreign_troops"),
        ("escalation", "deaths"),
        ("escalation", "foreign_troops"),
        ("escalation", "government_dismissal"),
        ("correction", "deaths"),
    ]


@pytest.mark.parametrize(
    "reason",
    [
        "injured only",
        "agency copy",
        "same statement in another language",
        "stale figure after the correction",
        "sport",
        "film plot",
        "history of the same country",
        "a mere demand",
        "known toll",
    ],
)
def test_every_kind_of_trap_is_laid(story: Story, reason: str) -> None:
    reasons = {edition.expect.why_silent for edition in story.editions}

    assert reason in reasons


def test_an_unrelated_accident_is_an_incident_of_its_own(story: Story) -> None:
    founding = [edition.expect.incident for edition in story.live if edition.expect.step is Outcome.NEW]

    assert sorted(filter(None, founding)) == ["crash", "unrest"]


def test_one_article_is_rewritten_in_place_and_its_toll_rises(story: Story) -> None:
    rewritten = [edition for edition in story.editions if edition.article == "live"]

    steps = [edition.expect.step for edition in rewritten]

    assert steps == [Outcome.NONE, Outcome.ESCALATION, Outcome.ESCALATION]
    assert len({edition.url for edition in rewritten}) == 1


def test_the_feeds_hold_something_before_the_first_poll(story: Story) -> None:
    backfill = story.backfill

    opening = [edition for edition in backfill if edition.expect.step is Outcome.OPENING]

    assert {edition.outlet.id for edition in backfill} == {outlet.id for outlet in story.outlets}
    assert len(opening) == 1
    assert not any(edition.expect.step.rings for edition in backfill)
