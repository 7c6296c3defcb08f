from __future__ import annotations

import json
from email.message import EmailMessage

import aiohttp
import aiosmtplib
import pytest

from tocsin.demo.sinks import Arrival, Sinks, sinks, slack_refusal

GOOD = {
    "text": "6 dead confirmed",
    "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "6 dead confirmed"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "<https://a.example/1|Six dead>"}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "severe"}]},
    ],
}


async def post(listening: Sinks, body: bytes, content_type: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as client,
        client.post(listening.slack_url, data=body, headers={"Content-Type": content_type}) as response,
    ):
        return response.status, await response.text()


@pytest.mark.parametrize(
    ("payload", "refusal"),
    [
        (GOOD, None),
        ({"text": "only words"}, None),
        ({}, "no_text"),
        ([], "invalid_payload"),
        ({"text": 7}, "invalid_payload"),
        ({"blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "no"}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
    ],
)
def test_the_webhook_refuses_what_slack_refuses(payload: object, refusal: str | None) -> None:
    assert slack_refusal(payload) == refusal


async def test_the_webhook_says_ok_and_keeps_every_word_and_link() -> None:
    heard: list[Arrival] = []

    async with sinks(heard.append) as listening:
        answer = await post(listening, json.dumps(GOOD).encode(), "application/json")

    assert answer == (200, "ok")
    assert [arrival.title for arrival in heard] == ["6 dead confirmed"]
    assert "https://a.example/1" in heard[0].text


async def test_the_webhook_refuses_in_slacks_words_and_remembers_it() -> None:
    heard: list[Arrival] = []

    async with sinks(heard.append) as listening:
        answer = await post(listening, b"payload=x", "application/x-www-form-urlencoded")

    assert answer == (400, "invalid_payload")
    assert listening.refused == ["invalid_payload"]
    assert heard == []


async def test_the_mailbox_takes_mail_in_every_alphabet() -> None:
    heard: list[Arrival] = []
    message = EmailMessage()
    message["From"] = "tocsin@demo.example"
    message["To"] = "desk@demo.example"
    message["Subject"] = "Число погибших — 41"
    message.set_content("Sechs Tote bestätigt\nhttps://a.example/1\n")

    async with sinks(heard.append) as listening:
        await aiosmtplib.send(message, hostname=listening.smtp_host, port=listening.smtp_port, start_tls=False)

    assert [(arrival.sink, arrival.title) for arrival in heard] == [("mail", "Число погибших — 41")]
    assert "bestätigt\nhttps://a.example/1" in heard[0].text.replace("\r\n", "\n")
