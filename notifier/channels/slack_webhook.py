"""Slack's incoming webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from typing_extensions import override

from notifier.channels.http import client, post
from notifier.channels.port import Channel, Receipt
from notifier.rendering import as_slack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from notifier.settings import SlackWebhookSettings
    from notifier.telling import Message
    from tocsin.clock import Clock

AT_ONCE: Final = 1  # Slack takes one message a second on a channel, and a killed send doubles one message only


class SlackWebhook(Channel):
    """Posts block kit to one webhook. A webhook has no threads: updates and corrections say what they are."""

    def __init__(self, settings: SlackWebhookSettings, *, clock: Clock) -> None:
        self._url = settings.webhook_url
        self._clock = clock
        self._session = client(allow_private=settings.allow_private, at_once=AT_ONCE)

    @property
    @override
    def at_once(self) -> int:
        return AT_ONCE

    @override
    async def send(self, message: Message, *, attempt: int, accepted: Sequence[str]) -> Receipt:
        body = msgspec.json.encode(as_slack(message))
        await post(self._session, self._url.get_secret_value(), body, key=message.key, clock=self._clock)
        return Receipt()

    @override
    async def close(self) -> None:
        await self._session.close()
