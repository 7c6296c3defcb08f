"""Workers in processes of their own, and a flow of records for them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from tests.kafka.houses import KafkaHouse
from tocsin.store.tx import Tx
from tocsin.stream.port import ARTICLES

EVERY_S = 0.01


class Crew:
    """Workers, and what each of them has said."""

    def __init__(self, folder: Path, dsn: str, house: KafkaHouse, *words: str) -> None:
        self.folder = folder
        self.arguments = [dsn, house.settings.model_dump_json(), *words]
        self.workers: list[subprocess.Popen[bytes]] = []

    async def hire(self) -> subprocess.Popen[bytes]:
        """Start one more and return when it works."""
        file = self.folder / f"worker-{len(self.workers)}"
        with file.open("wb") as out, file.with_suffix(".log").open("wb") as log:
            worker = subprocess.Popen(  # noqa: ASYNC220 — a test may wait for a fork
                [sys.executable, "-m", "tests.kafka.worker", *self.arguments], stdout=out, stderr=log
            )
        self.workers.append(worker)
        async with asyncio.timeout(30):
            while not file.stat().st_size:
                assert worker.poll() is None, file.with_suffix(".log").read_text()
                await asyncio.sleep(0.02)
        return worker

    def said(self) -> list[tuple[float, int, str]]:
        """What all of them have worked on: when, in which partition, what."""
        lines = [line for file in self.folder.glob("worker-?") for line in file.read_text().splitlines()]
        found = [line.split() for line in lines if line.count(" ") == 2]
        return sorted((float(at), int(partition), name) for at, partition, name in found)

    def dismiss(self) -> None:
        """End all of them."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait(10)


@contextlib.contextmanager
def a_crew(folder: Path, dsn: str, house: KafkaHouse, *words: str) -> Iterator[Crew]:
    crew = Crew(folder, dsn, house, *words)
    try:
        yield crew
    finally:
        crew.dismiss()


@asynccontextmanager
async def flowing(house: KafkaHouse) -> AsyncIterator[list[str]]:
    """Put records out all the time, to every partition."""
    put: list[str] = []
    enough = asyncio.Event()

    async def flow() -> None:
        while not enough.is_set():  # and not cancelled: nobody would know whether the last one was written
            name = f"r{len(put)}"
            await house.store.write(partial(emit, name=name))
            put.append(name)
            await asyncio.sleep(EVERY_S)

    task = asyncio.ensure_future(flow())
    try:
        yield put
    finally:
        enough.set()
        await task


def emit(tx: Tx, *, name: str) -> None:
    tx.emit(ARTICLES, key=name, record_id=name, value=name.encode())
