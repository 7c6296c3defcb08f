"""What a feed may say must fit into either store."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ingest import sources
from ingest.acceptance import accept
from ingest.identity import identify
from ingest.parse import Entry
from ingest.settings import Feed
from tocsin.records import Source
from tocsin.store.tx import Tx
from tocsin.testing import NOON

if TYPE_CHECKING:
    from collections.abc import Sequence

FEED = Feed(id="wire", url="https://wire.example/feed", source=Source(owner="Wire"))


def accepted(tx: Tx, entries: Sequence[Entry]) -> int:
    row = tx.ingest.feed(FEED.id)
    if row is None:
        tx.ingest.sync([sources.as_kept(FEED, paused=False)], {FEED.id: NOON})
        row = tx.ingest.feed(FEED.id)
    assert row is not None
    items = identify(FEED.id, entries)
    return accept(tx, FEED, row, items, language=None, now=NOON, backfill=False).new


def test_an_address_that_no_index_takes_costs_its_article_the_link_and_the_feed_nothing(tx: Tx) -> None:
    noise = random.Random(1)
    endless = "https://n.example/" + "".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9_000))
    entries = [
        Entry(id="g1", url="https://n.example/1", title="Eins"),
        Entry(id="g2", url=endless, title="Zwei"),
        Entry(url=endless + "/other", title="Drei"),
    ]

    first, again = accepted(tx, entries), accepted(tx, entries)

    assert (first, again) == (3, 0)
    kept = {row.title: row.url for row in tx.ingest.articles_of("wire")}
    assert kept == {"Eins": "https://n.example/1", "Zwei": "", "Drei": ""}
