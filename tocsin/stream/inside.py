"""What is done inside aiokafka's clients (0.14) because they offer no other way to it: all of it is here.

Tests with real brokers that end, die, sleep, move and come back hold aiokafka to what is believed of it here.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiokafka.client
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BROKER_S: Final = 3.0  # for one broker to take a connection and to answer; then the next is tried
PARTING_S: Final = 2.0  # to leave a group and close connections; a broker that is away can't be told anything
METADATA_RETRY_S: Final = 0.2
NO_LEADER: Final = -1  # None is of a topic or partition that nothing is known of


class Client(Protocol):
    """What of aiokafka's producer, consumer and admin client we need to start and to end them."""

    async def start(self) -> None:
        """Reach a broker."""
        ...

    async def stop(self) -> None:
        """Finish what is under way, for as long as that takes."""
        ...


class _MakingNothing(MetadataRequest):  # type: ignore[misc]  # aiokafka has no types
    """Asks for topics without having the broker make what is missing, which would have the broker's own settings."""

    def __init__(self, topics: list[str] | None = None) -> None:
        super().__init__(topics, allow_auto_topic_creation=False)


aiokafka.client.MetadataRequest = _MakingNothing


def tame(client: Any, *, may_dial: Callable[[str, int], bool]) -> None:  # noqa: ANN401  aiokafka has no types
    """Have *client*, a producer's or consumer's inner one, be patient in three ways and dial nobody it may not.

    While no broker answers, aiokafka asks for metadata without a pause, each failure asking for the next: it takes a
    whole core and writes 1,700 lines a second (measured). A broker that hangs holds up the others for a whole request.
    And it dials whatever address a broker says that another one has.
    """
    _bootstrap_briefly(client)
    _update_patiently(client)
    connect = client._get_conn  # noqa: SLF001  aiokafka asks nobody before it dials

    async def guarded(node: Any, **how: Any) -> Any:  # noqa: ANN401  aiokafka has no types
        broker = client.cluster.broker_metadata(node)
        if broker is not None and not may_dial(broker.host, broker.port):
            return None  # what aiokafka has for one that cannot be reached
        return await connect(node, **how)

    client._get_conn = guarded  # noqa: SLF001  see above


def _bootstrap_briefly(client: Any) -> None:  # noqa: ANN401  aiokafka has no types
    bootstrap = client.bootstrap

    async def brief() -> None:
        whole = client._request_timeout_ms  # noqa: SLF001  one limit for the first broker and for every request
        client._request_timeout_ms = int(BROKER_S * 1000)  # noqa: SLF001  see above
        try:
            await bootstrap()
        finally:
            client._request_timeout_ms = whole  # noqa: SLF001  see above

    client.bootstrap = brief


def _update_patiently(client: Any) -> None:  # noqa: ANN401  aiokafka has no types
    update = client._metadata_update  # noqa: SLF001  the only place that every attempt comes by

    async def patient(*arguments: Any) -> bool:  # noqa: ANN401  aiokafka has no types
        updated = bool(await update(*arguments))
        if not updated:
            await asyncio.sleep(METADATA_RETRY_S)
        return updated

    client._metadata_update = patient  # noqa: SLF001  see above


def keep_track(producer: Any) -> None:  # noqa: ANN401  aiokafka has no types
    """Have *producer* remember its requests that are under way, which it otherwise only waits for."""
    sender = producer._sender  # noqa: SLF001  aiokafka offers no other way to it
    send = sender._send_produce_req  # noqa: SLF001  each runs in a task of its own
    sender.under_way = set()

    async def tracked(*arguments: Any) -> None:  # noqa: ANN401  aiokafka has no types
        task = asyncio.current_task()
        sender.under_way.add(task)
        try:
            await send(*arguments)
        finally:
            sender.under_way.discard(task)

    sender._send_produce_req = tracked  # noqa: SLF001  see above


