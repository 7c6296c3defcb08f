"""The room put together: what the service runs, and what an operator asks of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, tzinfo
from functools import partial
from typing import TYPE_CHECKING, assert_never

from notifier.dispatch import Dispatcher, wake_name
from notifier.lanes import Lane, dead_letter_id
from notifier.settings import (
    AppriseSettings,
    ConsoleSettings,
    EmailSettings,
    FileSettings,
    NotifierSettings,
    ReceiverSettings,
    SlackWebhookSettings,
)
from notifier.telling import a_test
from tocsin.errors import DeliveryDeferred

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from notifier.backoff import Pace
    from notifier.channels.port import Channel, Receipt
    from tocsin.clock import Clock
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx


def lanes(
    settings: NotifierSettings,
    *,
    store: Store,
    clock: Clock,
    data_dir: Path,
    zone: tzinfo = UTC,
    pace: Pace | None = None,
) -> Mapping[str, Lane]:
    """Return a lane for each receiver, by its name; each is a stage of its own."""
    budgets = {subscription.id: str(subscription.budget) for subscription in settings.subscriptions}
    return {
        name: Lane(
            name,
            receiver,
            open_channel=partial(open_channel, name, receiver, clock=clock, data_dir=data_dir),
            store=store,
            clock=clock,
            budgets=lambda subscription: budgets.get(subscription, ""),
            zone=zone,
            pace=pace,
        )
        for name, receiver in settings.receivers.items()
    }


def open_channel(name: str, settings: ReceiverSettings, *, clock: Clock, data_dir: Path) -> Channel:
    """Return the adapter for *settings*; its library is imported now, not earlier."""
    match settings:
        case SlackWebhookSettings():
            from notifier.channels.slack_webhook import SlackWebhook  # noqa: PLC0415 - start-up matters

            return SlackWebhook(settings, clock=clock)
        case EmailSettings():
            from notifier.channels.email import Mail  # noqa: PLC0415 - start-up matters

            return Mail(settings, receiver=name)
        case AppriseSettings():
            from notifier.channels.apprise import AppriseService  # noqa: PLC0415 - start-up matters

            return AppriseService(settings)
        case FileSettings():
            from notifier.channels.file import JsonLines  # noqa: PLC0415 - start-up matters

            return JsonLines(settings, data_dir=data_dir)
        case ConsoleSettings():
            from notifier.channels.console import Terminal  # noqa: PLC0415 - start-up matters

            return Terminal()
        case _:
            assert_never(settings)


async def send_test(name: str, settings: ReceiverSettings, *, clock: Clock, data_dir: Path) -> Receipt:
    """Send one message that says it is a test, past the outbox, and return the receiver's yes.

    Raises:
        DeliveryDeferred: the receiver could not be reached, or cannot take it now.
        DeliveryRefused: it does not want it.
    """
    channel = open_channel(name, settings, clock=clock, data_dir=data_dir)
    try:
        async with asyncio.timeout(settings.timeout.total_seconds()):
            return await channel.send(a_test(name, now=clock.now()), attempt=1, accepted=())
    except TimeoutError:
        raise DeliveryDeferred(f"no answer within {settings.timeout.total_seconds():g} s") from None
    finally:
        await channel.close()


def retry(tx: Tx, key: str, *, clock: Clock) -> bool:
    """Send a dead message again; False when there is none with that key."""
    delivery = tx.notifier.retry(key, at=clock.now())
    if delivery is None:
        return False
    tx.dead_letters.remove(dead_letter_id(key))
    tx.wake(wake_name(delivery.receiver))
    return True


__all__ = ["Dispatcher", "lanes", "open_channel", "retry", "send_test"]
