"""The command line as somebody at a terminal meets it: what is printed, where, and the exit code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tocsin.cli import COMMANDS, main

RULES = """
rules:
  - id: ours
    type: watchlist
    keywords: {any: [Beispielhilfe]}
"""
FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>Wire</title>
<item><guid>1</guid><title>Nothing today</title><link>/1</link></item>
<item><guid>2</guid><title>Lager der Beispielhilfe geräumt</title><link>/2</link></item>
</channel></rss>"""
PAGE = """<!doctype html><html lang="de"><head><title>x</title></head><body><nav><p>Beispielhilfe</p></nav>
<article><h1>Lager geräumt</h1><p>Die <b>Beispielhilfe</b> hat es verlassen.</p></article></body></html>"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


class Tocsin(Protocol):
    def __call__(self, *arguments: str | Path, given: bytes = b"") -> Said: ...


@pytest.fixture
def tocsin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tocsin:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    monkeypatch.delenv("TOCSIN_DATA", raising=False)

    def say(*arguments: str | Path, given: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(int(left.value.code or 0), captured.out, captured.err)

    return say


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "mine.yaml").write_text(RULES)
    return folder


# -------------------------------------------------------------------------------------------------------- the whole


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    tell = "atexit.register(lambda: print(sorted(sys.modules)))"
    code = f"import atexit, sys; from tocsin.cli import main; {tell}; main(['-h'])"

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20).stdout

    told, _, modules = out.rpartition("\n[")
    assert all(f"  {command} " in told for command in COMMANDS)
    heavy = ("pydantic", "sqlalchemy", "aiohttp", "rich.console", "yaml", "starlette", "apprise", "uvicorn")
    assert [name for name in heavy if f"'{name}'" in modules] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_of_its_own(tocsin: Tocsin, command: str) -> None:
    said = tocsin(command, "--help")

    assert said.code == 0
    assert f"Usage: tocsin {command}" in said.out


def test_a_command_that_is_none_is_told_with_the_one_that_was_meant(tocsin: Tocsin) -> None:
    said = tocsin("chekc")

    assert said.code == 2
    assert "There is no command 'chekc', did you mean 'check'?" in said.err


# ------------------------------------------------------------------------------------------------- check and init


def test_check_says_nothing_about_a_right_configuration(tocsin: Tocsin, own: Path) -> None:
    assert tocsin("check", own) == Said(0, "", "")


def test_check_tells_each_mistake_with_its_place_and_exits_1(tocsin: Tocsin, own: Path) -> None:
    (own / "rules" / "mine.yaml").write_text(RULES.replace("keywords", "keyword"))
    (own / "subscriptions.yaml").write_text("subscriptions: [{id: x, to: nobody}]")

    said = tocsin("check", own)

    assert said.code == 1
    assert f"{own}/rules/mine.yaml:5:5: unknown key 'keyword', did you mean 'keywords'?" in said.out.splitlines()
    assert f"{own}/subscriptions.yaml:1:29: no receiver 'nobody' (known: console, log)" in said.out.splitlines()


def test_another_command_cannot_work_with_a_wrong_configuration_and_exits_2(tocsin: Tocsin, own: Path) -> None:
    (own / "tocsin.yaml").write_text("tocsin: {workers: none}")

    said = tocsin("feeds", "list", "--config", own)

    assert said == Said(2, "", f"{own}/tocsin.yaml:1:19: expected a whole number, found text\n")


def test_secrets_are_taken_from_the_environment(tocsin: Tocsin, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own / "receivers.yaml").write_text("receivers: {console: {kind: console}, log: {kind: apprise, url: '${PAGER}'}}")

    without = tocsin("check", own)
    monkeypatch.setenv("PAGER", "json://geheim")
    with_it = tocsin("check", own)

    assert without.code == 1
    assert "the environment variable PAGER is not set" in without.out
    assert with_it == Said(0, "", "")


def test_init_writes_a_configuration_that_is_right_and_says_what_to_do_next(tocsin: Tocsin, tmp_path: Path) -> None:
    said = tocsin("init", tmp_path / "mine")

    assert said.code == 0
    assert f"tocsin run --config {tmp_path}/mine" in said.out
    assert tocsin("check", tmp_path / "mine") == Said(0, "", "")
    assert "# - {id: our-town" in (tmp_path / "mine" / "feeds.yaml").read_text()


def test_init_never_overwrites(tocsin: Tocsin, tmp_path: Path) -> None:
    (tmp_path / "feeds.yaml").write_text("# mine\n")

    said = tocsin("init", tmp_path)

    assert f"kept  {tmp_path}/feeds.yaml" in said.out
    assert (tmp_path / "feeds.yaml").read_text() == "# mine\n"
    assert (tmp_path / "rules" / "mine.yaml").exists()


def test_the_commented_feeds_of_init_are_right_once_the_sign_is_taken_away(tocsin: Tocsin, tmp_path: Path) -> None:
    tocsin("init", tmp_path)
    feeds = tmp_path / "feeds.yaml"
    feeds.write_text(feeds.read_text().replace("# - {id: our", "- {id: our"))

    said = tocsin("feeds", "list", "--config", tmp_path, "--json")

    assert [feed["id"] for feed in json.loads(said.out)][:2] == ["our-town", "our-wire"]


def test_feeds_are_listed_for_people_and_for_programs(tocsin: Tocsin) -> None:
    people, programs = tocsin("feeds", "list"), tocsin("feeds", "list", "--json")

    listed = json.loads(programs.out)
    assert len(people.out.splitlines()) == len(listed) + 1
    assert set(listed[0]) == {"id", "language", "country", "tier", "owner", "weight", "verified", "url"}


# ---------------------------------------------------------------------------------------------- scan and parse-feed


def found(line: str) -> list[str]:
    return [event["type"] for event in json.loads(line)["events"]]


def test_scan_reads_a_text_a_page_a_feed_and_standard_input(tocsin: Tocsin, own: Path, tmp_path: Path) -> None:
    text, page, feed = (tmp_path / name for name in ("a.txt", "a.html", "a.xml"))
    text.write_text("Lager geräumt\n\nDie Beispielhilfe hat es verlassen.\n")
    page.write_text(PAGE)
    feed.write_text(FEED)

    said = {name: tocsin("scan", name, "--config", own, "--json").out for name in (text, page, feed)}
    piped = tocsin("scan", "-", "--config", own, "--json", given=text.read_bytes()).out

    assert found(said[text]) == found(said[page]) == found(piped) == ["watchlist"]
    assert [found(line) for line in said[feed].splitlines()] == [[], ["watchlist"]]
    [event] = json.loads(said[page])["events"]
    assert event["evidence"][0]["text"] == "Beispielhilfe"
    assert event["evidence"][0]["field"] == "text"


def test_scan_shows_people_the_words_that_prove_it(tocsin: Tocsin, own: Path, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE)

    said = tocsin("scan", tmp_path / "a.html", "--config", own)

    assert said.code == 0
    assert "watchlist" in said.out
    assert "Die Beispielhilfe hat es verlassen." in said.out


def test_scan_jsonl_answers_line_by_line_in_order(tocsin: Tocsin, own: Path, tmp_path: Path) -> None:
    lines = [
        {"id": f"a{number}", "title": "", "text": "Die Beispielhilfe geht." if number % 3 else "Nichts.", "lang": "de"}
        for number in range(50)
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")

    said = tocsin("scan", "--jsonl", tmp_path / "in.jsonl", "--config", own)

    answers = [json.loads(line) for line in said.out.splitlines()]
    assert [answer["id"] for answer in answers] == [line["id"] for line in lines]
    assert [len(answer["events"]) for answer in answers] == [1 if number % 3 else 0 for number in range(50)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2: no JSON: "),
        ("[]", 'line 2: expected an object with "id", "title" and "text"'),
        ('{"id": "x", "text": 5}', 'line 2: "title" and "text" must be strings'),
        ('{"id": "x", "text": "a", "published": 5}', 'line 2: "lang" and "published" must be strings'),
    ],
)
def test_scan_jsonl_stops_at_a_line_that_is_none_of_ours(tocsin: Tocsin, own: Path, line: str, told: str) -> None:
    said = tocsin("scan", "--jsonl", "-", "--config", own, given=b'{"id": "1", "text": "a"}\n' + line.encode())

    assert said.code == 2
    assert len(said.out.splitlines()) == 1
    assert told in said.err


def test_scan_of_a_file_that_is_not_there_exits_2(tocsin: Tocsin, own: Path) -> None:
    assert tocsin("scan", "nowhere.txt", "--config", own) == Said(
        2, "", "tocsin: nowhere.txt: No such file or directory\n"
    )


def test_parse_feed_shows_a_feed_for_people_and_for_programs(tocsin: Tocsin, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(FEED)

    people = tocsin("parse-feed", tmp_path / "a.xml", "--base-url", "https://wire.example/rss")
    programs = tocsin("parse-feed", tmp_path / "a.xml", "--base-url", "https://wire.example/rss", "--json")

    told = json.loads(programs.out)
    assert [entry["url"] for entry in told["entries"]] == ["https://wire.example/1", "https://wire.example/2"]
    assert "Lager der Beispielhilfe geräumt" in people.out


def test_parse_feed_of_what_is_no_feed_exits_2_with_one_line(tocsin: Tocsin) -> None:
    said = tocsin("parse-feed", "-", "--json", given=b"no feed at all")

    assert (said.code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1
