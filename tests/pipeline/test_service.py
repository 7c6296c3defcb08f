"""The service as a process: starts, says how it is, reloads, answers why, drains."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.faults.harness import Service, write_config
from tocsin.demo.feeds import listening

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 60
TITLE = "Three people killed in clashes in Narva, Estonia, police say"


def tocsin(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "tocsin.cli", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


async def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(tocsin, *arguments)


@pytest.mark.timeout(LIMIT_S)
async def test_a_second_run_on_the_same_data_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    async with Service(config=config, data=tmp_path / "data") as service:
        await service.start_and_wait()

        second = await asked("run", "--config", str(config), "--data", str(tmp_path / "data"))

        assert second.returncode == 2
        assert f"process {service.pid} on" in second.stderr


@pytest.mark.timeout(LIMIT_S)
async def test_sigterm_drains_within_ten_seconds_and_exits_with_zero(tmp_path: Path) -> None:
    async with Service(config=write_config(tmp_path / "config"), data=tmp_path / "data") as service:
        await service.start_and_wait()
        started = time.monotonic()

        code = await service.stop()

        assert code == 0
        assert time.monotonic() - started < 10


@pytest.mark.timeout(LIMIT_S)
async def test_a_wrong_file_keeps_the_old_configuration_and_a_right_one_takes_hold(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    async with Service(config=config, data=tmp_path / "data") as service:
        await service.start_and_wait()
        receivers = config / "receivers.yaml"

        receivers.write_text("receivers:\n  log: {kind: flie, path: alerts.jsonl}\n")
        assert service.process is not None
        service.process.send_signal(signal.SIGHUP)
        refused = await service.logged("configuration refused")
        receivers.write_text(
            "receivers:\n  log: {kind: file, path: alerts.jsonl}\n  more: {kind: file, path: more.jsonl}\n"
        )
        service.process.send_signal(signal.SIGHUP)
        await service.logged("configuration reloaded")

        assert "receivers.yaml:2:" in refused["problem"]
        assert "file" in refused["problem"]
        _, body = await service.get("/api/status")
        assert {"lane log", "lane more"} <= {stage["name"] for stage in json.loads(body)["stages"]}
        assert json.loads(body)["ready"]


@pytest.mark.timeout(LIMIT_S)
async def test_a_reload_that_moves_the_web_to_where_it_cannot_listen_leaves_it_where_it_was(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    async with Service(config=config, data=tmp_path / "data") as service:
        await service.start_and_wait()
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = f"127.0.0.1:{other.getsockname()[1]}"
            (config / "tocsin.yaml").write_text(f'tocsin: {{workers: 1, web: {{listen: "{taken}"}}}}\n')
            assert service.process is not None
            service.process.send_signal(signal.SIGHUP)
            told = await service.logged("web not moved")

        await service.ready()
        assert taken in told["reason"]
        assert len([line for line in service.lines() if line.get("event") == "listening"]) == 2
        assert await service.stop() == 0


@pytest.mark.timeout(LIMIT_S * 2)
async def test_why_walks_an_article_from_its_feed_to_its_receiver(tmp_path: Path) -> None:
    items: list[dict[str, Any]] = []

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
            "subscriptions.yaml": "subscriptions:\n  - {id: all, to: [log], group_wait: 0s}\n",
        }
        config, data = write_config(tmp_path / "config", files), tmp_path / "data"
        async with Service(config=config, data=data) as service:
            await service.start_and_wait()
            await asyncio.sleep(2)
            items += [
                {"id": "1", "url": "https://w.example/1", "title": TITLE},
                {"id": "2", "url": "https://w.example/2", "title": "Ten years ago a fire in Oslo killed forty people"},
            ]
            async with asyncio.timeout(30):
                while not service.messages():
                    await asyncio.sleep(0.1)

            where = ("--config", str(config), "--data", str(data))
            rung = await asked("why", "https://w.example/1", "--json", *where)
            silent = await asked("why", "fire oslo forty", *where)
            unknown = await asked("why", "https://elsewhere.example/9", *where)
            assert await service.stop() == 0

        offline = await asked("why", "https://w.example/1", "--json", *where)

    told = json.loads(rung.stdout)["ways"][0]
    assert rung.returncode == 0
    assert told["first_no"] is None
    stages = [stop["stage"] for stop in told["stages"] if stop["stage"] != "bursts"]  # counted at some time or other
    assert stages[:5] == ["feed", "ingest", "detectors", "incidents", "routing"]
    assert told["stages"][-1]["stage"] == "delivery"
    assert "The first no: detectors" in silent.stdout.replace("\n", " ")
    assert unknown.returncode == 1
    assert "elsewhere.example" in unknown.stdout
    assert json.loads(offline.stdout)["ways"][0]["first_no"] is None
