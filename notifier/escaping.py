"""Words from outside made harmless: one function a sink, and links only where they are links.

What a feed wrote is shown, never obeyed: no markup, no mention, no link of its own, no hidden direction of writing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

Escape = Callable[[str], str]

URL_LIMIT: Final = 2_000
ZERO_WIDTH: Final = "\u200b"  # breaks what a client would make live, and is not seen

# Unicode 16, table "Default_Ignorable" and the bidirectional controls (UAX 9), without the joiners that Persian needs.
_HIDDEN: Final = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SPACE: Final = re.compile(r"\s+")

_SCHEME: Final = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{1,20}):(?=[/\w+%?&-])")
# A dot that makes a host name of two words: mail clients turn "evil.example" into a link by themselves.
_HOST_DOT: Final = re.compile(r"(?<=\w)([.\u3002\uff0e\uff61])(?=[^\W\d_]{2,})")
_MENTION: Final = re.compile(r"([@\uff20])(?=\S)")
_ANGLE: Final = re.compile(r"<(?=\S|\Z)")  # at the end, too: who knows what is put behind it

# mrkdwn has no escape for these: letters that look the same stand in for them.
_FORMATTING: Final = str.maketrans("*_~`", "\u2217\u02cd\u223c\u02cb")


def clean(text: str, limit: int | None = None) -> str:
    """Return *text* as one line without control, invisible and direction-changing characters, cut to *limit*."""
    text = _SURROGATE.sub("\ufffd", text)
    text = _SPACE.sub(" ", _CONTROL.sub(" ", _HIDDEN.sub("", text))).strip()
    if limit is not None and len(text) > limit:
        return text[: limit - 1].rstrip() + "…"
    return text


def unlinked(text: str) -> str:
    """Break whatever a client would make a link or a mention of, without changing what is seen."""
    text = _SCHEME.sub(rf"\1:{ZERO_WIDTH}", text)
    text = _HOST_DOT.sub(rf"\1{ZERO_WIDTH}", text)
    return _MENTION.sub(rf"\1{ZERO_WIDTH}", text)


def for_text(text: str) -> str:
    """Return *text* for a sink that reads plain words but may see markup in them (mail, Discord, Telegram …)."""
    return _ANGLE.sub(f"<{ZERO_WIDTH}", unlinked(clean(text)))


def for_html(text: str) -> str:
    """Return *text* for the content or a quoted attribute of HTML."""
    return escape(unlinked(clean(text)), quote=True)


def for_mrkdwn(text: str) -> str:
    """Return *text* for Slack's mrkdwn: the three characters that begin anything live there are written as entities."""
    # https://docs.slack.dev/messaging/formatting-message-text#escaping
    entities = unlinked(clean(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return entities.translate(_FORMATTING)


def for_header(text: str, limit: int = 200) -> str:
    """Return *text* for a mail header: one line, and not too long a one."""
    return clean(text, limit)


def safe_url(url: str) -> str | None:
    """Return *url* with nothing in it that could end a link or hide its host; None unless it is http(s).

    A host that is not ASCII is written in its ASCII form, so that a look-alike letter is seen.
    """
    if not url or len(url) > URL_LIMIT or url != url.strip() or _HIDDEN.search(url) or _CONTROL.search(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
            return None
        if ":" not in host:
            host = host.encode("ascii" if host.isascii() else "idna").decode("ascii")
    except ValueError:  # UnicodeError is one, too
        return None
    if not re.fullmatch(r"[a-z0-9._:-]+", host):
        return None
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    path = quote(parts.path, safe="/%:=@!$&+,;~-._")
    query = quote(parts.query, safe="/%:=@!$&+,;~-._?")
    fragment = quote(parts.fragment, safe="/%:=@!$&+,;~-._?")
    return urlunsplit((parts.scheme, netloc, path, query, fragment))


def cut_mrkdwn(text: str, limit: int) -> str:
    """Cut escaped mrkdwn so that no entity and no link is cut through."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    for opening, closing in (("<", ">"), ("&", ";")):
        start = kept.rfind(opening)
        if start != -1 and closing not in kept[start:]:
            kept = kept[:start]
    return kept.rstrip() + "…"
