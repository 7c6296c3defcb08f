"""The topics at hand: those of the service that runs here, else the brokers' or those in the file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tocsin.cli.options import settings_of
from tocsin.errors import Stop, StreamUnavailable, TryLater

if TYPE_CHECKING:
    from tocsin.control import ControlClient
    from tocsin.settings import Settings
    from tocsin.stream.looking import Look
    from tocsin.stream.port import Bounds, StreamRecord

PAGE: Final = 200  # the most that the service tells at once


@asynccontextmanager
async def looking_at(config: Path | None, folder: Path, *, follow: bool) -> AsyncIterator[Look]:
    """Give a way to look at the topics: through the service that runs here, else at the stream itself."""
    from tocsin import logs
    from tocsin.control import ControlClient

    service = ServiceTopics(ControlClient(folder))
    if await service.answers():
        yield service
        return
    logs.configure(level="error")
    settings = settings_of(config, folder)
    logs.hide(settings.secrets())
    if settings.tocsin.kafka is None and follow:
        raise Stop(f"no service runs on {folder}, so nothing comes: leave --follow out")
    async with _in_file(settings) if settings.tocsin.kafka is None else _on_brokers(settings) as look:
        yield look


@asynccontextmanager
async def _in_file(settings: Settings) -> AsyncIterator[Look]:
    from tocsin.cli.state import opened
    from tocsin.stream.embedded import EmbeddedStream

    async with opened(settings, name="tail") as store:
        yield EmbeddedStream(store)


@asynccontextmanager
async def _on_brokers(settings: Settings) -> AsyncIterator[Look]:
    """Reach for the brokers only: no look needs the database, so that store is never opened.

    Raises:
        StreamUnavailable: no broker answers; it says where, and each one's reason.
    """
    from tocsin import logs
    from tocsin.clock import SystemClock
    from tocsin.store.postgresql import PostgresqlStore
    from tocsin.stream.kafka import KafkaStream

    kafka, postgresql, clock = settings.tocsin.kafka, settings.tocsin.postgresql, SystemClock()
    assert kafka is not None
    assert postgresql is not None
    stream = KafkaStream(kafka, store=PostgresqlStore(postgresql.dsn.get_secret_value(), clock=clock), clock=clock)
    logs.silence("aiokafka")
    try:
        yield stream
    except StreamUnavailable as error:
        at = ", ".join(f"{host}:{port}" for host, port in stream.brokers.addresses)
        reason = (await stream.brokers.complaint(error)).removeprefix(f"{at}: ")
        if reason == str(error):  # they answer, only not this
            raise
        raise StreamUnavailable(f"no broker answers at {at} (tocsin.kafka.brokers): {reason}") from error
    finally:
        await stream.close()


class ServiceTopics:
    """The topics as the running service tells of them."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    async def answers(self) -> bool:
        """Tell whether a service runs at all."""
        from tocsin.control import NothingRuns

        try:
            await self._client.get("/api/schemas")
        except NothingRuns:
            return False
        return True

    async def bounds(self, topic: str) -> Mapping[int, Bounds]:
        """Return what there is to look at, by partition."""
        from tocsin.stream.port import Bounds

        told: dict[str, Any] = await self._client.get("/api/topics")
        (found,) = (one for one in told["items"] if one["topic"] == topic)
        return {one["partition"]: Bounds(one["first"], one["end"]) for one in found["partitions"]}

    async def fetch(
        self, topic: str, *, start: int, most: int, timeout_s: float, partition: int = 0
    ) -> Sequence[StreamRecord]:
        """Return up to *most* records at or after *start*; wait up to *timeout_s* for the first.

        Raises:
            TryLater: the service cannot look at them now.
        """
        import msgspec

        from tocsin.control import AnsweredNo
        from tocsin.stream.port import StreamRecord

        query = {"start": start, "limit": min(most, PAGE), "wait": int(timeout_s), "partition": partition}
        asked = {name: str(number) for name, number in query.items()}
        try:
            told: dict[str, Any] = await self._client.get(f"/api/topics/{topic}", asked)
        except AnsweredNo as error:
            if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise TryLater(str(error)) from error
            raise
        return [
            StreamRecord(
                topic=topic,
                partition=partition,
                offset=one["offset"],
                key=one["key"],
                id=one["id"],
                value=None if one["damage"] else msgspec.json.encode(one["value"]),
                damage=one["damage"] or "",
            )
            for one in told["items"]
        ]
