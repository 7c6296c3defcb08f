"""`tocsin dead-letters` where no service runs: it takes the lock and decides in the store itself."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

from tocsin.cli import letter_desks, main
from tocsin.datadir import held
from tocsin.records import DeadLetter
from tocsin.settings import load_settings
from tocsin.stream.codec import encode
from tocsin.testing import NOON, a_store, an_article

if TYPE_CHECKING:
    from tocsin.settings import Settings
    from tocsin.store.tx import Tx

T = TypeVar("T")
HOSTILE = "\x1b[2Jgone\u202e\r\n\x9b31m"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


class Tocsin(Protocol):
    def __call__(self, *arguments: str, given: str = "") -> Said: ...


@pytest.fixture(scope="module")
def shipped() -> Settings:
    return load_settings(None, data_dir=Path(), environment={})


@pytest.fixture
def tocsin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shipped: Settings
) -> Tocsin:
    # Loaded once for all of these tests: most of a second goes into rules that no dead letter needs.
    monkeypatch.setattr(letter_desks, "settings_of", lambda _, folder: replace(shipped, data_dir=folder))

    def say(*arguments: str, given: str = "") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        with pytest.raises(SystemExit) as left:
            main(["dead-letters", *arguments, "--data", str(tmp_path)])
        captured = capsys.readouterr()
        return Said(int(left.value.code or 0), captured.out, captured.err)

    return say


def in_store(folder: Path, unit: Callable[[Tx], T]) -> T:
    async def run() -> T:
        async with a_store(folder) as store:
            return await store.write(unit)

    return asyncio.run(run())


def a_letter(number: int, **parts: Any) -> DeadLetter:
    value = encode(an_article(title=f"Title {number} {HOSTILE}"))
    defaults = {
        "id": f"{number:06x}" + "0" * 26,
        "stage": "detectors",
        "topic": "articles.v1",
        "record_id": f"r{number}",
    }
    named = {"reason": "poison", "value": value, "size": len(value), "at": NOON + number * timedelta(minutes=1)}
    return DeadLetter(**{**defaults, **named, **parts})


@pytest.fixture
def letters(tmp_path: Path) -> list[DeadLetter]:
    """Three of two stages; the last cannot be replayed."""
    kept = [
        a_letter(1, reason=HOSTILE, traceback=f"Traceback\n  {HOSTILE}", key=HOSTILE, partition=3, offset=77),
        a_letter(2),
        a_letter(3, stage="archive", value=b"\xff", size=1),
        a_letter(4, value=b"", size=0, at=datetime.now(UTC)),
    ]
    in_store(tmp_path, lambda tx: [tx.dead_letters.add(letter) for letter in kept])
    return kept


def left(folder: Path) -> list[str]:
    return [letter.record_id for letter in in_store(folder, lambda tx: tx.dead_letters.list())]


def waiting(folder: Path) -> dict[str, int]:
    return in_store(folder, lambda tx: tx.replays.waiting())


@pytest.mark.usefixtures("letters")
def test_the_list_shows_the_newest_first_with_stage_record_and_reason(tocsin: Tocsin) -> None:
    said = tocsin("list")

    lines = said.out.splitlines()
    assert said.code == 0
    assert lines[0].split() == ["id", "set", "aside", "(UTC)", "times", "stage", "topic", "record", "reason"]
    assert [line.split()[0] for line in lines[1:]] == [f"{number:06x}000000" for number in (4, 3, 2, 1)]
    assert lines[3].split() == [
        "000002000000",
        "2026-03-04",
        "12:02:00",
        "1",
        "detectors",
        "articles.v1",
        "r2",
        "poison",
    ]


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize("command", [["list"], ["show", "000001"]])
def test_nothing_in_a_record_commands_the_terminal(tocsin: Tocsin, command: list[str]) -> None:
    said = tocsin(*command)

    assert said.code == 0
    assert "\\x1b[2Jgone" in said.out
    assert all(one.isprintable() or one == "\n" for one in said.out)


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    ("options", "records"),
    [
        (["--stage", "archive"], ["r3"]),
        (["--topic", "timers"], []),
        (["--since", "2h"], ["r4"]),
        (["--since", "2026-03-04T12:03:00", "--stage", "detectors"], ["r4"]),
        (["--limit", "2"], ["r4", "r3"]),
        (["--limit", "0"], ["r4", "r3", "r2", "r1"]),
    ],
)
def test_the_list_is_as_narrow_as_it_is_asked_for(tocsin: Tocsin, options: list[str], records: list[str]) -> None:
    said = tocsin("list", *options, "--json")

    assert said.code == 0
    assert [item["record_id"] for item in json.loads(said.out)] == records


def test_more_than_one_page_is_listed(tocsin: Tocsin, tmp_path: Path) -> None:
    in_store(tmp_path, lambda tx: [tx.dead_letters.add(a_letter(number)) for number in range(450)])

    assert len(json.loads(tocsin("list", "--limit", "0", "--json").out)) == 450
    assert len(json.loads(tocsin("list", "--limit", "250", "--json").out)) == 250
    assert tocsin("list").out.splitlines()[-1] == "50 of 450; --limit shows more"


@pytest.mark.usefixtures("letters")
def test_one_is_shown_with_what_it_holds_and_where_it_broke(tocsin: Tocsin) -> None:
    said = tocsin("show", "000001")

    assert said.code == 0
    assert "partition 3, offset 77" in said.out
    assert '"title": "Title 1' in said.out
    assert "  Traceback" in said.out.splitlines()


@pytest.mark.usefixtures("letters")
def test_one_that_holds_no_json_is_shown_as_text(tocsin: Tocsin) -> None:
    said = tocsin("show", "000003")

    assert said.out.splitlines()[-2:] == ["it holds, as text", "  \N{REPLACEMENT CHARACTER}"]
    assert json.loads(tocsin("show", "000003", "--json").out)["record"] is None


def test_a_replay_waits_for_the_service_and_the_audit_has_it(
    tocsin: Tocsin, tmp_path: Path, letters: list[DeadLetter]
) -> None:
    said = tocsin("replay", "000001", letters[1].id)

    assert said.code == 0
    assert said.out.splitlines()[0] == f"{letters[0].id}: given back to detectors, which takes it up when it runs"
    assert waiting(tmp_path) == {"detectors": 2}
    entries = in_store(tmp_path, lambda tx: tx.access.audit())
    assert {entry.actor.partition(":")[0] for entry in entries} == {"local"}
    assert [entry.target for entry in entries] == [letters[1].id, letters[0].id]


@pytest.mark.usefixtures("letters")
def test_what_cannot_be_replayed_says_why_and_the_exit_code_whether_anything_was_done(
    tocsin: Tocsin, tmp_path: Path
) -> None:
    some, none = tocsin("replay", "000004", "nosuch", "000001"), tocsin("replay", "000004")

    assert (some.code, none.code) == (1, 2)
    assert "cannot be replayed: its bytes were damaged" in some.err
    assert "no dead letter 'nosuch'" in some.err
    assert waiting(tmp_path) == {"detectors": 1}


@pytest.mark.usefixtures("letters")
def test_all_of_a_stage_are_replayed_once_somebody_has_said_yes(tocsin: Tocsin, tmp_path: Path) -> None:
    no = tocsin("replay", "--all", "--stage", "detectors", given="n\n")
    nobody = tocsin("replay", "--all", "--stage", "detectors")
    between = waiting(tmp_path)
    yes = tocsin("replay", "--all", "--stage", "detectors", given="y\n")

    assert (no.code, nobody.code, between) == (1, 1, {})
    assert "replay 3 dead letters, stage detectors?" in no.out + no.err
    assert yes.code == 1  # the damaged one stays
    assert yes.out.splitlines()[-1].endswith("2 given back, 1 left")
    assert "000004000000: its bytes were damaged" in yes.err
    assert left(tmp_path) == ["r4", "r3"]


@pytest.mark.usefixtures("letters")
def test_they_are_dropped_one_by_one_or_all(tocsin: Tocsin, tmp_path: Path) -> None:
    one = tocsin("drop", "000002")
    after_one = left(tmp_path)
    rest = tocsin("drop", "--all", "--yes")
    again = tocsin("drop", "--all", "--yes")

    assert (one.code, one.out) == (0, "000002: dropped\n")
    assert after_one == ["r4", "r3", "r1"]
    assert (rest.code, rest.out) == (0, "3 dropped\n")
    assert (again.code, again.out) == (0, "there are no dead letters\n")


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    "arguments",
    [["replay"], ["drop"], ["drop", "--stage", "detectors"], ["replay", "000001", "--all"], ["list", "--since", "x"]],
)
def test_what_is_not_said_clearly_is_not_done(tocsin: Tocsin, tmp_path: Path, arguments: list[str]) -> None:
    said = tocsin(*arguments)

    assert said.code == 2
    assert left(tmp_path) == ["r4", "r3", "r2", "r1"]


@pytest.mark.usefixtures("letters")
def test_a_folder_that_somebody_holds_is_left_alone(tocsin: Tocsin, tmp_path: Path) -> None:
    with held(tmp_path):
        said = tocsin("list")

    assert said.code == 2
    assert "is held by process" in said.err


def test_where_there_is_no_state_none_is_made(tocsin: Tocsin, tmp_path: Path) -> None:
    said = tocsin("list")

    assert said.code == 2
    assert "holds no state" in said.err
    assert list(tmp_path.iterdir()) == []
