"""The file, the terminal and Apprise."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from notifier.channels.console import Terminal
from notifier.channels.file import mend
from notifier.channels.threads import HUNG_LIMIT, OwnThreads
from notifier.telling import a_test
from tocsin.errors import DeliveryDeferred
from tocsin.records import DeliveryState, MessageKind
from tocsin.testing import NOON, an_alert

# Apprise imports all its plugins, and some of those import what Python 3.13 no longer has.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

KEYS = [
    "v",
    "key",
    "alert",
    "kind",
    "time",
    "incident",
    "revision",
    "step",
    "severity",
    "certainty",
    "types",
    "countries",
    "title",
    "text",
    "facts",
    "sources",
    "urls",
]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_one_message_is_one_line_with_the_agreed_keys(service: Callable[..., Any], tmp_path: Path) -> None:
    notifier = await service({"log": {"kind": "file", "path": "out/alerts.jsonl"}})
    alert = an_alert()

    await notifier.hear(alert)
    (delivery,) = await notifier.settled()

    (line,) = lines(tmp_path / "out/alerts.jsonl")
    assert list(line) == KEYS
    assert (line["v"], line["key"], line["alert"], line["kind"]) == (1, delivery.key, alert.id, "alert")
    assert (line["incident"], line["revision"], line["step"]) == ("incident-1", 1, "new")
    assert (line["severity"], line["certainty"]) == ("severe", "confirmed")
    assert (line["types"], line["countries"], line["urls"]) == (["deaths"], ["EE"], ["https://news.example/1"])
    assert line["facts"][0]["toll"] == {"min": 3, "max": 3, "approx": False}
    assert line["sources"][0]["owner"] == "Northern Wire"
    assert line["title"] == "3 dead confirmed — Narva, Estonia"


async def test_a_torn_last_line_is_taken_off_before_the_next(service: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"v":1}\n{"v":1,"key":"to')
    notifier = await service({"log": {"kind": "file", "path": "alerts.jsonl"}})

    await notifier.hear(an_alert())
    await notifier.settled()

    assert [line["v"] for line in lines(path)] == [1, 1]


async def test_a_line_written_just_before_a_kill_is_not_written_again(
    service: Callable[..., Any], tmp_path: Path
) -> None:
    notifier = await service({"log": {"kind": "file", "path": "alerts.jsonl"}})
    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()
    await notifier.store.write(lambda tx: tx.notifier.bury(delivery.key, reason="", at=NOON))
    await notifier.store.write(lambda tx: tx.notifier.retry(delivery.key, at=NOON))
    await notifier.store.write(lambda tx: tx.notifier.claim("log", NOON, limit=1))

    await notifier.store.write(lambda tx: (tx.notifier.recover("log"), tx.wake("outbox:log")))
    (again,) = await notifier.settled()

    assert (again.state, again.attempts) == (DeliveryState.DONE, 2)
    assert len(lines(tmp_path / "alerts.jsonl")) == 1


@pytest.mark.parametrize("torn", [b"", b"x", b"x" * 200_000])
def test_mending_cuts_only_what_follows_the_last_line(torn: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo\n" + torn)

    cut = mend(path)

    assert cut == len(torn)
    assert path.read_bytes() == b"one\ntwo\n"


async def test_a_file_that_cannot_be_written_waits(service: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    notifier = await service({"log": {"kind": "file", "path": "folder", "attempts": 2}})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts) == (DeliveryState.DEAD, 2)
    assert "Is a directory" in delivery.reason


async def test_a_terminal_shows_words_and_nothing_that_commands_it() -> None:
    out = io.StringIO()
    message = a_test("desk", now=NOON)

    await Terminal(out).send(message, attempt=1, accepted=())

    assert out.getvalue().startswith("Test: receiver desk can hear me\n")
    assert "\x1b" not in out.getvalue()


async def test_a_real_terminal_gets_a_panel_in_which_brackets_are_brackets() -> None:
    class Screen(io.StringIO):
        @override
        def isatty(self) -> bool:
            return True

    out = Screen()
    await Terminal(out).send(a_test("[bold]desk[/]", now=NOON), attempt=1, accepted=())

    assert "[bold]desk[/]" in out.getvalue()
    assert "╭" in out.getvalue()


async def test_calls_that_hang_cost_only_themselves() -> None:
    threads, release = OwnThreads("test"), threading.Event()
    for _ in range(HUNG_LIMIT):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await threads.call(release.wait)

    with pytest.raises(DeliveryDeferred, match="still hang"):
        await threads.call(lambda: True)

    assert await OwnThreads("another").call(lambda: True)
    release.set()


async def test_an_apprise_url_is_told_in_plain_text(web_sink: Callable[..., Any], service: Callable[..., Any]) -> None:
    sink = await web_sink()
    notifier = await service({"any": apprise(sink)})

    await notifier.hear(an_alert(places=("@everyone",)))
    (delivery,) = await notifier.settled()

    assert delivery.state is DeliveryState.DONE
    (payload,) = sink.heard
    assert payload["title"] == "3 dead confirmed — @\u200beveryone, Estonia"
    assert "Three people were killed" in payload["message"]


@pytest.mark.parametrize("answer", ["redirect 302", "404"])
async def test_apprise_follows_nothing_and_takes_no_for_an_answer(
    answer: str, web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink(answer)
    notifier = await service({"any": apprise(sink)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, len(sink.heard)) == (DeliveryState.DEAD, 1)
    assert "hunter2" not in delivery.reason


async def test_apprise_comes_again_after_an_error_and_after_a_hang(
    web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink("500", "hang")
    notifier = await service({"any": apprise(sink, timeout="700ms")})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts) == (DeliveryState.DONE, 3)


async def test_apprise_reaches_no_private_host_unless_allowed(
    web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink()
    notifier = await service({"any": apprise(sink, allow_private=False, attempts=1)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert sink.heard == []
    assert "private address" in delivery.reason


async def test_apprise_tells_its_secrets_to_no_log(
    web_sink: Callable[..., Any], service: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sink = await web_sink("500")
    notifier = await service({"any": apprise(sink)})

    await notifier.hear(an_alert())
    await notifier.settled()

    assert "hunter2" not in caplog.text


def apprise(sink: Any, **parts: Any) -> dict[str, Any]:
    url = sink.url.replace("http://", "json://user:hunter2@")
    return {"kind": "apprise", "url": url, "allow_private": True, "timeout": "5s"} | parts


async def test_a_message_given_up_can_be_sent_again(web_sink: Callable[..., Any], service: Callable[..., Any]) -> None:
    from notifier.room import retry
    from tocsin.clock import SystemClock

    sink = await web_sink("404")
    notifier = await service({"desk": {"kind": "slack", "webhook_url": sink.url, "allow_private": True}})
    await notifier.hear(an_alert())
    (dead,) = await notifier.settled()

    revived = await notifier.store.write(lambda tx: retry(tx, dead.key, clock=SystemClock()))
    (done,) = await notifier.settled()

    assert revived
    assert (done.key, done.state, done.kind) == (dead.key, DeliveryState.DONE, MessageKind.ALERT)
    assert await notifier.store.read(lambda tx: tx.dead_letters.count()) == 0
