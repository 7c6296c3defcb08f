"""The service as a cluster: a process for each part of the work, on a real broker and a real database."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.faults.harness import Service
from tests.faults.stage_door import has_opened, theatre, until_calm

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 240
PARTS = (("ingest",), ("detectors",), ("incidents", "notifier"), ("incidents", "notifier"), ("archive", "web"))


def cluster(kafka: str, postgresql: str) -> str:
    """Return the lines of the `tocsin` key that make a service one of a cluster of its own."""
    return (
        "  mode: cluster\n"
        "  workers: 1\n"
        f"  kafka: {{brokers: ['{kafka}'], prefix: 'c{uuid.uuid4().hex[:8]}-', replication: 1, partitions: 4}}\n"
        f"  postgresql: {{dsn: '{postgresql}'}}\n"
    )


@pytest.mark.timeout(LIMIT_S)
async def test_a_process_for_each_part_rings_as_one_service_would(tmp_path: Path, kafka: str, postgresql: str) -> None:
    async with theatre(tmp_path / "demo", main=cluster(kafka, postgresql)) as scene, AsyncExitStack() as houses:
        receivers = scene.place.config / "receivers.yaml"
        receivers.write_text(receivers.read_text("utf-8").replace("alerts.jsonl", str(scene.place.alerts)), "utf-8")
        main = scene.place.config / "tocsin.yaml"
        main.write_text(_anywhere(main.read_text("utf-8")), "utf-8")
        scene.place.data.mkdir()
        workers = [
            await houses.enter_async_context(
                Service(config=scene.place.config, data=tmp_path / f"{number}-{stages[0]}", stages=stages)
            )
            for number, stages in enumerate(PARTS)
        ]
        for worker in workers:
            await worker.start()
        for worker in workers:
            await worker.ready(60.0)

        async with asyncio.timeout(LIMIT_S):
            await scene.playback.backfill_read()
            while not await has_opened(scene):
                await asyncio.sleep(0.1)
            await scene.playback.run()
            await until_calm(scene)
        codes = await asyncio.gather(*(worker.stop() for worker in workers))

        assert scene.wrong() == []
        assert scene.repeats().total() == 0
        assert not scene.strangers()
        assert set(codes) == {0}


def _anywhere(main: str) -> str:
    """Let every process listen where it finds room."""
    lines = [line for line in main.splitlines() if not line.strip().startswith("web:")]
    return "\n".join([*lines, "  web: {listen: '127.0.0.1:0'}", ""])
