"""Rules that hang, swell and crash cost their own article and nobody else's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.faults.harness import Service, write_config
from tocsin.demo.feeds import listening

HERE = Path(__file__).resolve().parents[2]
TITLES = [
    "Three people killed in clashes in Narva, police say",
    "LOOP: the harbour of Riga is busy",
    "Eleven dead after a coach crash near Cusco, Peru, police say",
    "GREEDY: the harbour of Gdańsk is busy",
    "CRASH: the harbour of Kiel is busy",
    "Seven killed as a ferry sinks off Mombasa, Kenya, the coast guard says",
]
RULES = """
rules:
  - {id: loops, type: stranger, python: "tests.faults.rules_that_misbehave:loops"}
  - {id: takes-memory, type: stranger, python: "tests.faults.rules_that_misbehave:takes_memory"}
  - {id: crashes, type: stranger, python: "tests.faults.rules_that_misbehave:crashes"}
"""


def document(titles: list[str]) -> dict[str, Any]:
    items = [{"id": str(n), "url": f"https://x.example/{n}", "title": title} for n, title in enumerate(titles)]
    return {"version": "https://jsonfeed.org/version/1.1", "title": "Mixed", "items": items}


@pytest.mark.faults
@pytest.mark.timeout(120)
async def test_an_article_that_breaks_a_rule_is_set_aside_and_all_others_ring(tmp_path: Path) -> None:
    shown = document([])

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(shown, content_type="application/feed+json")

    app = web.Application()
    app.router.add_get("/feed.json", answer)
    async with listening(app) as base:
        feed = f"{{id: mixed, url: {base}/feed.json, language: en, owner: X, every: 500ms, allow_private: true}}"
        files = {
            "tocsin.yaml": 'tocsin: {workers: 1, web: {listen: "127.0.0.1:0"}, polling: {floor: 500ms}}\n',
            "feeds.yaml": f"sources:\n  feeds:\n    - {feed}\n",
            "rules/strangers.yaml": RULES,
            "subscriptions.yaml": "subscriptions:\n  - {id: all, to: [log], group_wait: 0s}\n",
        }
        config = write_config(tmp_path / "config", files)
        async with Service(config=config, data=tmp_path / "data", environment={"PYTHONPATH": str(HERE)}) as service:
            await service.start_and_wait()
            await asyncio.sleep(2)  # the first, empty poll makes what comes after it news

            shown |= document(TITLES)
            async with asyncio.timeout(60):
                while len(service.messages()) < 3 or await dead(service) < 3:
                    await asyncio.sleep(0.1)

            _, body = await service.get("/api/dead-letters")
            reasons = sorted(item["reason"].split(":")[0] for item in json.loads(body)["items"])
            assert reasons == ["deadline", "died", "memory"]
            assert sorted(country for line in service.messages() for country in line["countries"]) == ["EE", "KE", "PE"]
            assert await service.stop() == 0


async def dead(service: Service) -> int:
    _, body = await service.get("/api/dead-letters")
    return len(json.loads(body)["items"])
