"""Messages laid out for each sort of sink by sandboxed templates, every value escaped on its way in.

A value that is not marked as ours goes through the sink's escape, whatever the template does with it; only
the link filters, which take nothing but what `safe_url` let through, hand out text of their own.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from notifier.escaping import clean, cut_mrkdwn, for_html, for_mrkdwn, for_text, safe_url
from tocsin.errors import DeliveryRefused
from tocsin.records import Severity

if TYPE_CHECKING:
    from notifier.escaping import Escape
    from notifier.telling import Message

OUTPUT_LIMIT: Final = 100_000  # characters; the shipped templates stay below 40,000 with everything at its limit
SECTION_LIMIT: Final = 3_000  # Slack's own, as the two below: docs.slack.dev/reference/block-kit/blocks
HEADER_LIMIT: Final = 150
BLOCKS_LIMIT: Final = 50
_BREAK: Final = Markup("\f")  # parts the sections of a Slack message; `clean` lets none through
_COLOURS: Final = {
    Severity.EXTREME: "#7a0019",
    Severity.SEVERE: "#c62828",
    Severity.MODERATE: "#ef6c00",
    Severity.MINOR: "#546e7a",
}


def as_text(message: Message) -> str:
    """Return the message as plain lines, with nothing in it that a client could make live but our links."""
    return _render("text.j2", message, for_text)


def as_record(message: Message) -> str:
    """Return the message as plain lines for a machine: clean, but letter for letter."""
    return _render("text.j2", message, clean)


def as_html(message: Message) -> str:
    """Return the message as an HTML page that mail clients show well."""
    return _render("html.j2", message, for_html)


def as_slack(message: Message) -> dict[str, object]:
    """Return the payload of an incoming webhook, within the limits of block kit."""
    header = cut_mrkdwn(for_mrkdwn(clean(message.headline, HEADER_LIMIT)), HEADER_LIMIT)
    blocks: list[dict[str, object]] = [
        {"type": "header", "text": {"type": "plain_text", "text": header, "emoji": False}}
    ]
    for section in _sections(_render("mrkdwn.j2", message, for_mrkdwn)):
        # Verbatim: Slack makes no links and mentions of its own out of what looks like one.
        text = {"type": "mrkdwn", "text": section, "verbatim": True}
        blocks.append({"type": "section", "text": text})
    return {
        "text": cut_mrkdwn(for_mrkdwn(message.headline), SECTION_LIMIT),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
        "parse": "none",
        "link_names": False,
    }


def _sections(rendered: str) -> list[str]:
    """Join the template's parts into as few sections as Slack's limits allow."""
    sections: list[str] = []
    for part in rendered.split(_BREAK):
        paragraph = cut_mrkdwn(part.strip("\n"), SECTION_LIMIT)
        if not paragraph:
            continue
        if sections and len(sections[-1]) + 1 + len(paragraph) <= SECTION_LIMIT:
            sections[-1] += "\n" + paragraph
        else:
            sections.append(paragraph)
    return sections[: BLOCKS_LIMIT - 1]


def _render(template: str, message: Message, escape: Escape) -> str:
    """Fill in *template*.

    Raises:
        DeliveryRefused: it grew beyond `OUTPUT_LIMIT`.
    """
    pieces, length = [], 0
    for piece in _environment(escape).get_template(template).generate(m=message):
        length += len(piece)
        if length > OUTPUT_LIMIT:
            raise DeliveryRefused(f"template {template}: more than {OUTPUT_LIMIT} characters")
        pieces.append(piece)
    return "".join(pieces).strip("\n") + "\n"


@lru_cache(maxsize=8)
def _environment(escape: Escape) -> ImmutableSandboxedEnvironment:
    def finalize(value: object) -> Markup:
        if isinstance(value, Markup):
            return value
        return Markup(escape(str(value)))  # noqa: S704  escaped for this sink

    def bare(url: str) -> Markup:
        safe = safe_url(url) or ""
        return Markup(safe.replace("&", "&amp;") if escape is for_html else safe)  # noqa: S704  checked

    def link(url: str, label: str) -> Markup:
        safe = (safe_url(url) or "").replace("&", "&amp;").replace("|", "%7C")
        return Markup(f"<{safe}|{escape(label).replace('|', '¦')}>")  # noqa: S704  checked and escaped

    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,  # what finalize returns is marked, so that this second net finds nothing to do
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"bare": bare, "link": link, "colour": _COLOURS.__getitem__}
    environment.globals |= {"break": _BREAK}
    return environment
