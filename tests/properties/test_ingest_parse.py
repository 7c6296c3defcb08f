from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from hypothesis import HealthCheck, assume, example, given, settings, strategies as st

from ingest.parse import Document, Entry, ParsedFeed, parse, to_json
from ingest.parse.dates import read_date
from ingest.parse.plain import plain_text, tidy
from ingest.parse.prepass import mend
from tocsin.errors import FeedUnreadable

WORDS = st.text(
    alphabet=st.characters(
        blacklist_categories=("Cs", "Cc", "Cf", "Zl", "Zp", "Zs", "Cn", "Co"), blacklist_characters="&<>"
    ),
    min_size=1,
    max_size=20,
)
# fmt: off
PIECES = st.sampled_from([
    "<rss>", "</rss>", "<channel>", "</channel>", "<item>", "</item>", "<title>", "</title>", "<link>", "<guid>x",
    "<description>", "</description>", "<![CDATA[", "]]>", "<!--", "-->", "&eacute;", "&", "&#0;", "&#x110000;",
    "<feed xmlns='http://www.w3.org/2005/Atom'>", "<entry>", "</entry>", "</feed>", "<a:b>", "<!DOCTYPE rss [", "]>",
    "<!ENTITY a 'b'>", "<?xml version='1.0' encoding='utf-16'?>", "<?xml", "?>", "<pubDate>5 Mar 2026</pubDate>",
    '"items":[', '{"id":1}', "text", "\x00", "\ufeff", "é", "<p", '"', "'", ">", "<script>", "xml:base='http://[/'",
    "<link href='http://[x'/>", "<ttl>99999999999</ttl>", "{", "}", "&#146;",
])
# fmt: on
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32", "cp1252", "utf-7"])


def entries_or_refusal(body: bytes, kind: str) -> None:
    document = Document(body=body, url="http://news.example/feed", content_type=kind)
    try:
        feed = parse(document)
    except FeedUnreadable:
        return
    assert isinstance(feed, ParsedFeed)
    assert pickle.loads(pickle.dumps(feed)) == feed  # noqa: S301 — our own bytes
    json.dumps(to_json(feed))
    for entry in feed.entries:
        for moment in (entry.published, entry.updated):
            assert moment is None or moment.tzinfo is UTC


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    pieces=st.lists(PIECES, max_size=25), encoding=ENCODINGS, kind=st.sampled_from(["", "text/xml; charset=latin-1"])
)
@example(pieces=["<!DOCTYPE rss [", "<!ENTITY a 'b'>"], encoding="utf-8", kind="")
def test_tag_soup_is_a_feed_or_is_refused(pieces: list[str], encoding: str, kind: str) -> None:
    entries_or_refusal("".join(pieces).encode(encoding, "replace"), kind)


@settings(deadline=None)
@given(body=st.binary(max_size=200), kind=st.sampled_from(["", "application/json", "text/xml; charset=rot13"]))
def test_any_bytes_are_a_feed_or_are_refused(body: bytes, kind: str) -> None:
    entries_or_refusal(body, kind)


@settings(deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "url", "title", "authors", "author", "name", "content_html", "date_published", "tags"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_json_of_any_shape_is_a_feed_or_is_refused(items: object) -> None:
    entries_or_refusal(json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items}).encode(), "")


@settings(deadline=None)
@given(titles=st.lists(WORDS, min_size=1, max_size=6), summary=WORDS, encoding=st.sampled_from(["utf-8", "utf-16"]))
def test_what_a_publisher_wrote_is_what_is_read(titles: list[str], summary: str, encoding: str) -> None:
    items = "".join(
        f"<item><title>{t}</title><description><![CDATA[<p>{summary}</p>]]></description></item>" for t in titles
    )
    body = f"<rss version='2.0'><channel><title>T</title>{items}</channel></rss>".encode(encoding)

    feed = parse(Document(body=body))

    assert [entry.title for entry in feed.entries] == [tidy(title) for title in titles]
    assert {entry.summary for entry in feed.entries} == {tidy(summary)}


@settings(deadline=None)
@given(titles=st.lists(WORDS, min_size=1, max_size=4))
def test_both_paths_read_the_same(titles: list[str]) -> None:
    assume(not any(looks_encoded_twice(title) for title in titles))  # feedparser undoes that, on suspicion
    whole = "".join(
        f"<item><title>{escape(t)}</title><guid>{n}</guid><link>http://n.example/{n}</link></item>"
        for n, t in enumerate(titles)
    )
    good = f"<rss version='2.0'><channel><title>T</title>{whole}</channel></rss>"
    bad = good.replace("</channel>", "")

    fast, slow = (parse(Document(body=text.encode())) for text in (good, bad))

    assert [named(entry) for entry in fast.entries] == [named(entry) for entry in slow.entries]


def looks_encoded_twice(text: str) -> bool:
    try:
        return text.encode("latin-1").decode() != text
    except UnicodeError:
        return False


def named(entry: Entry) -> tuple[str | None, str | None, str]:
    return entry.id, entry.url, entry.title


@given(
    moment=st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001 — the strategy adds it
    shape=st.sampled_from(
        [
            "%Y-%m-%dT%H:%M:%SZ",
            "%a, %d %b %Y %H:%M:%S GMT",
            "%d.%m.%Y %H:%M:%S",
            "%d %B %Y %H:%M:%S +0000",
            "%Y%m%dT%H%M%S",
        ]
    ),
)
def test_a_date_is_read_back_in_every_usual_form(moment: datetime, shape: str) -> None:
    assert read_date(moment.strftime(shape)) == moment.replace(microsecond=0)


@given(
    moment=st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 30)),  # noqa: DTZ001 — a wall clock on purpose
    minutes=st.integers(-14 * 60, 14 * 60),
)
def test_an_offset_counts(moment: datetime, minutes: int) -> None:
    sign, ahead = "-" if minutes < 0 else "+", abs(minutes)
    told = f"{moment:%Y-%m-%dT%H:%M:%S}{sign}{ahead // 60:02}:{ahead % 60:02}"

    expected = moment.replace(microsecond=0, tzinfo=UTC) - timedelta(minutes=minutes)

    assert read_date(told) == expected


@given(st.text(max_size=120) | st.text(alphabet="0123456789-:/., TZ+janmfebuärzمايو", max_size=60))
def test_no_text_breaks_the_date_layer(text: str) -> None:
    read = read_date(text)

    assert read is None or (read.tzinfo is UTC and 1970 <= read.year <= 2100)


@given(st.text(max_size=300) | st.lists(PIECES, max_size=20).map("".join))
def test_plain_text_has_no_loose_space_and_is_stable(html: str) -> None:
    text = plain_text(html)

    assert text == text.strip()
    assert "  " not in text
    assert tidy(text.replace("\n", " ")) == text.replace("\n", " ")


@given(st.lists(PIECES, max_size=20).map("".join))
def test_mending_leaves_only_what_xml_knows(text: str) -> None:
    try:
        mended = mend(text.encode(), "").text
    except FeedUnreadable:
        return

    assert "\x00" not in mended
    assert not mended.lower().startswith("<!doctype")
