"""The terminal: a framed panel where there is one, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.panel import Panel
from rich.text import Text
from typing_extensions import override

from notifier.channels.port import Channel, Receipt
from notifier.channels.threads import OwnThreads
from notifier.rendering import as_record
from tocsin.errors import DeliveryDeferred
from tocsin.records import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from notifier.telling import Message

_STYLES: Final = {
    Severity.EXTREME: "bold white on red",
    Severity.SEVERE: "bold red",
    Severity.MODERATE: "yellow",
    Severity.MINOR: "cyan",
}


class Terminal(Channel):
    """Prints to standard output."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._threads = OwnThreads("receiver-console")

    @property
    @override
    def at_once(self) -> int:
        return 1

    @override
    async def send(self, message: Message, *, attempt: int, accepted: Sequence[str]) -> Receipt:
        try:
            await self._threads.call(lambda: self._print(message))
        except (OSError, ValueError) as error:  # closed or gone
            raise DeliveryDeferred(f"console: {error}") from error
        return Receipt()

    @override
    async def close(self) -> None:
        """Leave the terminal as it is, for it is not ours to close."""

    def _print(self, message: Message) -> None:
        told = as_record(message).rstrip("\n")
        if not self._out.isatty():
            self._out.write(told + "\n\n")
            self._out.flush()
            return
        head, _, body = told.partition("\n")
        # Text, not markup: brackets in a headline are brackets.
        panel = Panel(
            Text(body.strip("\n")),
            title=Text(head, style=_STYLES[message.severity]),
            title_align="left",
            border_style=_STYLES[message.severity].replace("bold white on ", ""),
        )
        Console(file=self._out).print(panel)