def never_give_up(producer: Any) -> None:  # noqa: ANN401  aiokafka has no types
    """Have *producer* keep a batch whose partition has no leader, as an idempotent one keeps all others.

    Else such a batch fails when a request's time is over, and its number is missing before the next of its partition.
    """
    producer._message_accumulator._batch_ttl = float("inf")  # noqa: SLF001  aiokafka offers no other way to it


async def led(client: Client, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
    """Return those of *partitions* that have a leader, as far as a broker says so just now."""
    inner = _inner(client)
    asked = list(partitions)
    for topic in {one.topic for one in asked}:
        await inner.add_topic(topic)  # nothing is said of topics that nobody has asked about
    if _leaderless(inner, asked):
        await inner.force_metadata_update()
    without = _leaderless(inner, asked)
    return [one for one in asked if one not in without]


def has_leaderless(client: Client, partitions: Iterable[TopicPartition]) -> bool:
    """Say whether one of *partitions* had no leader when *client* last heard of it."""
    return bool(_leaderless(_inner(client), partitions))


def _leaderless(inner: Any, partitions: Iterable[TopicPartition]) -> frozenset[TopicPartition]:  # noqa: ANN401  aiokafka has no types
    return frozenset(one for one in partitions if inner.cluster.leader_for_partition(one) == NO_LEADER)


def brokers_known_to(client: Client) -> Iterable[tuple[str, int]]:
    """Return where the brokers are that *client* has heard of."""
    inner = _inner(client)
    return [(broker.host, broker.port) for broker in inner.cluster.brokers()] if inner is not None else ()


async def let_go(client: Client) -> None:
    """End *client* in bounded time: a member leaves its group if it can, and nothing of it goes on behind our back.

    aiokafka's `stop` waits for as long as a broker is away, and when it is cancelled leaves its tasks and connections.
    Whoever is cancelled here leaves none of them either.
    """
    stopped = False
    try:
        with suppress(TimeoutError, KafkaError, OSError):
            async with asyncio.timeout(PARTING_S):
                await client.stop()
                stopped = True
    finally:
        if not stopped:
            await _cut(client)


async def _cut(client: Client) -> None:
    """End everything of *client* at once, and then wait a moment for it to be over."""
    tasks = [task for task in _tasks_of(client) if not task.done()]
    for task in tasks:
        task.cancel()
    closed = []
    for connection in getattr(_inner(client), "_conns", {}).values():
        closing = connection.close()
        if closing is not None:
            closed.append(closing)
    try:
        if tasks or closed:
            await asyncio.wait([*tasks, *closed], timeout=PARTING_S)
    finally:
        _give_up(client)


def _give_up(client: Client) -> None:
    """Give up what a producer has not sent, for its `stop` has left somebody waiting for it."""
    accumulator = getattr(client, "_message_accumulator", None)
    if accumulator is None:
        return
    queued = [batch for batches in accumulator._batches.values() for batch in batches]  # noqa: SLF001  the only way to it
    accumulator._pending_batches.update(queued)  # noqa: SLF001  from where each is taken out when it is cancelled
    for batch in tuple(accumulator._pending_batches):  # noqa: SLF001  see above
        batch.future.cancel()


def _inner(client: Client) -> Any:  # noqa: ANN401  aiokafka has no types
    return getattr(client, "_client", None) or getattr(client, "client", None)


def _tasks_of(client: Client) -> Iterable[asyncio.Task[Any]]:
    """Find what aiokafka's client has running, by the names that it has there (0.14)."""
    for part, names in _TASKS.items():
        owner = getattr(client, part, None)
        for name in names:
            task = getattr(owner, name, None)
            if isinstance(task, asyncio.Task):
                yield task
    yield from getattr(getattr(client, "_fetcher", None), "_pending_tasks", ())
    yield from getattr(getattr(client, "_sender", None), "under_way", ())
    synchronizer = getattr(_inner(client), "_sync_task", None)
    if synchronizer is not None:
        yield synchronizer


_TASKS: Final = {
    "_coordinator": ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task"),
    "_fetcher": ("_fetch_task",),
    "_sender": ("_sender_task",),
}
