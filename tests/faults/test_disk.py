"""A disk that is really full and one that really turned read-only: nothing more is accepted, one is told, it heals."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.faults.test_kills import Scene, check, progress, scene, waiting
from tocsin.stream.port import ARTICLES

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SOON_S = 20.0
HEALED_S = 40.0


@contextmanager
def mounted(folder: Path, *what: str) -> Iterator[Path]:
    """Mount a disk of our own, or leave the test out where we may not."""
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", *what, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"left out: no disk can be mounted here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
    return ballast


async def ready(acted: Scene) -> tuple[int, str]:
    return await acted.service.get("/readyz")


async def until(acted: Scene, status: int, limit_s: float) -> str:
    last = ""
    try:
        async with asyncio.timeout(limit_s):
            while True:
                found, last = await ready(acted)
                if found == status:
                    return last
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"/readyz is not {status}: {last}") from None


async def begun(acted: Scene) -> None:
    """Start, and let every feed be read once and forty articles come through."""
    await acted.service.start_and_wait()
    async with asyncio.timeout(60):
        while acted.ledger.count("SELECT count(*) FROM feeds WHERE first_ok_at IS NOT NULL") < acted.room.feeds:
            await asyncio.sleep(0.1)
    acted.room.publish(40)
    await all_through(acted)


async def all_through(acted: Scene) -> None:
    async with asyncio.timeout(HEALED_S):
        while acted.accepted() < acted.room.published:
            await asyncio.sleep(0.2)
        last = -1
        while last != (last := progress(acted.ledger)) or waiting(acted.ledger):
            await asyncio.sleep(1.0)


async def metric(acted: Scene, name: str) -> float:
    _, text = await acted.service.get("/metrics")
    return next(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


async def test_a_full_disk_is_told_and_everything_comes_when_there_is_room_again(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=48m", "tmpfs") as disk:
        async with scene(disk / "house", Random(7)) as acted:
            acted.service.log_elsewhere = tmp_path / "service.log"
            await begun(acted)

            ballast = fill(disk)
            acted.room.publish(400)
            told = await until(acted, 503, SOON_S)
            held_back = acted.accepted()
            full = await metric(acted, 'tocsin_store_trouble{kind="full"}')
            await asyncio.sleep(3)
            ballast.unlink()
            await until(acted, 200, SOON_S)
            await all_through(acted)

            assert "in trouble (full)" in told
            assert full == 1.0
            assert held_back < acted.room.published
            assert await metric(acted, 'tocsin_store_trouble{kind="full"}') == 0.0
            lines = acted.service.lines()
            assert [line["event"] for line in lines].count("store recovered") >= 1
            assert len([line for line in lines if line["level"] in ("warning", "error")]) < 100
            assert await acted.service.stop() == 0
            (tmp_path / "anew").mkdir()
            await check(acted, kills=0, scratch=tmp_path / "anew")


@pytest.mark.chaos
async def test_a_disk_that_turned_read_only_is_told_and_nothing_accepted_is_lost(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    if subprocess.run(["mkfs.ext4", "-q", str(image)], capture_output=True, check=False).returncode:
        pytest.skip("left out: no mkfs.ext4 here")
    async with scene(tmp_path / "house", Random(8)) as acted:
        with mounted(tmp_path / "disk", "-o", "loop", str(image)) as disk:
            acted.service.data = disk / "data"
            acted.service.log_elsewhere = tmp_path / "service.log"
            await begun(acted)
            # What the kernel does to a file system whose disk fails.
            subprocess.run(["mount", "-o", "remount,abort", str(disk)], check=True)
            acted.room.publish(100)
            told = await until(acted, 503, SOON_S)
            assert "in trouble (unavailable)" in told
            assert await metric(acted, 'tocsin_store_trouble{kind="unavailable"}') == 1.0
            accepted = acted.accepted()
            began = time.monotonic()
            assert await acted.service.stop() == 0
            assert time.monotonic() - began < 10
        subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True, check=False)

        with mounted(tmp_path / "again", "-o", "loop", str(image)) as disk:
            acted.service.data = disk / "data"
            assert acted.ledger.count("SELECT count(*) FROM stream_records WHERE topic = ?", ARTICLES) >= accepted
            await acted.service.start_and_wait()
            await all_through(acted)
            assert await acted.service.stop() == 0
            (tmp_path / "anew").mkdir()
            await check(acted, kills=1, scratch=tmp_path / "anew")


async def test_a_read_only_disk_at_the_start_is_named_and_the_process_ends(tmp_path: Path) -> None:
    async with scene(tmp_path / "house", Random(9)) as acted:
        with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m,ro", "tmpfs") as disk:
            acted.service.data = disk / "data"
            acted.service.log_elsewhere = tmp_path / "service.log"

            await acted.service.start()
            assert await acted.service.ended(20)

            assert acted.service.process is not None
            assert acted.service.process.returncode == 2
            last = (tmp_path / "service.log").read_text("utf-8").splitlines()[-1]
            assert "data directory" in last
            assert "Read-only file system" in last


@pytest.mark.chaos
async def test_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=48m", "tmpfs") as disk:
        async with scene(disk / "house", Random(10)) as acted:
            acted.service.log_elsewhere = tmp_path / "service.log"
            await begun(acted)
            assert await acted.service.stop() == 0
            ballast = fill(disk)

            await acted.service.start()
            line = await acted.service.logged("waiting for the store")
            still_there = not await acted.service.ended(2)
            ballast.unlink()
            await acted.service.ready()
            acted.room.publish(40)
            await all_through(acted)

            assert still_there
            assert "full" in json.dumps(line)
            assert await acted.service.stop() == 0
            assert any((disk / "house" / "data" / "archive").iterdir())
