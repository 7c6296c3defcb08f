"""Sinks that behave as badly as the world does, each on a free port of loopback."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from notifier.backoff import Pace
from notifier.channels.port import Channel
from notifier.dispatch import Dispatcher
from notifier.lanes import Lane
from notifier.room import lanes
from notifier.settings import NotifierSettings
from tocsin.clock import SystemClock
from tocsin.quantities import Outside
from tocsin.records import Alert, Delivery
from tocsin.store.sqlite import SqliteStore
from tocsin.stream.codec import encode
from tocsin.stream.port import ALERTS, StreamRecord
from tocsin.testing import a_store

PACE = Pace(
    first=timedelta(milliseconds=20),
    cap=timedelta(milliseconds=40),
    rest=timedelta(milliseconds=50),
    rest_cap=timedelta(milliseconds=100),
)
PATIENCE_S = 10.0


@dataclass(kw_only=True)
class WebSink:
    """A webhook; `answers` are used up first to last, then it says 200."""

    url: str = ""
    answers: list[str] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    instants: list[float] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.instants.append(asyncio.get_running_loop().time())
        self.heard.append(await request.json())
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        what = self.answers.pop(0) if self.answers else "200"
        match what.split():
            case ["hang"]:
                await self.released.wait()
                return web.Response(status=500)
            case ["reset"]:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case ["drip"]:
                response = web.StreamResponse(status=200)
                await response.prepare(request)
                while not self.released.is_set():
                    try:
                        await response.write(b".")
                    except ConnectionError:
                        break
                    await asyncio.sleep(0.05)
                return response
            case ["redirect", status]:
                return web.Response(status=int(status), headers={"Location": self.url})
            case [status, retry_after]:
                return web.Response(status=int(status), headers={"Retry-After": retry_after.replace("_", " ")})
            case _:
                return web.Response(status=int(what), text="ok" if what == "200" else "no_service")


@dataclass(kw_only=True)
class MailSink:
    """A mail server; `answers` are used up by RCPT (`451`, `550`), DATA (`data 451`) or a hang in DATA (`hang`)."""

    port: int = 0
    answers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.answers[address]:
            return self.answers[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        told = self.answers["data"].pop(0) if self.answers["data"] else "250 OK"
        if told == "hang":
            await self.released.wait()
            return "250 OK"
        if told.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            self.mails.append(message_from_bytes(content, _class=EmailMessage, policy=policy.default))
            self.recipients += envelope.rcpt_tos
        return told


@dataclass(kw_only=True)
class Service:
    """A notifier with its lanes running, given alerts as the stream would give them."""

    store: SqliteStore
    dispatcher: Dispatcher
    lanes: dict[str, Lane]

    async def hear(self, *alerts: Alert) -> None:
        records = [
            StreamRecord(topic=ALERTS, partition=0, offset=at, key=alert.incident, id=alert.id, value=encode(alert))
            for at, alert in enumerate(alerts)
        ]
        units = await self.dispatcher.work(records)

        def all_of_them(tx: Any) -> None:
            for unit in units:
                unit(tx)

        await self.store.write(all_of_them)

    async def outbox(self, receiver: str | None = None) -> list[Delivery]:
        return (await self.store.read(lambda tx: tx.notifier.deliveries(receiver=receiver, limit=1000)))[::-1]

    async def settled(self, receiver: str | None = None) -> list[Delivery]:
        """Return the outbox once nothing of it is under way."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                outbox = await self.outbox(receiver)
                if outbox and all(delivery.finished_at is not None for delivery in outbox):
                    return outbox
                await asyncio.sleep(0.02)


@pytest.fixture
async def web_sink() -> AsyncIterator[Callable[..., Any]]:
    """Return a maker of webhooks."""
    runners: list[web.AppRunner] = []
    made: list[WebSink] = []

    async def make(*answers: str) -> WebSink:
        sink = WebSink(answers=list(answers))
        app = web.Application()
        app.router.add_post("/hook", sink.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sink.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        runners.append(runner)
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.released.set()
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def mail_sink() -> AsyncIterator[Callable[..., Any]]:
    """Return a maker of mail servers; `login=` makes one that wants to know who sends."""
    servers: list[asyncio.Server] = []
    made: list[MailSink] = []

    async def make(*, login: tuple[str, str] | None = None, tls: Any = None) -> MailSink:
        sink = MailSink()

        def is_right(_server: object, _session: object, _envelope: object, _how: str, given: object) -> AuthResult:
            wanted = login and LoginPassword(login[0].encode(), login[1].encode())
            return AuthResult(success=given == wanted, handled=False)

        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(
                sink,
                hostname="sink.example",
                enable_SMTPUTF8=True,
                tls_context=tls,
                require_starttls=tls is not None,
                authenticator=is_right if login else None,
                auth_required=login is not None,
                auth_require_tls=False,
            ),
            "127.0.0.1",
            0,
        )
        sink.port = server.sockets[0].getsockname()[1]
        servers.append(server)
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.released.set()
    await asyncio.sleep(0)
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Return what starts a notifier for `receivers`, each told everything at once."""
    async with a_store(tmp_path) as store, asyncio.TaskGroup() as tasks:
        running: list[asyncio.Task[None]] = []

        async def start(receivers: dict[str, Any], **subscription: Any) -> Service:
            settings = NotifierSettings.model_validate(
                {
                    "subscriptions": [
                        {"id": "all", "to": list(receivers), "group_wait": "0s", "budget": "1000/day"} | subscription
                    ],
                    "receivers": receivers,
                },
                context=Outside(),
            )
            clock = SystemClock()
            made = dict(lanes(settings, store=store, clock=clock, data_dir=tmp_path, pace=PACE))
            for name, lane in made.items():
                running.append(tasks.create_task(lane.run(), name=f"lane {name}"))
            return Service(store=store, dispatcher=Dispatcher(settings, clock=clock), lanes=made)

        yield start
        for task in running:
            task.cancel()


@pytest.fixture
def open_lane() -> Callable[..., Any]:
    """Return a maker of one lane around a channel of the test's own."""

    def make(name: str, settings: Any, channel: Channel, store: SqliteStore) -> Lane:
        return Lane(
            name,
            settings,
            open_channel=lambda: channel,
            store=store,
            clock=SystemClock(),
            pace=PACE,
            random=Random(1),
        )

    return make
