"""What is done to the bytes of an XML feed before any parser sees them: decoded, bounded, disarmed, mended.

Both parsers then get well-behaved UTF-8: no declaration that could lie about it, no document type, no entity but the
five of XML, no control characters.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from html.entities import html5

from tocsin.errors import FeedUnreadable

NODE_LIMIT = 300_000  # tags; the largest honest feed we know has some 60,000
DEPTH_LIMIT = 200  # libxml2 stops at 256 itself; feedparser recurses nowhere but its caller's memory
ENTITIES_LIMIT = 256
ENTITY_LIMIT_CHARS = 1_000

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BARE_STARTS = (
    (b"<\0?\0", "utf-16-le"),
    (b"\0<\0?", "utf-16-be"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
)
# Pure ASCII on the wire, so they are valid UTF-8 as well and must be believed when declared.
_SHIFTING = ("iso-2022-", "hz", "utf-7")
_WIDER = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252",
          "gb2312": "gb18030", "gbk": "gb18030", "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "shift_jis": "cp932",
          "iso-8859-9": "cp1254", "tis-620": "cp874", "iso-8859-11": "cp874"}  # fmt: skip

_DECLARATION = re.compile(r"\s*<\?xml\b[^<>]*\?>", re.IGNORECASE)
_DECLARED = re.compile(rb"""<\?xml\b[^<>]{0,200}?encoding\s*=\s*["']\s*([A-Za-z0-9._:-]{1,40})""", re.IGNORECASE)
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([A-Za-z0-9._:-]{1,40})""", re.IGNORECASE)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_AMPERSAND = re.compile(
    r"&(?!(?:amp|lt|gt|quot|apos);)(?:#(?:([0-9]{1,7})|[xX]([0-9a-fA-F]{1,6}));|([A-Za-z][A-Za-z0-9._-]{0,63});)?"
)
_ENTITY = re.compile(r"""<!ENTITY\s+(%\s*)?([^\s"'<>%]+)\s+(?:(SYSTEM|PUBLIC)\b|"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_TAG = re.compile(r"<(/?)[A-Za-z_](?:[^<>]*+)>")
_SKIPPED = {"<![CDATA[": "]]>", "<!--": "-->", "<?": "?>"}


@dataclass(frozen=True, slots=True)
class Mended:
    """A feed's text, ready for a parser; `warnings` say what had to be done."""

    text: str
    warnings: tuple[str, ...] = ()


def mend(body: bytes, content_type: str) -> Mended:
    """Return *body* as text that an XML parser may be given.

    Raises:
        FeedUnreadable: too many tags, or entities that are made to grow or to read files.
    """
    text, warnings = decode(body, content_type)
    if text.count("<") > NODE_LIMIT:
        raise FeedUnreadable(f"more than {NODE_LIMIT} tags")
    text = _DECLARATION.sub("", text, count=1).lstrip()
    if not text.startswith("<"):
        start = text.find("<")
        if start < 0:
            raise FeedUnreadable("no XML and no JSON: it has no tag at all" if text else "the document is empty")
        text = _DECLARATION.sub("", text[start:], count=1).lstrip()
        warnings.append("text before the first tag was left out")
    text, entities = _without_doctype(text)
    if _FORBIDDEN.search(text):
        text = _FORBIDDEN.sub("", text)
        warnings.append("control characters were left out")
    if _AMPERSAND.search(text):
        text = _with_known_entities(text, entities)
    return Mended(text, tuple(warnings))


def decode(body: bytes, content_type: str) -> tuple[str, list[str]]:
    """Return the text of *body*: byte order mark, else UTF-8 if it is, else what HTTP or XML declares, else a guess."""
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return _decoded(body, encoding)
    head = body[:400].lstrip()
    for start, encoding in _BARE_STARTS:
        if head.startswith(start):
            return _decoded(body, encoding)
    by_http = _CHARSET.search(content_type)
    by_xml = _DECLARED.search(head)
    declared = [found.lower() for found in (by_http and by_http[1], by_xml and by_xml[1].decode("ascii")) if found]
    first = [] if any(name.startswith(_SHIFTING) for name in declared) else ["utf-8"]
    for name in (*first, *(_WIDER.get(name, name) for name in declared if not name.startswith("utf-8"))):
        try:
            return body.decode(name), []
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    if _mostly_utf8(body):
        return body.decode("utf-8", "replace"), ["broken UTF-8: unreadable bytes were replaced"]
    return body.decode("cp1252", "replace"), ["no usable encoding declared: read as windows-1252"]


def depth_within_limit(text: str) -> bool:
    """Tell whether no tag of *text* stands deeper than `DEPTH_LIMIT`; unclosed tags count as open for ever."""
    depth = 0
    for outside in _outside(text):
        for tag in _TAG.finditer(outside):
            if tag[1]:
                depth = max(0, depth - 1)
            elif not tag[0].endswith("/>"):
                depth += 1
                if depth > DEPTH_LIMIT:
                    return False
    return True


def _decoded(body: bytes, encoding: str) -> tuple[str, list[str]]:
    text = body.decode(encoding, "replace").lstrip("\ufeff")
    return text, [f"broken {encoding}: unreadable bytes were replaced"] if "\ufffd" in text else []


def _mostly_utf8(body: bytes) -> bool:
    """Tell UTF-8 with a few broken places from another encoding: most of its high bytes form characters."""
    text = body.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    return sum(1 for character in text if character > "\x7f") > 2 * broken


def _without_doctype(text: str) -> tuple[str, dict[str, str]]:
    """Cut the document type out and return the harmless entities that it declared."""
    start = _end_of_prolog(text)
    if text[start : start + 9].upper() != "<!DOCTYPE":
        return text, {}
    if text[start + 9 : start + 20].strip().lower().startswith("html"):
        raise FeedUnreadable("an HTML page, no feed")
    end = text.find(">", start)
    bracket = text.find("[", start, end if end >= 0 else len(text))
    if bracket < 0:
        return text[:start] + text[end + 1 :] if end >= 0 else text[:start], {}
    close = text.find("]", bracket)
    while close >= 0 and not text[close + 1 : close + 100].lstrip().startswith(">"):
        close = text.find("]", close + 1)
    if close < 0:
        raise FeedUnreadable("the document type never ends")
    entities = _declared_entities(text[bracket + 1 : close])
    return text[:start] + text[text.index(">", close) + 1 :], entities


def _end_of_prolog(text: str) -> int:
    """Return where the first thing stands that is neither space, comment nor instruction."""
    at = 0
    while True:
        at += len(text[at : at + 1000]) - len(text[at : at + 1000].lstrip())
        opened = next((mark for mark in ("<!--", "<?") if text.startswith(mark, at)), None)
        if opened is None:
            if not text[at : at + 1].isspace():
                return at
            continue
        end = text.find(_SKIPPED[opened], at + len(opened))
        if end < 0:
            return at
        at = end + len(_SKIPPED[opened])


def _declared_entities(subset: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ENTITY.finditer(subset):
        parameter, name, external, double, single = match.groups()
        if parameter:
            continue  # never loaded, and harmless unread
        value = (double if double is not None else single) or ""
        if external:
            raise FeedUnreadable(f"entity {name[:40]!r} wants to read another document")
        if len(value) > ENTITY_LIMIT_CHARS or len(found) >= ENTITIES_LIMIT:
            raise FeedUnreadable("entities too long or too many")
        if any(reference[3] for reference in _AMPERSAND.finditer(value)):
            raise FeedUnreadable(f"entity {name[:40]!r} is made of entities")
        found[name] = value
    return found


def _with_known_entities(text: str, entities: dict[str, str]) -> str:
    """Write every entity that XML does not know as the character it means, and a bare ampersand as itself."""

    def known(match: re.Match[str]) -> str:
        decimal, hexadecimal, name = match.groups()
        if name is not None:
            if name in entities:
                return _AMPERSAND.sub(known, entities[name]) if "&" in entities[name] else entities[name]
            character = html5.get(name + ";")
            return f"&amp;{match[0][1:]}" if character is None else character.replace("&", "&amp;").replace("<", "&lt;")
        if decimal is None and hexadecimal is None:
            return "&amp;"
        return _character(int(decimal) if decimal else int(hexadecimal, 16))

    pieces: list[str] = []
    at = 0
    for start, end in _skipped(text):
        pieces.append(_AMPERSAND.sub(known, text[at:start]))
        pieces.append(text[start:end])
        at = end
    pieces.append(_AMPERSAND.sub(known, text[at:]))
    return "".join(pieces)


def _character(code: int) -> str:
    if 0x80 <= code <= 0x9F:  # noqa: PLR2004 — C1 controls: everybody who writes them means windows-1252
        return bytes([code]).decode("cp1252", "ignore")
    if code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code <= 0x10FFFF:  # noqa: PLR2004 — XML 1.0, 2.2
        return f"&#{code};"
    return ""


def _skipped(text: str) -> list[tuple[int, int]]:
    """Return where CDATA sections, comments and instructions stand; one that never ends is text."""
    found: list[tuple[int, int]] = []
    at = 0
    missing: set[str] = set()
    for match in re.finditer(r"<!\[CDATA\[|<!--|<\?", text):
        if match.start() < at or match[0] in missing:
            continue
        end = text.find(_SKIPPED[match[0]], match.end())
        if end < 0:
            missing.add(match[0])
            continue
        at = end + len(_SKIPPED[match[0]])
        found.append((match.start(), at))
    return found


def _outside(text: str) -> list[str]:
    pieces: list[str] = []
    at = 0
    for start, end in _skipped(text):
        pieces.append(text[at:start])
        at = end
    pieces.append(text[at:])
    return pieces
