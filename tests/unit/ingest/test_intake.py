from __future__ import annotations

import json

from hypothesis import given, strategies as st

from ingest.intake import Intake, Request, take_in
from ingest.parse import Document


def taken(**entry: str) -> Intake:
    feed = {"version": "https://jsonfeed.org/version/1.1", "title": "T", "items": [entry]}
    document = Document(body=json.dumps(feed).encode(), content_type="application/feed+json")
    intake = take_in(None, Request(feed="f", document=document))
    assert isinstance(intake, Intake)
    return intake


def test_characters_that_no_database_keeps_are_left_out_of_an_article() -> None:
    (item,) = taken(
        id="a\x00", url="https://n.example/\x00a", title="3 killed\x00 in Narva", content_text="by a\x00 bomb"
    ).items

    entry = item.entry
    assert (entry.id, entry.url, entry.title) == ("a", "https://n.example/a", "3 killed in Narva")
    assert (
        item == taken(id="a", url="https://n.example/a", title="3 killed in Narva", content_text="by a bomb").items[0]
    )


@given(text=st.text(st.characters(codec="utf-8"), min_size=1))
def test_whatever_a_feed_says_can_be_stored(text: str) -> None:
    for item in taken(id=text, title="t", url="https://n.example/a", content_text=text).items:
        told = "".join((item.url, item.entry.id or "", item.entry.title, item.entry.summary, item.entry.text))

        assert "\x00" not in told
        assert told.encode()
