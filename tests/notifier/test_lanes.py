"""One lane by itself: order, rest, an end in good order, and a violent one."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from typing_extensions import override

from notifier.channels.port import Channel, Receipt
from notifier.settings import ConsoleSettings
from notifier.telling import Message
from tocsin.errors import DeliveryDeferred
from tocsin.records import Delivery, DeliveryState, MessageKind
from tocsin.store.sqlite import SqliteStore
from tocsin.store.tx import Tx
from tocsin.stream.codec import encode
from tocsin.testing import NOON, a_store, an_alert


@dataclass(kw_only=True)
class Scripted(Channel):
    """A channel that does what the test says, and notes when it was asked."""

    failures: int = 0
    hold: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list)
    closed: bool = False
    width: int = 1

    @property
    @override
    def at_once(self) -> int:
        return self.width

    @override
    async def send(self, message: Message, *, attempt: int, accepted: Sequence[str]) -> Receipt:
        self.asked.append(message.key)
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            self.failures -= 1
            raise DeliveryDeferred("not now")
        return Receipt(remote="there")

    @override
    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with a_store(tmp_path) as opened:
        yield opened


async def fill(store: SqliteStore, count: int) -> None:
    def unit(tx: Tx) -> None:
        for number in range(count):
            alert = an_alert(incident=f"i{number}")
            tx.notifier.remember(
                alert.id,
                incident=alert.incident,
                revision=1,
                severity=2,
                void=False,
                seen_at=alert.seen_at,
                value=encode(alert),
            )
            tx.notifier.enqueue(
                Delivery(
                    key=f"k{number}",
                    receiver="desk",
                    kind=MessageKind.ALERT,
                    alerts=(alert.id,),
                    incident=alert.incident,
                    next_try=NOON,
                    created_at=NOON,
                    seen_at=NOON,
                )
            )
        tx.wake("outbox:desk")

    await store.write(unit)


async def states(store: SqliteStore) -> Counter[DeliveryState]:
    return Counter(delivery.state for delivery in await store.read(lambda tx: tx.notifier.deliveries(limit=1000)))


async def until(claim: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not await claim():
            await asyncio.sleep(0.01)


SETTINGS = ConsoleSettings(kind="console", attempts=1000, give_up_after="36500d")  # type: ignore[arg-type]  # read as in a file


async def test_a_lane_that_is_stopped_lets_the_message_on_its_way_arrive(
    store: SqliteStore, open_lane: Callable[..., Any]
) -> None:
    channel = Scripted(hold=asyncio.Event())
    await fill(store, 2)
    task = asyncio.create_task(open_lane("desk", SETTINGS, channel, store).run())
    await until(lambda: asyncio.sleep(0, channel.asked))

    task.cancel()
    await asyncio.sleep(0.05)
    assert channel.hold is not None
    channel.hold.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await states(store) == {DeliveryState.DONE: 1, DeliveryState.PENDING: 1}
    assert channel.closed


async def test_after_failures_in_a_row_one_message_at_a_time_finds_out_whether_it_is_over(
    store: SqliteStore, open_lane: Callable[..., Any]
) -> None:
    channel = Scripted(failures=12, width=4)
    await fill(store, 8)
    task = asyncio.create_task(open_lane("desk", SETTINGS, channel, store).run())

    async def all_done() -> bool:
        return await states(store) == {DeliveryState.DONE: 8}

    await until(all_done)
    task.cancel()

    assert len(channel.asked) == 20


async def test_several_at_once_are_each_settled_by_themselves(
    store: SqliteStore, open_lane: Callable[..., Any]
) -> None:
    channel = Scripted(width=8)
    await fill(store, 20)
    task = asyncio.create_task(open_lane("desk", SETTINGS, channel, store).run())

    async def all_done() -> bool:
        return await states(store) == {DeliveryState.DONE: 20}

    await until(all_done)
    task.cancel()

    assert Counter(channel.asked) == Counter(f"k{number}" for number in range(20))


SENDER = dedent("""\
    import asyncio, sys
    from pathlib import Path
    from notifier.room import lanes
    from notifier.settings import NotifierSettings
    from tocsin.clock import SystemClock
    from tocsin.store.sqlite import SqliteStore

    async def main():
        folder = Path(sys.argv[1])
        store = SqliteStore(folder / "tocsin.db")
        await store.open()
        desk = {"kind": "slack", "webhook_url": sys.argv[2], "allow_private": True}
        settings = NotifierSettings.model_validate({"receivers": {"desk": desk}})
        await lanes(settings, store=store, clock=SystemClock(), data_dir=folder)["desk"].run()

    asyncio.run(main())
    """)
MESSAGES, KILLS = 80, 4


@pytest.mark.faults
@pytest.mark.timeout(120)
async def test_a_sender_killed_in_between_loses_nothing_and_doubles_one_message_a_kill(
    tmp_path: Path, web_sink: Callable[..., Any]
) -> None:
    sink = await web_sink()
    async with a_store(tmp_path) as store:
        await fill(store, MESSAGES)
    dice = random.Random(7)

    kills = 0
    async with asyncio.timeout(100):
        while kills < KILLS:
            sender = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER, str(tmp_path), sink.url)
            aim = len(sink.keys) + dice.randint(5, 20)
            while len(sink.keys) < aim:
                await asyncio.sleep(0.001)
            sender.send_signal(signal.SIGKILL)
            await sender.wait()
            kills += 1
        sender = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER, str(tmp_path), sink.url)
        while len(set(sink.keys)) < MESSAGES:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        sender.terminate()
        await sender.wait()

    async with a_store(tmp_path) as store:
        left = await states(store)
    assert left == {DeliveryState.DONE: MESSAGES}
    assert set(sink.keys) == {f"k{number}" for number in range(MESSAGES)}
    assert len(sink.keys) <= MESSAGES + KILLS
