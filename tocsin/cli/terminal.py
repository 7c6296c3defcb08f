"""What strangers wrote, made harmless to a terminal: nothing in it moves the cursor, colours or turns a line round."""

from __future__ import annotations

import re
from typing import Final

# All that a terminal may take for an order, or that turns the line round; JSON has these only inside of strings.
_ORDERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """Return *text* in one line and without anything that a terminal would obey."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def spelt(text: str) -> str:
    """Return *text* with all spelt out that a terminal would obey, and every space kept."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "replace").decode() for one in text)


def in_json(written: str) -> str:
    """Return JSON with all escaped that a terminal would obey; it says the same."""
    return _ORDERS.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def in_yaml(written: str) -> str:
    """Return JSON as YAML that says the same; the line breaks that only YAML knows are escaped too."""
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in written)
