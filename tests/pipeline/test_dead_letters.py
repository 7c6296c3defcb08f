"""A dead letter from the stage that set it aside to the ring that it brings once its rule is mended."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.faults.harness import Service, write_config
from tocsin.demo.feeds import listening
from tocsin.records import DeadLetter
from tocsin.stream.dead_letters import put_aside
from tocsin.testing import NOON, a_cluster_store

HERE = Path(__file__).resolve().parents[2]
LIMIT_S = 120
GOOD = "Eleven dead after a coach crash near Cusco, Peru, police say"
BAD = "CRASH: Seven killed as a ferry sinks off Mombasa, Kenya, the coast guard says"
RULES = """
rules:
  - {id: crashes, type: stranger, python: "tests.faults.rules_that_misbehave:crashes"}
"""


@pytest.mark.timeout(LIMIT_S)
async def test_a_record_that_was_set_aside_rings_once_its_rule_is_mended_and_it_is_replayed(tmp_path: Path) -> None:
    items: list[dict[str, str]] = []

    async def answer(_request: web.Request) -> web.Response:
        feed = {"version": "https://jsonfeed.org/version/1.1", "title": "Wire", "items": items}
        return web.json_response(feed, content_type="application/feed+json")

    app = web.Application()
    app.router.add_get("/feed.json", answer)
    async with listening(app) as base:
        feed = f"{{id: wire, url: {base}/feed.json, language: en, owner: W, every: 500ms, allow_private: true}}"
        files = {
            "tocsin.yaml": 'tocsin: {workers: 1, web: {listen: "127.0.0.1:0"}, polling: {floor: 500ms}}\n',
            "feeds.yaml": f"sources:\n  feeds:\n    - {feed}\n",
            "rules/strangers.yaml": RULES,
            "subscriptions.yaml": "subscriptions:\n  - {id: all, to: [log], group_wait: 0s}\n",
        }
        config, data = write_config(tmp_path / "config", files), tmp_path / "data"
        async with Service(config=config, data=data, environment={"PYTHONPATH": str(HERE)}) as service:

            async def letters(*arguments: str) -> subprocess.CompletedProcess[str]:
                return await asyncio.to_thread(
                    tocsin, "dead-letters", *arguments, "--config", str(config), "--data", str(data)
                )

            await service.start_and_wait()
            await asyncio.sleep(2)  # the first, empty poll makes what comes after it news
            items += [{"id": str(n), "url": f"{base}/{n}", "title": title} for n, title in enumerate((GOOD, BAD))]
            await until(lambda: _is(service, rung=["PE"], aside=1))

            _, before = await service.get("/metrics")
            (told,) = json.loads((await letters("list", "--json")).stdout)
            shown = await letters("show", told["id"])
            in_vain = await letters("replay", told["id"])
            await until(lambda: _set_aside_again(service))
            (config / "rules" / "strangers.yaml").unlink()
            assert service.process is not None
            service.process.send_signal(signal.SIGHUP)
            await service.logged("configuration reloaded")
            replayed = await letters("replay", "--all", "--stage", "detectors", "--yes")
            await until(lambda: _is(service, rung=["PE", "KE"], aside=0))
            listed = await letters("list")
            _, numbers = await service.get("/metrics")

            assert (told["stage"], told["topic"], told["times"]) == ("detectors", "articles.v1", 1)
            assert BAD in shown.stdout
            assert in_vain.stdout == f"{told['id']}: given back to detectors\n"
            assert 'tocsin_dead_letters_kept{stage="detectors"} 1.0' in before
            assert (replayed.returncode, replayed.stdout) == (0, "1 given back\n")
            assert listed.stdout == "there are no dead letters\n"
            assert 'tocsin_replays_total{group="detectors",outcome="done"} 1.0' in numbers
            assert 'tocsin_replays_total{group="detectors",outcome="failed"} 1.0' in numbers
            assert 'tocsin_dead_letters_kept{stage="detectors"} 0.0' in numbers
            _, page = await service.get("/api/audit")
            acts = [entry["action"] for entry in json.loads(page)["items"]]
            assert acts == ["dead_letter.replay_many", "dead_letter.replay"]
            assert await service.stop() == 0


@pytest.mark.timeout(LIMIT_S)
async def test_in_a_cluster_the_command_needs_no_service_on_its_own_machine(tmp_path: Path, postgresql: str) -> None:
    cluster = f"{{brokers: ['127.0.0.1:1']}}, postgresql: {{dsn: '{postgresql}'}}"
    files = {"tocsin.yaml": f"tocsin: {{mode: cluster, kafka: {cluster}}}\n"}
    config, data = write_config(tmp_path / "config", files), tmp_path / "data"
    letter = DeadLetter(
        id="a" * 32, stage="detectors", topic="articles.v1", record_id="r", reason="poison", value=b"{}", at=NOON
    )

    async with a_cluster_store(postgresql) as store:
        await store.write(lambda tx: put_aside(tx, letter))
        seen = store.mark("replays:detectors")
        said = await asyncio.to_thread(
            tocsin, "dead-letters", "replay", "--all", "--yes", "--config", str(config), "--data", str(data)
        )
        await store.wait("replays:detectors", seen, timeout_s=10)

        assert (said.returncode, said.stdout) == (0, "1 given back\n"), said.stderr
        assert store.mark("replays:detectors") > seen
        assert await store.read(lambda tx: (tx.replays.waiting(), tx.dead_letters.count())) == ({"detectors": 1}, 0)
        assert not data.exists()


def tocsin(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "tocsin.cli", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.05)


async def _is(service: Service, *, rung: list[str], aside: int) -> bool:
    _, body = await service.get("/api/dead-letters")
    countries = [country for line in service.messages() for country in line["countries"]]
    return countries == rung and len(json.loads(body)["items"]) == aside


async def _set_aside_again(service: Service) -> bool:
    _, body = await service.get("/api/dead-letters")
    return [item["times"] for item in json.loads(body)["items"]] == [2]
