"""`tocsin tail` and `tocsin schemas` as somebody at a terminal meets them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len
from typing_extensions import override

from tocsin.cli import main
from tocsin.cli.record_lines import as_json, line
from tocsin.cli.terminal import plain
from tocsin.records import DeadLetter
from tocsin.settings import Settings, load_settings
from tocsin.store.tx import Tx
from tocsin.stream.codec import encode
from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS, StreamRecord
from tocsin.testing import MINUTE, NOON, a_detection, a_reading, a_store, an_alert, an_article

Json = Any
HOSTILE = "\x1b[2J\x1b]0;owned\x07 Three\n\rkilled \u202ereversed\u2028 \x9b31m"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Tocsin = Callable[..., Said]


@pytest.fixture(scope="module")
def settings() -> Settings:
    """The shipped ones, read once: all their words take a second."""
    return load_settings(None, data_dir=Path())


@pytest.fixture
def tocsin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings
) -> Tocsin:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tocsin.cli.topics.settings_of", lambda _, folder: replace(settings, data_dir=folder))
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    monkeypatch.delenv("TOCSIN_DATA", raising=False)

    def say(*arguments: str) -> Said:
        with pytest.raises(SystemExit) as left:
            main(arguments)
        captured = capsys.readouterr()
        return Said(int(left.value.code or 0), captured.out, captured.err)

    return say


def keep(tx: Tx) -> None:
    for number in range(20):
        article = an_article(id=f"a{number}", title=f"Item {number}", seen_at=NOON + number * MINUTE)
        tx.emit(ARTICLES, key=article.id, record_id=f"record-{number}", value=encode(article))
    for number in range(2):
        alert = an_alert(incident=f"incident-{number}", headline=f"{HOSTILE} {number}", seen_at=NOON + number * MINUTE)
        tx.emit(ALERTS, key=alert.incident, record_id=alert.id, value=encode(alert))
    tx.emit(ALERTS, key="tomorrow", record_id="tomorrow", value=b'{"v":2,"record":{}}')
    tx.emit(ALERTS, key="stranger", record_id="stranger", value=b"no json")


async def _filled(folder: Path) -> None:
    async with a_store(folder) as store:
        await store.write(keep)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data directory on which nothing runs."""
    data = tmp_path / "data"
    data.mkdir()
    asyncio.run(_filled(data))
    return data


# ------------------------------------------------------------------------------------------- when nothing runs


def test_the_last_records_are_shown_one_in_a_line(tocsin: Tocsin, folder: Path) -> None:
    said = tocsin("tail", "articles", "-n", "3", "--data", str(folder))

    assert said.code == 0
    assert [words.split(maxsplit=4)[2:] for words in said.out.splitlines()] == [
        ["0@18", "record-17", "wire en Item 17"],
        ["0@19", "record-18", "wire en Item 18"],
        ["0@20", "record-19", "wire en Item 19"],
    ]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (("--from", "18"), ["Item 17", "Item 18", "Item 19"]),
        (("--from", "2026-03-04T12:17"), ["Item 17", "Item 18", "Item 19"]),
        (("--from", "2026-03-04T13:18:00+01:00"), ["Item 18", "Item 19"]),
        (("--from", "4", "-n", "2"), ["Item 3", "Item 4"]),
        (("--from", "1m"), []),
        (("--id", "record-7"), ["Item 7"]),
        (("--id", "a1", "-n", "3"), ["Item 17", "Item 18", "Item 19"]),
    ],
)
def test_one_says_where_to_begin_what_to_see_and_how_much(
    tocsin: Tocsin, folder: Path, options: tuple[str, ...], shown: list[str]
) -> None:
    said = tocsin("tail", "articles.v1", *options, "--data", str(folder))

    assert [words[words.index("Item") :] for words in said.out.splitlines()] == shown


def test_what_nothing_is_called_is_told_by_the_exit_code(tocsin: Tocsin, folder: Path) -> None:
    assert tocsin("tail", "alerts", "--id", "nobody", "--data", str(folder)) == Said(1, "", "")


def test_what_cannot_be_read_is_shown_in_its_place_with_the_reason(tocsin: Tocsin, folder: Path) -> None:
    said = tocsin("tail", "alerts", "--data", str(folder))

    *_, tomorrow, stranger = said.out.splitlines()
    assert "tomorrow unreadable: schema version 2: this program reads 1" in tomorrow
    assert "stranger unreadable: JSON is malformed" in stranger


def test_for_programs_each_line_is_the_record_as_it_is_on_the_topic(tocsin: Tocsin, folder: Path) -> None:
    said = tocsin("tail", "alerts", "--json", "--data", str(folder))

    first, _, tomorrow = (json.loads(words) for words in said.out.splitlines())
    assert first["v"] == 1
    assert first["record"]["headline"] == f"{HOSTILE} 0"
    assert tomorrow == {"v": 2, "record": {}}
    assert "alerts.v1, partition 0, offset 24: no JSON: " in said.err


def test_nothing_is_followed_where_nothing_comes(tocsin: Tocsin, folder: Path) -> None:
    said = tocsin("tail", "alerts", "-f", "--data", str(folder))

    assert said.code == 2
    assert f"no service runs on {folder}, so nothing comes: leave --follow out" in said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tail", "alert"), "there is no topic 'alert', did you mean 'alerts'?"),
        (("tail", "alerts", "--from", "noon"), "'noon' is no offset (41), no instant (2026-03-04T12:00, UTC) and no"),
        (("tail", "alerts", "-f", "-n", "3", "--from", "1h"), "--last with --from says where to end"),
        (("schemas", "alert.v1"), "there is no schema 'alert.v1', did you mean 'alerts.v1'?"),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_wrong(tocsin: Tocsin, arguments: tuple[str, ...], says: str) -> None:
    said = tocsin(*arguments)

    assert said.code == 2
    assert says in " ".join(said.err.split())


