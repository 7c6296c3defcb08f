from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tocsin.demo.judgement import Judgement, delays, judge
from tocsin.demo.rings import Board, percentile
from tocsin.demo.sinks import Arrival
from tocsin.demo.story import Edition, Outcome, Story, bundled

if TYPE_CHECKING:
    from collections.abc import Mapping

UNREST, CRASH, COACH = "unrest-id", "crash-id", "coach-id"


@pytest.fixture(scope="module")
def story() -> Story:
    return bundled()


def all_served(story: Story) -> dict[str, float]:
    start = time.monotonic() - len(story.editions)
    return {edition.name: start + number for number, edition in enumerate(story.editions)}


def line(edition: Edition, *, step: str, incident: str, types: tuple[str, ...], key: str) -> str:
    return json.dumps(
        {
            "v": 1,
            "key": key,
            "kind": {"update": "update", "correction": "correction", "opening": "digest"}.get(step, "alert"),
            "step": None if step == "opening" else step,
            "severity": "severe",
            "incident": incident,
            "title": f"about {edition.name} — {key}",
            "text": edition.url,
            "facts": [{"type": kind, "changed": True, "certainty": "confirmed"} for kind in types],
            "sources": [{"owner": edition.outlet.owner, "tier": edition.outlet.tier, "url": edition.url}],
            "urls": [edition.url],
        }
    )


def told(board: Board, served: Mapping[str, float], edition: Edition, raw: str, *, after_s: float = 0.1) -> None:
    """Let *raw* arrive in the file, the webhook and the mailbox, as the service would because of *edition*."""
    board.read(raw)
    title = json.loads(raw)["title"]
    instant = served[edition.name] + after_s
    for message in board.messages:
        if message.line.title == title:
            message.noticed = instant
    for sink in ("slack", "mail"):
        board.hear(Arrival(sink=sink, instant=instant, at=datetime.now(UTC), title=title, text=edition.url))


def perfect(story: Story, served: Mapping[str, float], *, without: str = "") -> Board:
    board = Board()
    ids = {"unrest": UNREST, "crash": CRASH, "coach": COACH}
    for edition in story.editions:
        expect = edition.expect
        if edition.name == without or expect.step in {Outcome.NONE, Outcome.SILENT} or expect.incident is None:
            continue
        raw = line(edition, step=expect.step, incident=ids[expect.incident], types=expect.types, key=edition.name)
        told(board, served, edition, raw)
    return board


def by_name(judgement: Judgement) -> dict[str, str]:
    return {verdict.edition.name: verdict.wrong for verdict in judgement.verdicts}


def test_a_run_that_rings_as_the_story_expects_is_right(story: Story) -> None:
    served = all_served(story)

    judgement = judge(story, perfect(story, served), served)

    assert judgement.is_right
    assert not any(verdict.wrong for verdict in judgement.verdicts)
    assert delays(judgement, served, sink="slack") == pytest.approx([0.1] * 12)


def test_a_ring_that_is_missing_is_wrong(story: Story) -> None:
    served = all_served(story)

    judgement = judge(story, perfect(story, served, without="otstavka"), served)

    assert not judgement.is_right
    assert by_name(judgement)["otstavka"] == "did not ring (escalation of government_dismissal was due)"


def test_a_missing_update_is_told_and_forgiven(story: Story) -> None:
    served = all_served(story)

    judgement = judge(story, perfect(story, served, without="nigeria"), served)

    assert judgement.is_right
    assert by_name(judgement)["nigeria"] == "no update was told"


def test_a_copy_that_rings_is_wrong(story: Story) -> None:
    served = all_served(story)
    board = perfect(story, served)
    copy = next(edition for edition in story.editions if edition.name == "six-copy")
    told(board, served, copy, line(copy, step="update", incident=UNREST, types=("deaths",), key="quiet"))
    told(board, served, copy, line(copy, step="escalation", incident=UNREST, types=("deaths",), key="loud"))

    judgement = judge(story, board, served)

    assert not judgement.is_right
    assert by_name(judgement)["six-copy"].startswith("rang: escalation")


def test_an_accident_taken_for_the_unrest_is_wrong(story: Story) -> None:
    served = all_served(story)
    board = perfect(story, served, without="minibus")
    crash = next(edition for edition in story.editions if edition.name == "minibus")
    told(board, served, crash, line(crash, step="new", incident=UNREST, types=("deaths",), key="merged"))

    judgement = judge(story, board, served)

    assert not judgement.is_right
    assert "one incident" in by_name(judgement)["minibus"]


def test_a_wrong_step_and_a_wrong_reason_are_wrong(story: Story) -> None:
    served = all_served(story)
    board = perfect(story, served, without="lowered")
    lowered = next(edition for edition in story.editions if edition.name == "lowered")
    told(board, served, lowered, line(lowered, step="escalation", incident=UNREST, types=("deaths",), key="up"))

    judgement = judge(story, board, served)

    assert by_name(judgement)["lowered"] == "rang as escalation, not correction"


def test_a_message_at_the_webhook_alone_or_twice_is_a_problem(story: Story) -> None:
    served = all_served(story)
    board = perfect(story, served)
    for title in ("about six — six", "nobody knows"):
        board.hear(Arrival(sink="slack", instant=time.monotonic(), at=datetime.now(UTC), title=title, text=""))

    judgement = judge(story, board, served)

    assert not judgement.is_right
    assert len(judgement.problems) == 2


def test_a_ring_that_never_reached_the_mailbox_is_wrong(story: Story) -> None:
    served = all_served(story)
    board = perfect(story, served)
    six = next(message for message in board.messages if message.line.key == "six")
    del six.heard["mail"]

    judgement = judge(story, board, served)

    assert by_name(judgement)["six"] == "never reached mail"


def test_only_what_was_served_is_judged(story: Story) -> None:
    served = {name: at for name, at in all_served(story).items() if name in {"coach", "march"}}
    board = perfect(Story(title="", outlets=story.outlets, editions=story.editions[:1]), served)

    judgement = judge(story, board, served)

    assert sorted(by_name(judgement)) == ["coach", "march"]
    assert judgement.is_right


def test_a_line_written_again_is_counted_and_not_taken_for_a_second_message() -> None:
    board = Board()
    raw = json.dumps({"key": "k", "kind": "alert", "step": "new", "title": "six dead"})

    board.read(raw)
    board.read(raw)
    board.read("no json")

    assert [message.repeats for message in board.messages] == [1]
    assert len(board.unreadable) == 1


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([1.0], 0.99, 1.0), ([3.0, 1.0, 2.0], 0.5, 2.0), ([float(n) for n in range(1, 101)], 0.99, 99.0)],
)
def test_percentiles_are_of_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected
