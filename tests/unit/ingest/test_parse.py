from __future__ import annotations

import codecs
import json
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from ingest.parse import Document, Entry, ParsedFeed, parse, to_json
from ingest.parse.choice import Verdict, judge
from ingest.parse.dates import read_date
from ingest.parse.plain import plain_text
from tocsin.errors import FeedUnreadable


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]  # year, month, day and so on


def read(body: str | bytes, *, kind: str = "", url: str = "http://news.example/feed") -> ParsedFeed:
    return parse(Document(body=body.encode() if isinstance(body, str) else body, url=url, content_type=kind))


def item(inside: str) -> Entry:
    (entry,) = read(f"<rss version='2.0'><channel><title>T</title><item>{inside}</item></channel></rss>").entries
    return entry


RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel><title>Nordblatt</title><link>https://nord.example/</link><language>de</language><ttl>15</ttl>
<item><title><![CDATA[Drei Tote in <b>Narva</b>]]></title><link>/a?x=1&amp;y=2</link>
<guid isPermaLink="false">nb-1</guid>
<description>&lt;p&gt;Bei Unruhen&lt;/p&gt;&lt;p&gt;starben drei.&lt;/p&gt;</description>
<content:encoded><![CDATA[<p>Der ganze Text.</p><script>no()</script>]]></content:encoded>
<pubDate>Mi, 04 März 2026 10:00:00 +0100</pubDate><dc:creator>M. Tamm</dc:creator></item>
</channel></rss>"""

RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:sy="http://purl.org/rss/1.0/modules/syndication/">
<channel rdf:about="http://n.example/"><title>N</title><link>http://n.example/</link>
<sy:updatePeriod>hourly</sy:updatePeriod><sy:updateFrequency>4</sy:updateFrequency></channel>
<item rdf:about="urn:1"><title>One</title><link>http://n.example/1</link>
<dc:date>2026-03-04T10:00:00+01:00</dc:date></item>
<item rdf:about="urn:2"><title>Two</title><link>http://n.example/2</link></item></rdf:RDF>"""

ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en" xml:base="http://a.example/x/">
<title type="html">A &amp;amp; B</title><link rel="self" href="feed.atom"/><link href="home"/>
<entry xml:base="sub/"><id>tag:a.example,2026:1</id>
<title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Three <em>dead</em></div></title>
<link rel="enclosure" href="sound.mp3"/><link rel="alternate" type="text/html" href="one"/>
<published>2026-03-04T10:00:00Z</published><updated>2026-03-04T11:30:00.5+01:00</updated>
<author><name>A. Writer</name></author><author><name>B. Writer</name></author>
<summary>1 &lt; 2</summary><content type="html">&lt;p&gt;Body&lt;/p&gt;</content></entry></feed>"""

ATOM03 = """<feed version="0.3" xmlns="http://purl.org/atom/ns#"><title>Old</title>
<entry><id>x</id><title mode="escaped" type="text/html">&lt;i&gt;Old&lt;/i&gt; news</title>
<link rel="alternate" type="text/html" href="http://o.example/1"/><issued>2003-12-13T08:29:29-04:00</issued>
<modified>2003-12-14T08:29:29Z</modified></entry></feed>"""

JSON = {
    "version": "https://jsonfeed.org/version/1.1",
    "title": "J",
    "home_page_url": "https://j.example/",
    "language": "ru",
    "items": [
        {
            "id": 7,
            "url": "/7",
            "title": "Взрыв",
            "content_html": "<p>Погибли <b>трое</b></p>",
            "summary": "Кратко",
            "date_published": "2026-03-04T10:00:00+03:00",
            "authors": [{"name": "И. Автор"}],
        },
        {"id": "8", "content_text": "only text", "author": {"name": "Old form"}},
    ],
}


def test_rss_is_read_whole() -> None:
    feed = read(RSS)

    assert (feed.title, feed.url, feed.language, feed.every) == (
        "Nordblatt",
        "https://nord.example/",
        "de",
        timedelta(minutes=15),
    )
    assert feed.entries == (
        Entry(
            id="nb-1",
            url="http://news.example/a?x=1&y=2",
            title="Drei Tote in Narva",
            summary="Bei Unruhen\nstarben drei.",
            text="Der ganze Text.",
            published=at(2026, 3, 4, 9),
            authors=("M. Tamm",),
            language="de",
        ),
    )
    assert feed.warnings == ()


def test_rdf_is_read_whole() -> None:
    feed = read(RDF)

    assert [(entry.id, entry.title, entry.url) for entry in feed.entries] == [
        ("urn:1", "One", "http://n.example/1"),
        ("urn:2", "Two", "http://n.example/2"),
    ]
    assert feed.entries[0].updated == at(2026, 3, 4, 9)
    assert feed.every == timedelta(minutes=15)


def test_atom_is_read_whole() -> None:
    feed = read(ATOM)

    assert (feed.title, feed.url) == ("A & B", "http://a.example/x/home")
    assert feed.entries == (
        Entry(
            id="tag:a.example,2026:1",
            url="http://a.example/x/sub/one",
            title="Three dead",
            summary="1 < 2",
            text="Body",
            published=at(2026, 3, 4, 10),
            updated=at(2026, 3, 4, 10, 30),
            authors=("A. Writer", "B. Writer"),
            language="en",
        ),
    )


def test_old_atom_is_read_as_well() -> None:
    (entry,) = read(ATOM03).entries

    assert (entry.title, entry.url) == ("Old news", "http://o.example/1")
    assert (entry.published, entry.updated) == (at(2003, 12, 13, 12, 29, 29), at(2003, 12, 14, 8, 29, 29))


def test_json_feed_is_read_whole() -> None:
    feed = read(json.dumps(JSON), kind="application/feed+json", url="https://j.example/feed.json")

    first, second = feed.entries
    assert first == Entry(
        id="7",
        url="https://j.example/7",
        title="Взрыв",
        summary="Кратко",
        text="Погибли трое",
        published=at(2026, 3, 4, 7),
        authors=("И. Автор",),
        language="ru",
    )
    assert (second.summary, second.authors) == ("only text", ("Old form",))


def test_the_form_for_other_programs_has_every_field() -> None:
    told = to_json(read(RSS))

    assert told["feed"] == {"title": "Nordblatt", "url": "https://nord.example/", "language": "de"}
    assert told["entries"][0]["published"] == "2026-03-04T09:00:00Z"
    assert list(told["entries"][0]) == [
        "id",
        "url",
        "title",
        "summary",
        "text",
        "published",
        "updated",
        "authors",
        "language",
    ]
    assert told["warnings"] == []


def test_undeclared_entities_cut_nothing_off() -> None:
    entry = item(
        "<title>Caf&eacute; attack &ndash; 5 dead</title><description>A &amp; B &unknown; C & D&nbsp;E</description>"
    )

    assert entry.title == "Café attack – 5 dead"
    assert entry.summary == "A & B &unknown; C & D E"


def test_entities_inside_cdata_are_html_and_stay_it() -> None:
    assert item("<title><![CDATA[a &lt; b &eacute; &amp;amp; <i>c</i>]]></title>").title == "a < b é &amp; c"


def test_the_windows_control_range_is_what_its_writers_meant() -> None:
    assert item("<title>&#147;Quoted&#148; &#150; &#0;text</title>").title == "“Quoted” – text"


@pytest.mark.parametrize(
    ("head", "encoding", "kind"),
    [
        ('<?xml version="1.0"?>', "utf-8", ""),
        ('<?xml version="1.0" encoding="iso-8859-1"?>', "utf-8", "text/xml; charset=windows-1251"),
        ('<?xml version="1.0" encoding="windows-1251"?>', "cp1251", ""),
        ("", "cp1251", 'text/xml; charset="windows-1251"'),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-16", ""),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-16-le", ""),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-16-be", ""),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-8", ""),
        ('<?xml version="1.0" encoding="utf-8"?>', "utf-8-sig", "text/xml"),
        ('<?xml version="1.0" encoding="koi8-r"?>', "koi8-r", "text/xml; charset=utf-8"),
        ('<?xml version="1.0" encoding="utf-32"?>', "utf-32", ""),
    ],
)
def test_the_letters_are_right_whatever_is_claimed(head: str, encoding: str, kind: str) -> None:
    body = f"{head}<rss><channel><title>Т</title><item><title>Трое погибли</title></item></channel></rss>"

    (entry,) = read(body.encode(encoding), kind=kind).entries

    assert entry.title == "Трое погибли"


def test_a_declared_seven_bit_encoding_is_believed() -> None:
    head = "<?xml version='1.0' encoding='iso-2022-jp'?>"
    body = f"{head}<rss><channel><item><title>地震で死者</title></item></channel></rss>"

    assert read(body.encode("iso-2022-jp")).entries[0].title == "地震で死者"


def test_one_broken_byte_spoils_one_letter() -> None:
    body = "<rss><channel><item><title>Größe und Straße im Süden</title></item></channel></rss>".encode()

    feed = read(body.replace("ü".encode(), b"\xfc"))

    assert feed.entries[0].title == "Größe und Straße im S\ufffdden"
    assert "broken UTF-8" in feed.warnings[0]


def test_junk_before_the_document_is_stepped_over() -> None:
    assert read(codecs.BOM_UTF8 + b"\n\n  oops " + RSS.encode()).entries[0].id == "nb-1"


@pytest.mark.parametrize(
    ("guid", "url"),
    [
        ("<guid>http://n.example/1</guid>", "http://n.example/1"),
        ("<guid isPermaLink='true'>/1</guid>", "http://news.example/1"),
        ("<guid isPermaLink='false'>abc</guid>", None),
        ("<guid isPermaLink='false'>http://n.example/1</guid>", "http://n.example/1"),
        ("<guid>abc</guid><link>  http://n.example/\n2 </link>", "http://n.example/2"),
        ("<atom:link xmlns:atom='http://www.w3.org/2005/Atom' href='/3'/>", "http://news.example/3"),
        ("<link>http://[broken</link>", "http://[broken"),
        ("<link>//[broken</link>", None),
    ],
)
def test_the_link_is_found_where_it_stands(guid: str, url: str | None) -> None:
    assert item(f"<title>t</title>{guid}").url == url


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Wed, 04 Mar 2026 10:00:00 +0100", at(2026, 3, 4, 9)),
        ("Wed, 4 Mar 26 10:00 EST", at(2026, 3, 4, 15)),
        ("Wed Mar  4 10:00:00 PST 2026", at(2026, 3, 4, 18)),
        ("2026-03-04", at(2026, 3, 4)),
        ("20260304T100000Z", at(2026, 3, 4, 10)),
        ("2026-03-04 10:00:00.123 +0530", at(2026, 3, 4, 4, 30)),
        ("2026-03-04T24:00:00Z", at(2026, 3, 5)),
        ("2026-06-30T23:59:60Z", at(2026, 6, 30, 23, 59, 59)),
        ("1772618400", at(2026, 3, 4, 10)),
        ("March 4, 2026 3:05 p.m.", at(2026, 3, 4, 15, 5)),
        ("3/25/2026 12:05 AM", at(2026, 3, 25, 0, 5)),
        ("Mi, 04 Mär 2026 10:00:00 MEZ", at(2026, 3, 4, 9)),
        ("Mittwoch, 4. März 2026 - 10:00 Uhr", at(2026, 3, 4, 10)),
        ("04.03.2026 10:00", at(2026, 3, 4, 10)),
        ("среда, 4 марта 2026 г., 10:00 MSK", at(2026, 3, 4, 7)),
        ("Ср, 04 мар 2026 10:00:00 +0300", at(2026, 3, 4, 7)),
        ("mardi 3 août 2026 à 10h05", at(2026, 8, 3, 10, 5)),
        ("mar., 3 nov. 2026 10:05:00 +0100", at(2026, 11, 3, 9, 5)),
        ("miércoles, 4 de marzo de 2026, 10:00", at(2026, 3, 4, 10)),
        ("середа, 4 березня 2026, 10:00", at(2026, 3, 4, 10)),
        ("4 червня 2026", at(2026, 6, 4)),
        ("4 липня 2026", at(2026, 7, 4)),
        ("mercoledì 4 giugno 2026 ore 10:00", at(2026, 6, 4, 10)),
        ("4 de março de 2026 às 10h00", at(2026, 3, 4, 10)),
        ("4 Ağustos 2026 Pazar 10:00", at(2026, 8, 4, 10)),
        ("4 października 2026", at(2026, 10, 4)),
        ("4 maja 2026 10:00", at(2026, 5, 4, 10)),
        ("٤ مارس ٢٠٢٦ ١٠:٠٠", at(2026, 3, 4, 10)),
        ("4 كانون الثاني 2026", at(2026, 1, 4)),
        ("4 كانون الأول 2026", at(2026, 12, 4)),
        ("0001-01-01T00:00:00", None),
        ("9999-12-31T23:59:59Z", None),
        ("31 Feb 2026", None),
        ("yesterday", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_dates_are_read_in_the_languages_of_the_world(raw: str, expected: datetime | None) -> None:
    assert read_date(raw) == expected


def test_an_absurd_date_hides_no_article() -> None:
    entry = item("<title>News</title><pubDate>soon</pubDate><guid>1</guid>")

    assert (entry.title, entry.published) == ("News", None)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a <b>bold</b> word", "a bold word"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("one<br/>two<br>\n three", "one\ntwo\nthree"),
        ("x < y and 3 > 2", "x < y and 3 > 2"),
        ("AT&amp;T &lt;b&gt;", "AT&T <b>"),
        ('<img alt="a > b">after', "after"),
        ("<a title=it's>link</a>", "link"),
        ("<!-- hidden -->seen<script>alert('<p>')</script>", "seen"),
        ("<!-- never closed <p>still news</p>", "never closed\nstill news"),
        ("Sol\u00adda\u200bten", "Soldaten"),
        ("line\nwrapped", "line wrapped"),
        ("<h:p>a</h:p>b", "a\nb"),
    ],
)
def test_html_becomes_what_a_reader_sees(html: str, text: str) -> None:
    assert plain_text(html) == text


def test_broken_markup_goes_the_forgiving_way() -> None:
    whole = "<item><title>One</title><description>a <b>b</description></item><item><title>Two</title></item>"

    feed = read(f"<rss><channel><title>T</title>{whole}")

    assert [entry.title for entry in feed.entries] == ["One", "Two"]
    assert any("forgiving" in warning for warning in feed.warnings)


def test_a_document_that_names_more_entries_than_were_read_is_doubted() -> None:
    one = ParsedFeed(entries=(Entry(title="a"),))

    assert judge(None, "") is Verdict.BROKEN
    assert judge(one, "<item>") is Verdict.GOOD
    assert judge(one, "<item><item>") is Verdict.FEWER
    assert judge(ParsedFeed(), "<entry>") is Verdict.EMPTY
    assert judge(one, "<item><![CDATA[<item>]]><!-- <item> -->") is Verdict.GOOD
    assert judge(ParsedFeed(entries=(Entry(id="1"),)), "<item>") is Verdict.HOLLOW
    assert judge(ParsedFeed(), "<channel/>") is Verdict.GOOD


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"just text",
        b"<!DOCTYPE html><html><body>no feed</body></html>",
        b"<html><head><title>x</title></head></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"{}",
        b"[1, 2]",
        b'{"items": 3}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
def test_what_is_no_feed_is_refused(body: bytes) -> None:
    with pytest.raises(FeedUnreadable):
        read(body)


LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))


@pytest.mark.parametrize(
    "body",
    [
        f"<!DOCTYPE rss [<!ENTITY l0 'lol'>{LAUGHS}]><rss><channel><title>&l9;</title></channel></rss>",
        "<!DOCTYPE r [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><rss><channel><title>&x;</title></channel></rss>",
        f"<?xml version='1.0'?><!-- a -- b --> <?x <>?><!DOCTYPE rss [<!ENTITY a 'x'>{LAUGHS}]><rss>&l9;</rss>",
        f"<!DOCTYPE r [<!ENTITY x '{'y' * 100_000}'>]><rss><channel><title>&x;</title></channel></rss>",
        "<rss>" + "<a>" * 100_000,
        "<rss><channel><item>" + "<a>" * 100_000 + "</a>" * 100_000 + "</item></channel></rss>",
        "<rss><channel>" + "<item/>" * 400_000 + "</channel></rss>",
    ],
)
def test_a_bomb_is_refused_without_going_off(body: str) -> None:
    tracemalloc.start()

    with pytest.raises(FeedUnreadable):
        read(body)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000_000


def test_a_harmless_doctype_is_stepped_over() -> None:
    doctype = (
        '<!DOCTYPE rss PUBLIC "-//Netscape//DTD RSS 0.91//EN" "http://x.example/rss.dtd" [<!ENTITY me "M &amp; Co">]>'
    )

    (entry,) = read(
        f"<?xml version='1.0'?>{doctype}<rss><channel><item><title>&me;</title></item></channel></rss>"
    ).entries

    assert entry.title == "M & Co"


@pytest.mark.parametrize("path", [b"/etc/passwd", b"http://127.0.0.1:1/", b"file:///etc/passwd"])
def test_bytes_that_look_like_a_path_are_never_opened(path: bytes) -> None:
    with pytest.raises(FeedUnreadable, match="no tag"):
        read(path)