# ------------------------------------------------------------------------------------------- when a service runs


class Played(BaseHTTPRequestHandler):
    """The service's side of the control socket, with one alert, and one more for who waits and tries again."""

    moods: ClassVar[dict[int, bool]] = {6: True}

    @override
    def address_string(self) -> str:
        return "socket"

    @override
    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        parts, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        answer: Json = {"items": []}
        if parts.path == "/api/topics":
            answer = {"items": [{"topic": ALERTS, "partitions": [{"partition": 0, "first": 5, "end": 6}]}]}
        elif parts.path == f"/api/topics/{ALERTS}":
            start = int(query["start"][0])
            if start == 7:  # what came has been shown, and the service goes
                self.server.shutdown_request(self.request)
                return
            if start == 6 and self.moods.pop(start, False):
                self.send_error(503, "no broker answers")
                return
            there = [offset for offset in (5, 6) if offset >= start]
            answer["items"] = [_item(there[0])] if there else []
        raw = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def _item(offset: int) -> Json:
    value = json.loads(encode(an_alert(headline=f"Alert {offset}")))
    return {"partition": 0, "offset": offset, "key": "k", "id": f"id-{offset}", "value": value, "damage": None}


@contextmanager
def a_service(folder: Path) -> Iterator[None]:
    with ThreadingUnixStreamServer(str(folder / "control.sock"), Played) as server:
        server.daemon_threads = True
        thread = Thread(target=partial(server.serve_forever, 0.01))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_the_running_service_is_asked_and_followed(tocsin: Tocsin, tmp_path: Path) -> None:
    with a_service(tmp_path):
        said = tocsin("tail", "alerts", "--follow", "--data", str(tmp_path))

    assert ["Alert 5" in words or "Alert 6" in words for words in said.out.splitlines()] == [True, True]
    assert said.err.count("HTTP 503; trying again") == 1
    assert said.code == 2  # the service went away, and that is said
    assert f"tocsin: the service on {tmp_path} does not answer" in said.err


def test_the_end_of_a_pipe_is_no_trouble(folder: Path) -> None:
    command = f"{sys.executable} -m tocsin.cli tail articles --from 0 --json --data {folder} | head -1"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=25)

    assert json.loads(done.stdout)["record"]["title"] == "Item 0"
    assert done.stderr == ""


# --------------------------------------------------------------------------------------------------- single lines


def a_record(topic: str, value: bytes) -> StreamRecord:
    return StreamRecord(topic=topic, partition=3, offset=41, key="key", id="0123456789abcdef", value=value)


def test_each_kind_of_record_says_what_matters() -> None:
    letter = DeadLetter(
        id="x", stage="detectors", topic=ARTICLES, record_id="r", reason="deadline\nof 5 s", value=b"", at=NOON, times=2
    )
    article = replace(an_article(language=None, backfill=True), supersedes="before")

    lines = [
        line(a_record(topic, encode(told))).plain
        for topic, told in (
            (ARTICLES, article),
            (READINGS, a_reading(a_detection())),
            (READINGS, a_reading()),
            (ALERTS, an_alert(late=True)),
            (DEAD_LETTERS, letter),
        )
    ]

    assert {words[:44] for words in lines} == {"2026-03-04 12:00:00Z      3@41 0123456789ab "}
    assert [words[44:] for words in lines] == [
        "wire ? Three killed in clashes in Narva (revised, backfill)",
        "wire deaths 3 · Estonia (EE) · confirmed — Three killed in clashes in Narva",
        "wire takes everything back — Three killed in clashes in Narva",
        "new        severe   3 dead confirmed — Narva, Estonia (Northern Wire) late",
        "detectors articles.v1 deadline (2 times)",
    ]


@given(text=st.text() | st.just(HOSTILE))
def test_no_text_of_a_stranger_gives_the_terminal_an_order(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    told = an_alert(headline=text, id="i")

    shown = line(a_record(ALERTS, encode(told))).plain
    for_programs = as_json(a_record(ALERTS, encode(told)))

    assert shown.isprintable()
    assert "\n" not in for_programs
    assert all(one.isprintable() or one > "\u009f" for one in for_programs)
    assert json.loads(for_programs)["record"]["headline"] == text
    assert cell_len(plain(text)) >= 0
    assert not any(order in for_programs for order in "\u202e\u2028\u2066")


# ------------------------------------------------------------------------------------------------------- schemas


def test_the_schemas_are_named_and_printed(tocsin: Tocsin) -> None:
    named = tocsin("schemas").out.split()
    printed = [json.loads(tocsin("schemas", name).out) for name in named]

    topics = ["articles.v1", "readings.v1", "alerts.v1", "dead-letters.v1", "asyncapi"]
    assert named == [*topics, "tocsin", "rules", "rule-tests", "lexicon"]
    assert printed[2]["title"] == "org.tocsin.alert.v1"
    assert printed[4]["asyncapi"] == "3.0.0"


def test_all_schemas_are_written_unless_one_that_is_there_promises_more(tocsin: Tocsin, tmp_path: Path) -> None:
    first = tocsin("schemas", "--to", "made")
    file = tmp_path / "made" / "alerts.v1.json"
    promised = json.loads(file.read_text())
    promised["$defs"]["Alert"]["properties"]["urgency"] = {"type": "string", "default": ""}
    file.write_text(json.dumps(promised))

    again = tocsin("schemas", "--to", "made")

    assert first == Said(0, "", "")
    assert again == Said(1, "", "alerts.v1: Alert.urgency: is gone\n")
    assert json.loads(file.read_text()) == promised
