"""Where the alarms arrive: a webhook that answers as Slack's does, and a mailbox behind a real SMTP server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Final

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from tocsin.demo.feeds import listening

SLACK_PATH: Final = "/services/T00000000/B00000000/demodemodemodemodemodemo"

# https://docs.slack.dev/reference/block-kit/blocks
BLOCKS_LIMIT: Final = 50
HEADER_LIMIT: Final = 150
SECTION_LIMIT: Final = 3000
FIELDS_LIMIT: Final = 10
TEXT_LIMIT: Final = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One message as a receiver has it. `instant` is `time.monotonic`; `text` is every word that a person sees."""

    sink: str
    instant: float
    at: datetime
    title: str
    text: str


Heard = Callable[[Arrival], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinks:
    """Both receivers, listening. `refused` has what the webhook would not take, and why."""

    slack_url: str
    smtp_host: str
    smtp_port: int
    refused: list[str]


@asynccontextmanager
async def sinks(heard: Heard) -> AsyncIterator[Sinks]:
    """Listen on two free ports of loopback and tell *heard* of each message, until the block is left."""
    refused: list[str] = []
    app = web.Application()
    app.router.add_post(SLACK_PATH, _webhook(heard, refused))
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(_Mailbox(heard), hostname="demo.example", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    try:
        async with listening(app) as base_url:
            host, port = server.sockets[0].getsockname()[:2]
            yield Sinks(slack_url=f"{base_url}{SLACK_PATH}", smtp_host=host, smtp_port=port, refused=refused)
    finally:
        server.close()
        await server.wait_closed()


def _webhook(heard: Heard, refused: list[str]) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.Response:
        instant = time.monotonic()
        try:
            payload = json.loads(await request.text())
        except ValueError:
            payload = None
        wrong = "invalid_payload" if request.content_type != "application/json" else slack_refusal(payload)
        if wrong:
            refused.append(wrong)
            return web.Response(status=400, text=wrong)
        words = list(_words(payload))
        heard(
            Arrival(sink="slack", instant=instant, at=datetime.now(UTC), title=_title(payload), text="\n".join(words))
        )
        return web.Response(text="ok")

    return answer


def slack_refusal(payload: object) -> str | None:
    """Return the words with which Slack refuses *payload*, or None when it would take it."""
    if not isinstance(payload, dict):
        return "invalid_payload"
    text, blocks = payload.get("text"), payload.get("blocks")
    if not text and not blocks and not payload.get("attachments"):
        return "no_text"
    if text is not None and (not isinstance(text, str) or len(text) > TEXT_LIMIT):
        return "invalid_payload"
    if blocks is not None and (not isinstance(blocks, list) or len(blocks) > BLOCKS_LIMIT):
        return "invalid_blocks"
    return None if all(_is_block(block) for block in blocks or ()) else "invalid_blocks"


def _is_block(block: object) -> bool:
    match block:
        case {"type": "header", "text": {"type": "plain_text", "text": str(text)}}:
            return 0 < len(text) <= HEADER_LIMIT
        case {"type": "section", "text": {"type": "mrkdwn" | "plain_text", "text": str(text)}}:
            return 0 < len(text) <= SECTION_LIMIT
        case {"type": "section", "fields": [*fields]}:
            return 0 < len(fields) <= FIELDS_LIMIT
        case {"type": "context" | "actions", "elements": [_, *_]} | {"type": "divider"}:
            return True
    return False


def _title(payload: dict[str, Any]) -> str:
    for block in payload.get("blocks") or ():
        if block["type"] == "header":
            return str(block["text"]["text"])
    lines = str(payload.get("text") or "").strip().splitlines()
    return lines[0] if lines else ""


def _words(value: object) -> Iterator[str]:
    """Give every text in *value*, links included."""
    match value:
        case dict():
            for key, item in value.items():
                if key in {"text", "url", "fallback"} and isinstance(item, str):
                    yield item
                else:
                    yield from _words(item)
        case list():
            for item in value:
                yield from _words(item)


class _Mailbox:
    """What aiosmtpd calls for each message."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        message = message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
        body = message.get_body(("plain", "html"))
        self._heard(
            Arrival(
                sink="mail",
                instant=time.monotonic(),
                at=datetime.now(UTC),
                title=str(message["subject"] or ""),
                text=body.get_content() if body is not None else "",
            )
        )
        return "250 OK"
