"""Measure every speed claim beside a peer in the same run: medians, and the ratio, because machines are noisy.

    python -m bench [--runs N] [--corpus FILE.jsonl]

A corpus has lines with `title`, `text` and `lang`; without one the demo's story is read over and over, which is the
worst case for the detectors, since most of it matches.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sqlite3
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import feedparser
from rich.console import Console
from rich.table import Table

from bench.echo import same
from detectors.engine import prepare, read
from ingest.parse import Document, parse
from tocsin.demo.documents import written
from tocsin.demo.playback import Playback
from tocsin.demo.story import bundled
from tocsin.settings import load_settings
from tocsin.stream.codec import encode
from tocsin.testing import a_store, an_article
from tocsin.workers import Job, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin.records import Article
    from tocsin.store.tx import Tx

RECORDS = 2_000
UNIT = 50
DOCUMENTS = 200
ROUND_TRIPS = 400


def articles_of(corpus: Path | None) -> list[Article]:
    """Return at least `RECORDS` articles."""
    if corpus is not None:
        rows = [json.loads(line) for line in corpus.read_text("utf-8").splitlines()]
        texts = [(row.get("title") or "", row.get("text") or "", row.get("lang")) for row in rows]
    else:
        texts = [(one.title, "\n\n".join((one.lead, *one.body)), one.outlet.language) for one in bundled().editions]
    texts = (texts * (RECORDS // len(texts) + 1))[: max(RECORDS, len(texts))]
    return [
        an_article(url=f"https://bench.example/{n}", title=title, text=text, language=language)
        for n, (title, text, language) in enumerate(texts)
    ]


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


def our_detectors(articles: Sequence[Article]) -> float:
    """Read articles on one core; return articles a second."""
    engine = prepare(load_settings(None, data_dir=Path()).detectors)
    for article in articles[:50]:
        read(engine, article)
    started = time.perf_counter()
    for article in articles:
        read(engine, article)
    return len(articles) / (time.perf_counter() - started)


def alternation(articles: Sequence[Article]) -> float:
    """Look for the same words with one compiled alternation of the standard library, understanding nothing."""
    lexicons = load_settings(None, data_dir=Path()).detectors.lexicons
    words = {
        entry.strip("=*!").lower() for lexicon in lexicons for entries in lexicon.classes.values() for entry in entries
    }
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + ")")
    some = articles[: max(20, len(articles) // 40)]
    started = time.perf_counter()
    for article in some:
        pattern.findall(f"{article.title}\n{article.text}".lower())
    return len(some) / (time.perf_counter() - started)


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


def main() -> None:
    """Run all of it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--corpus", type=Path)
    arguments = parser.parse_args()
    articles = articles_of(arguments.corpus)
    values = [(article.id, encode(article)) for article in articles]
    bodies = _documents()
    claims = (
        ("store: records emitted, durably", "records/s", partial(our_store, values)),
        ("detectors: articles read, one core", "articles/s", partial(our_detectors, articles)),
        ("parser: feed documents, one core", "documents/s", partial(our_parser, bodies)),
        ("children: small record there and back", "trips/s", partial(our_children, None)),
    )
    peers: tuple[tuple[str, Callable[[], float]], ...] = (
        ("a commit a record", partial(plain_sqlite, values)),
        ("re alternation", partial(alternation, articles)),
        ("feedparser", partial(feedparser_alone, bodies)),
        ("ProcessPoolExecutor", partial(executor, None)),
    )
    table = Table(title=f"medians of {arguments.runs} runs, ours and the peer in turn")
    for name in ("what", "ours", "peer", "", "ratio"):
        table.add_column(name)
    console = Console()
    for (what, unit, ours), (peer_name, peer) in zip(claims, peers, strict=True):
        pairs = []
        for run in range(arguments.runs):
            console.print(f"[dim]{what}: run {run + 1}[/]", end="\r")
            pairs.append((ours(), peer()))
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        table.add_row(what, f"{mine:,.0f} {unit}", f"{theirs:,.0f} {unit}", peer_name, f"{ratio:.2f} ×")
    console.print(table)


if __name__ == "__main__":
    main()
