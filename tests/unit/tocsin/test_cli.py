"""The command line as somebody at a terminal meets it: what is printed, where, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from tests.unit.tocsin.conftest import Said, Tocsin
from tocsin.cli import COMMANDS
from tocsin.cli.export import as_yaml
from tocsin.yamlfile import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

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


# --------------------------------------------------------------------------------------------------- rule tests


def test_test_says_which_rules_find_what_they_should(tocsin: Tocsin, tmp_path: Path) -> None:
    tocsin("init", tmp_path)

    said = tocsin("test", tmp_path)

    assert f"Unit Testing:  {tmp_path}/rules/mine.yaml\n  SUCCESS (3 tests)" in said.out


def test_test_shows_what_was_found_instead_and_exits_1(tocsin: Tocsin, own: Path) -> None:
    expect = "[{language: de, text: Die Beispielhilfe., expect: []}]"
    (own / "rules" / "mine.yaml").write_text(f"{RULES}    tests: {expect}\n")

    people, programs = tocsin("test", own), tocsin("test", own, "--json")

    assert people.code == programs.code == 1
    assert f"FAILED: {own}/rules/mine.yaml:6:13: rule 'ours', test 1" in people.out
    assert "expected 0 events, found 1" in people.out
    [ours] = [result for result in json.loads(programs.out) if result["rule"] == "ours"]
    assert (ours["passed"], ours["line"], len(ours["found"])) == (False, 6, 1)


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


# ---------------------------------------------------------------------------------------------- feeds test, export


@pytest.fixture
def served() -> Iterator[str]:
    """Serve one feed on loopback, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = FEED.encode() if self.path == "/rss" else b"nothing here"
            self.send_response(200 if self.path == "/rss" else 404)
            self.send_header("Content-Type", "text/xml")
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_feeds_test_says_which_work_and_exits_1_when_one_does_not(tocsin: Tocsin, own: Path, served: str) -> None:
    feed = "{{id: {0}, url: '{1}/{0}', allow_private: true}}"
    (own / "feeds.yaml").write_text(
        f"sources: {{feeds: [{feed.format('rss', served)}, {feed.format('gone', served)}]}}"
    )

    both = tocsin("feeds", "test", "--config", own)
    one = tocsin("feeds", "test", "rss", "--config", own, "--json")

    assert both.code == 1
    assert "ok    rss: 2 items" in both.out
    assert "BAD   gone: HTTP 404" in both.out
    assert one.code == 0
    assert json.loads(one.out)["items"] == 2


def test_a_page_behind_an_address_is_fetched(tocsin: Tocsin, served: str) -> None:
    good, bad = tocsin("parse-feed", f"{served}/rss", "--json"), tocsin("parse-feed", f"{served}/gone", "--json")

    assert [entry["url"] for entry in json.loads(good.out)["entries"]] == [f"{served}/1", f"{served}/2"]
    assert bad.code == 2
    assert "HTTP 404" in bad.err


def test_why_in_a_directory_without_state_says_so_and_makes_none(tocsin: Tocsin, tmp_path: Path) -> None:
    said = tocsin("why", "Almaty", "--data", tmp_path / "elsewhere")

    assert said.code == 2
    assert f"{tmp_path / 'elsewhere'} holds no state" in said.err
    assert "TOCSIN_DATA" in said.err
    assert not (tmp_path / "elsewhere").exists()


def test_why_without_words_says_what_can_be_asked(tocsin: Tocsin) -> None:
    said = tocsin("why", " ")

    assert said.code == 2
    assert "words of a title" in said.err


def test_export_of_a_data_directory_without_a_store_makes_none(tocsin: Tocsin, tmp_path: Path) -> None:
    said = tocsin("export", "--data", tmp_path / "data")

    assert said == Said(0, "# nothing was changed\n", "")
    assert not (tmp_path / "data").exists()


def test_what_export_prints_is_yaml_that_means_the_same() -> None:
    value = {"url": "https://a.example/?x=1#y", "owner": "NO: 'x'\u2028\u0085💥", "country": "NO", "language": "no"}
    changes: list[dict[str, Any]] = [
        {"kind": "feed", "id": "0o14", "value": value, "actor": "me\n- x", "at": "2026-07-01T00:00:00+00:00"},
        {"kind": "feed_pause", "id": "tass", "value": True, "actor": "me", "at": "2026-07-01T00:00:00+00:00"},
    ]

    text = as_yaml(changes)

    assert parse(text.encode(), file="x").data == {"sources": {"feeds": [{"id": "0o14"} | value]}}
    assert "# feed tass is paused (by me, 2026-07-01T00:00:00+00:00)" in text.splitlines()


CLUSTER = """tocsin:
  mode: cluster
  kafka: {brokers: ["127.0.0.1:1"]}
  postgresql: {dsn: "postgresql://tocsin@127.0.0.1:1/tocsin"}
"""


def test_what_no_process_can_do_is_refused_before_it_starts(tocsin: Tocsin, tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "tocsin.yaml").write_text(CLUSTER)

    misspelt = tocsin("run", "inges", "--config", "cluster")
    embedded = tocsin("run", "ingest")
    open_door = tocsin("run", "--config", "cluster", "--listen", "0.0.0.0:8080")

    assert (misspelt.code, embedded.code, open_door.code) == (2, 2, 2)
    assert "did you mean 'ingest'?" in misspelt.err
    assert "mode embedded is one process that does everything" in embedded.err
    assert "no token protects it" in open_door.err
    assert not (tmp_path / "data").exists()


def test_the_doctor_says_who_looks_for_damage_in_a_database(tocsin: Tocsin, tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "tocsin.yaml").write_text(CLUSTER)

    said = tocsin("doctor", "--scrub", "--config", "cluster")

    assert said.code == 2
    assert "pg_amcheck" in said.err
    assert "data_checksums" in said.err
    assert "no store" not in said.err


@pytest.mark.parametrize("word", ["foo", ""])
def test_a_log_level_that_is_none_is_answered_with_those_there_are(tocsin: Tocsin, word: str) -> None:
    said = tocsin("run", "--log-level", word)

    assert said.code == 2
    assert all(f"'{level}'" in said.err for level in ("debug", "info", "warning", "error"))


def test_the_status_of_nothing_is_no_status(tocsin: Tocsin) -> None:
    said = tocsin("status")

    assert said.code == 2
    assert "no service runs on the data directory" in said.err
