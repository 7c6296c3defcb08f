"""Nothing that a feed says is live at any sink."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import urlsplit

from hypothesis import example, given, settings, strategies as st
from typing_extensions import override

from notifier.channels.email import as_mail
from notifier.channels.file import json_line
from notifier.escaping import clean, cut_mrkdwn, for_html, for_mrkdwn, for_text, safe_url
from notifier.rendering import (
    BLOCKS_LIMIT,
    HEADER_LIMIT,
    SECTION_LIMIT,
    as_html,
    as_record,
    as_slack,
    as_text,
)
from notifier.telling import Message, tell
from tocsin.records import Alert, Attribution, Delivery, MessageKind, Sender, SourceRef, Speaker, Step
from tocsin.testing import NOON, an_alert

HOSTILE = (
    "<!channel>",
    "<!here|x>",
    "<@U123>",
    "<#C123>",
    "<https://evil.example|bank>",
    "<a href='javascript:alert(1)'>x</a>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</blockquote></div>",
    '" onmouseover="alert(1)',
    "https://evil.example/x",
    "HTTP://EVIL.EXAMPLE",
    "www.evil.example",
    "evil.example",
    "mailto:a@evil.example",
    "javascript:alert(1)",
    "tel:+15551234",
    "[bank](https://evil.example)",
    "@everyone",
    "@here",
    "a@evil.example",
    "\r\nBcc: all@evil.example\r\n\r\nbody",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\u200b\ufeff",
    "{{ 7 * 7 }}",
    "{% for x in range(9999999) %}x{% endfor %}",
    "{{ m.__class__.__mro__ }}",
    "\x1b[31mred\x1b[0m\x07",
    "\x00\x0c",
    "*bold* _it_ ~no~ `code` ```block```",
    "> quoted",
    "&lt;!channel&gt;",
    "|",
)
words = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12)), min_size=1, max_size=4).map(" ".join)
urls = st.one_of(
    st.sampled_from(
        (
            "https://news.example/1?a=b&c=<d>|e",
            "javascript:alert(1)",
            "data:text/html,<script>",
            "https://user:pass@evil.example",
            "https://evil.example\\@good.example/",
            "//evil.example",
            "file:///etc/passwd",
            "http://пример.example/путь",
            "https://news.example/\u202e",
            'https://news.example/"><script>',
            "https://[::1]/",
            "",
        )
    ),
    words,
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    base = an_alert()
    fact = replace(
        base.facts[0],
        type=draw(st.sampled_from(("deaths", "foreign_troops", "government_dismissal", "internet_shutdown"))),
        quote=draw(words),
        language=draw(st.sampled_from(("de", "ru", "xx", None))),
        country=draw(st.sampled_from(("KZ", "ZZ", None))),
        attribution=Attribution(speaker=Speaker.UNNAMED, who=draw(words)),
        senders=(Sender(code=draw(words), alliance=True, certainty=base.certainty),),
    )
    source = SourceRef(
        owner=draw(words),
        tier=base.sources[0].tier,
        url=draw(urls),
        title=draw(words),
        language=None,
        published_at=None,
        seen_at=NOON,
    )
    alert = replace(
        base,
        step=draw(st.sampled_from(Step)),
        places=(draw(words),),
        headline=draw(words),
        facts=(fact, replace(fact, changed=False)) if draw(st.booleans()) else (),
        sources=(source,) * draw(st.integers(0, 3)),
        urls=(draw(urls),),
    )
    return told(alert, kind=draw(st.sampled_from(MessageKind)), language=draw(st.sampled_from(("en", "de", "ru"))))


def told(alert: Alert, *, kind: MessageKind = MessageKind.ALERT, language: str = "en") -> Message:
    delivery = Delivery(
        key="0" * 32,
        receiver="desk",
        kind=kind,
        alerts=(alert.id,),
        subscription="all",
        language=language,
        cause="opening" if kind is MessageKind.DIGEST else "",
        next_try=NOON,
        created_at=NOON,
        seen_at=NOON,
    )
    return tell(delivery, [alert])


class Live(HTMLParser):
    """Collects what a browser or a mail client would obey."""

    ALLOWED = frozenset(
        "html head meta title body div h1 h2 p strong span blockquote ul li a".split()  # noqa: SIM905 - shorter so
    )

    def __init__(self) -> None:
        super().__init__()
        self.strange: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in self.ALLOWED or not set(given) <= {"style", "href", "rel", "lang", "charset", "name", "content"}:
            self.strange.append(f"{tag} {given}")
        if "href" in given:
            self.links.append(given["href"] or "")

    @override
    def handle_data(self, data: str) -> None:
        self.words.append(data)


LINK = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,20}:(?=[/\w])|(?<=\w)\.(?=[^\W\d_]{2,})|@(?=\w)")


@given(message=messages())
@settings(max_examples=150, deadline=None)
def test_html_holds_no_tag_attribute_or_link_of_a_feed(message: Message) -> None:
    page = Live()
    page.feed(as_html(message))

    assert page.strange == []
    for link in page.links:
        assert urlsplit(link).scheme in {"http", "https"}
        assert safe_url(link) == link
    said = " ".join(page.words)
    assert not LINK.search(re.sub(r"#[0-9a-f]{6}|\d\d:\d\d", "", said)), said


@given(message=messages())
@settings(max_examples=150, deadline=None)
def test_slack_sees_no_mention_and_no_link_but_ours_within_its_limits(message: Message) -> None:
    payload = as_slack(message)

    blocks = payload["blocks"]
    assert isinstance(blocks, list)
    assert 1 <= len(blocks) <= BLOCKS_LIMIT
    texts = [(block["type"], block["text"]["text"]) for block in blocks]
    for kind, text in [*texts, ("section", str(payload["text"]))]:
        assert 0 < len(text) <= (HEADER_LIMIT if kind == "header" else SECTION_LIMIT)
        for live in re.findall(r"<[^>]*>?", text):
            assert re.fullmatch(r"<https?://[^<>|\s]+\|[^<>|]+>", live), live
        assert not re.search(r"&(?!amp;|lt;|gt;)", text)


@given(message=messages())
@settings(max_examples=150, deadline=None)
def test_plain_text_holds_no_address_and_no_mention_but_the_sources(message: Message) -> None:
    text = as_text(message)

    ours = {source.url for source in message.sources} | {
        entry.source.url for entry in message.entries if entry.source is not None
    }
    for line in text.splitlines():
        for url in filter(None, ours):
            line = line.replace(url, "")  # noqa: PLW2901 - what is left of the line
        assert not LINK.search(re.sub(r"\d\d:\d\d", "", line)), line
        assert not re.search(r"<(?=\S)(?!\u200b)", line)


@given(message=messages())
@settings(max_examples=100, deadline=None)
def test_no_sink_gets_a_control_or_a_hidden_direction(message: Message) -> None:
    mail = as_mail(message, sender="Tocsin <alerts@tocsin.example>", to="desk@example.org", receiver="desk")

    for text in (as_text(message), as_html(message), as_record(message), str(as_slack(message)["text"])):
        for letter in text:
            category = unicodedata.category(letter)
            assert category not in {"Cc", "Cs"} or letter == "\n", repr(letter)
            assert unicodedata.bidirectional(letter) not in {
                "LRE",
                "RLE",
                "LRO",
                "RLO",
                "PDF",
                "LRI",
                "RLI",
                "FSI",
                "PDI",
            }
    raw = mail.as_bytes()
    head = raw.split(b"\r\n\r\n")[0]
    assert b"Bcc" not in {line.split(b":")[0] for line in head.split(b"\r\n")}
    assert {name.lower() for name in mail} >= {"subject", "message-id", "auto-submitted"}


@given(message=messages())
@settings(max_examples=60, deadline=None)
def test_a_line_for_machines_is_one_line_with_web_addresses_only(message: Message) -> None:
    line = json_line(message)

    told_line = json.loads(line)
    assert line.count(b"\n") == 1
    for url in [*told_line["urls"], *(source["url"] for source in told_line["sources"] if source["url"])]:
        assert urlsplit(url).scheme in {"http", "https"}


@given(text=st.text())
@example("\u202e\x1b[2J\ud800")
def test_cleaning_is_one_line_and_done_once(text: str) -> None:
    cleaned = clean(text)

    assert clean(cleaned) == cleaned
    assert "\n" not in cleaned
    assert "\r" not in cleaned
    cleaned.encode("utf-8")


@given(text=st.text(alphabet=st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Zs", "Cn", "Co"))))
def test_what_is_harmless_is_seen_unchanged(text: str) -> None:
    seen = html.unescape(for_html(text)).replace("\u200b", "")

    assert seen == clean(text)
    assert for_text(text).replace("\u200b", "") == clean(text)


@given(text=words, limit=st.integers(5, 60))
def test_a_cut_goes_through_no_entity_and_no_link(text: str, limit: int) -> None:
    cut = cut_mrkdwn(for_mrkdwn(text) + " <https://news.example/1|owner> & more", limit)

    assert len(cut) <= limit or cut == for_mrkdwn(text) + " <https://news.example/1|owner> & more"
    assert not re.search(r"&(?!amp;|lt;|gt;| )", cut)
    assert cut.count("<") == cut.count(">")


@given(url=urls)
@example("https://раураl.com/")
@example("http://1.2.3.4:80/?q=1#f")
def test_a_link_is_a_plain_web_address_or_none(url: str) -> None:
    safe = safe_url(url)

    if safe is not None:
        assert safe_url(safe) == safe
        assert safe.isascii()
        assert urlsplit(safe).scheme in {"http", "https"}
        assert "@" not in urlsplit(safe).netloc
        assert not re.search(r"[\s<>\"'|\\`{}^]", safe)
