"""Parts of the way, each beside a peer that does the same in a simpler way. Articles come from `bench.detecting`."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import feedparser

from bench.claim import Claim
from bench.detecting import articles_of
from bench.echo import same
from ingest.parse import Document, parse
from tocsin.app import AHEAD
from tocsin.demo.documents import written
from tocsin.demo.playback import Playback
from tocsin.demo.story import bundled
from tocsin.settings import load_settings
from tocsin.stages import PRELOAD
from tocsin.stages.detecting import GROUP, detecting_job
from tocsin.stream.codec import encode
from tocsin.testing import a_store
from tocsin.workers import Job, Pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.records import Article
    from tocsin.store.tx import Tx

SHARE = 0.02
UNIT = 50
DOCUMENTS = 200
ROUND_TRIPS = 400
PIECE = 200


def our_store(values: Sequence[tuple[str, bytes]]) -> float:
    """Emit records through the store, many units at once; return records a second."""

    async def emit() -> float:
        with tempfile.TemporaryDirectory() as folder:
            async with a_store(Path(folder)) as store:
                started = time.perf_counter()
                units = [partial(_emit, some=values[at : at + UNIT]) for at in range(0, len(values), UNIT)]
                await asyncio.gather(*(store.write(unit) for unit in units))
                return len(values) / (time.perf_counter() - started)

    return asyncio.run(emit())


def _emit(tx: Tx, *, some: Sequence[tuple[str, bytes]]) -> None:
    for name, value in some:
        tx.emit("articles.v1", key=name, record_id=name, value=value)


def plain_sqlite(values: Sequence[tuple[str, bytes]]) -> float:
    """Insert the same with a durable commit a record, as a simple program would."""
    with tempfile.TemporaryDirectory() as folder:
        conn = sqlite3.connect(Path(folder) / "peer.db")
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")
        conn.execute("CREATE TABLE records (name TEXT PRIMARY KEY, value BLOB)")
        started = time.perf_counter()
        for name, value in values:
            with conn:
                conn.execute("INSERT INTO records VALUES (?, ?)", (name, value))
        taken = time.perf_counter() - started
        conn.close()
    return len(values) / taken


def _documents() -> list[bytes]:
    playback = Playback(bundled())
    return [
        written(outlet, playback.window(outlet)) for outlet in playback.story.outlets if outlet.format != "jsonfeed"
    ]


def our_parser(bodies: Sequence[bytes]) -> float:
    """Parse documents on one core; return documents a second."""
    started = time.perf_counter()
    for n in range(DOCUMENTS):
        parse(Document(body=bodies[n % len(bodies)], url="https://bench.example/f", content_type=""))
    return DOCUMENTS / (time.perf_counter() - started)


def feedparser_alone(bodies: Sequence[bytes]) -> float:
    """Parse the same with feedparser."""
    started = time.perf_counter()
    for n in range(DOCUMENTS):
        feedparser.parse(bodies[n % len(bodies)])
    return DOCUMENTS / (time.perf_counter() - started)


def our_children(_: object) -> float:
    """One small record there and back, one at a time; return round trips a second."""

    async def ask() -> float:
        job = Job(function=same, argument=None, key="bench", deadline_s=5.0)
        async with Pool(size=1, memory_limit_bytes=2**30) as pool:
            await pool.map(job, [b"x"])
            started = time.perf_counter()
            for _ in range(ROUND_TRIPS):
                await pool.map(job, [b"x"])
            return ROUND_TRIPS / (time.perf_counter() - started)

    return asyncio.run(ask())


def executor(_: object) -> float:
    """Do the same through concurrent.futures, which knows neither deadline nor limit."""
    with ProcessPoolExecutor(1) as pool:
        pool.submit(same, None, b"x").result()
        started = time.perf_counter()
        for _ in range(ROUND_TRIPS):
            pool.submit(same, None, b"x").result()
        return ROUND_TRIPS / (time.perf_counter() - started)


def two_children(articles: Sequence[Article]) -> float:
    """Have two worker children read articles; return articles a second."""
    return asyncio.run(_read_by(2, articles))


def one_child(articles: Sequence[Article]) -> float:
    """Have one do it alone."""
    return asyncio.run(_read_by(1, articles))


async def _read_by(size: int, articles: Sequence[Article]) -> float:
    job = detecting_job(load_settings(None, data_dir=Path()).detectors)
    values = [encode(article) for article in articles]
    async with Pool(size=size, memory_limit_bytes=2**30, preload=PRELOAD) as pool:
        await pool.map(replace(job, deadline_s=60.0), values * 2)  # each child has met every language
        batches = (values[at : at + PIECE] for at in range(0, len(values), PIECE))

        async def ask() -> None:
            for batch in batches:
                await pool.map(job, batch)

        started = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(AHEAD[GROUP])))  # as many at once as the service has
        return len(values) / (time.perf_counter() - started)


def claims(corpus: Path | None) -> list[Claim]:
    """Return what is claimed, with the peers."""
    articles = articles_of(corpus, share=SHARE)
    values = [(article.id, encode(article)) for article in articles]
    bodies = _documents()
    return [
        Claim("store: records emitted, durably", "records/s", partial(our_store, values),
              "a commit a record", partial(plain_sqlite, values)),
        Claim("detectors: two children", "articles/s", partial(two_children, articles),
              "one child", partial(one_child, articles)),
        Claim("parser: feed documents, one core", "documents/s", partial(our_parser, bodies),
              "feedparser", partial(feedparser_alone, bodies)),
        Claim("children: small record there and back", "trips/s", partial(our_children, None),
              "ProcessPoolExecutor", partial(executor, None)),
    ]  # fmt: skip
