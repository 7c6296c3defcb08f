"""HTML as it stands in titles and summaries, made into plain text. Every pass is linear in its input."""

from __future__ import annotations

import re
from html import unescape

# A quoted attribute may hold ">". Neither branch crosses "<", so no attempt runs past the next tag.
_TAG = re.compile(r"""<(/?)([a-zA-Z][a-zA-Z0-9:-]*+)(?:(?:[^<>"']|"[^"<]*+"|'[^'<]*+')*+>|[^<>]*+>)|<[!?][^<>]*+>""")
# fmt: off
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th",
    "tr", "ul",
})
# fmt: on
_HIDDEN = ("script", "style", "template", "noscript", "iframe", "svg")
_HIDDEN_START = re.compile(rf"<(?:!--|({'|'.join(_HIDDEN)})(?=[\s>/]))", re.IGNORECASE)
_SPACES = re.compile(r"\s+")
_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n")
# Soft hyphen, zero-width space and no-joiner marks, byte order mark: invisible, but they break words for a detector.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_NOT_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")


def plain_text(html: str) -> str:
    """Return what a reader would see: tags gone, entities read, block borders as line breaks, spaces joined."""
    if "<" not in html:
        return tidy(unescape(html) if "&" in html else html)
    # White space in the source means nothing; a block's border does.
    html = _TAG.sub(_replacement, _SPACES.sub(" ", _without_hidden(html)))
    if "&" in html:
        html = unescape(html)
    lines = (_joined(line) for line in html.split("\n"))
    return "\n".join(line for line in lines if line)


def tidy(text: str) -> str:
    """Join white space, keep paragraphs as lines and drop invisible marks; for text that never was HTML."""
    if "\n" not in text:
        return _joined(text)
    lines = (_joined(paragraph) for paragraph in _PARAGRAPHS.split(text.replace("\r\n", "\n")))
    return "\n".join(line for line in lines if line)


def _joined(text: str) -> str:
    if not text.isascii() and _NOT_INVISIBLE.search(text):
        text = text.translate(_INVISIBLE)
    return " ".join(text.split())


def looks_like_html(text: str) -> bool:
    """Tell a title that holds markup from one that merely speaks of `x < y`."""
    return "<" in text and _TAG.search(text) is not None


def _replacement(tag: re.Match[str]) -> str:
    name = tag[2]
    return "\n" if name is not None and name.lower().rpartition(":")[2] in _BLOCKS else ""


def _without_hidden(html: str) -> str:
    """Leave out comments, scripts and what else nobody sees; one that never ends hides nothing."""
    start = _HIDDEN_START.search(html)
    if start is None:
        return html
    lowered = html.lower()
    if len(lowered) != len(html):  # a few letters grow when lowered; then positions would not fit
        lowered = html
    kept, at = [], 0
    while start is not None:
        kept.append(html[at : start.start()])
        end = "-->" if start[1] is None else f"</{start[1].lower()}"
        found = lowered.find(end, start.end())
        if found < 0:
            at = start.end() if start[1] is None else start.start()
            break
        at = found + (len(end) if start[1] is None else 0)
        start = _HIDDEN_START.search(html, at)
    kept.append(html[at:])
    return "".join(kept)
