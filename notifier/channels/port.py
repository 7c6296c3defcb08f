"""A channel as a lane sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from notifier.telling import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receiver's yes. `remote` is its own name for the message; `note` is what the operator should know beside it."""

    remote: str | None = None
    note: str = ""


class Channel(Protocol):
    """Brings messages to one receiver. The lane ends a call that takes longer than the receiver's `timeout`."""

    @property
    def at_once(self) -> int:
        """How many messages may be on their way together."""
        ...

    async def send(self, message: Message, *, attempt: int, accepted: Sequence[str]) -> Receipt:
        """Bring *message* over. *accepted* are addresses that have it from an earlier attempt.

        Raises:
            DeliveryDeferred: not now.
            DeliveryRefused: never.
        """
        ...

    async def close(self) -> None:
        """Let go of connections, in bounded time."""
        ...
