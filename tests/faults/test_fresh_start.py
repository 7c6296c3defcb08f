"""A fresh start on feeds that hold days of items: one message per receiver, the opening picture."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.faults.harness import Service, write_config
from tocsin.demo.feeds import listening

if TYPE_CHECKING:
    from pathlib import Path

COUNTRIES = ("Peru", "Kenya", "Chile", "Ghana", "Nepal", "Malta", "Togo", "Cuba", "Oman", "Fiji", "Laos", "Iran")
FEEDS = 4


def held_items(feed: int) -> dict[str, Any]:
    """36 hours of items: a fatal accident every hour, each in another country than the one before."""
    now = datetime.now(UTC)
    items = []
    for hour in range(36):
        country = COUNTRIES[(hour + 3 * feed) % len(COUNTRIES)]
        items.append(
            {
                "id": f"{feed}-{hour}",
                "url": f"https://f{feed}.example/{hour}",
                "title": f"{hour + 5} killed in bus crash in {country}, police say",
                "date_published": (now - timedelta(hours=hour)).isoformat(),
            }
        )
    return {"version": "https://jsonfeed.org/version/1.1", "title": f"Feed {feed}", "items": items}


@pytest.mark.faults
@pytest.mark.timeout(120)
async def test_a_fresh_start_sends_each_receiver_one_message(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(held_items(int(request.match_info["n"])), content_type="application/feed+json")

    app = web.Application()
    app.router.add_get("/{n}.json", answer)
    async with listening(app) as base:
        feeds = "".join(
            f"    - {{id: f{n}, url: {base}/{n}.json, language: en, owner: O{n}, every: 1s, allow_private: true}}\n"
            for n in range(FEEDS)
        )
        files = {
            "tocsin.yaml": 'tocsin: {workers: 1, web: {listen: "127.0.0.1:0"}, polling: {floor: 500ms}}\n',
            "feeds.yaml": f"sources:\n  feeds:\n{feeds}",
            "receivers.yaml": "receivers:\n  one: {kind: file, path: one.jsonl}\n"
            "  two: {kind: file, path: two.jsonl}\n",
            "subscriptions.yaml": "subscriptions:\n  - {id: all, to: [one, two], group_wait: 0s}\n"
            "notifier: {opening_wait: 3s}\n",
        }
        async with Service(config=write_config(tmp_path / "config", files), data=tmp_path / "data") as service:
            await service.start_and_wait()

            async with asyncio.timeout(60):
                while not (service.messages("one.jsonl") and service.messages("two.jsonl")):
                    await asyncio.sleep(0.2)
            await asyncio.sleep(6)

            for name in ("one.jsonl", "two.jsonl"):
                (only,) = service.messages(name)
                assert only["kind"] == "digest"
                assert "killed" in only["text"] or "dead" in only["text"]
            assert await service.stop() == 0
