"""The way to the brokers: what every client of ours is made with, why none was reached, and how one is let go."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError

from tocsin import metrics
from tocsin.errors import Stop, StreamUnavailable
from tocsin.quantities import Wrong
from tocsin.stream.inside import BROKER_S, PARTING_S, brokers_known_to, keep_track, let_go, never_give_up, tame
from tocsin.stream.settings import split_broker
from tocsin.stream.tokens import ClientCredentials, FileToken

if TYPE_CHECKING:
    from aiokafka.abc import AbstractTokenProvider

    from tocsin.stream.inside import Client
    from tocsin.stream.settings import KafkaSettings, SecuritySettings

log = structlog.get_logger()

CONNECT_S: Final = 5.0  # for all of them; longer when there are more than one
COMPLAINT_S: Final = 2.0
REQUEST_S: Final = 10.0  # a broker that keeps a connection open and says nothing is given up after this
METADATA_AGE_S: Final = 60.0
CLIENT_ID: Final = "tocsin"


class Brokers:
    """Where they are and who we are to them. Reads the certificates once, so a changed one needs a restart.

    `trouble` says why none can be reached, as long as none can.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.trouble: str | None = None
        self._away_since = 0.0
        self._settings = settings
        self._objections: dict[tuple[str, int], str] = {}
        security = settings.security
        self.addresses = tuple(map(split_broker, settings.brokers))
        self._context = _context(security) if security.is_encrypted else None
        self._security: dict[str, Any] = {"security_protocol": security.protocol, "ssl_context": self._context}
        if security.mechanism is not None:
            self._security["sasl_mechanism"] = security.mechanism
        if security.user is not None and security.password is not None:
            self._security["sasl_plain_username"] = security.user
            self._security["sasl_plain_password"] = security.password.get_secret_value()
        if security.mechanism == "OAUTHBEARER":
            self._security["sasl_oauth_token_provider"] = _tokens(security)

    def consumer(self, **arguments: Any) -> Any:  # noqa: ANN401  aiokafka has no types
        """Make a consumer of raw bytes that commits nothing to Kafka; `start` reaches for the brokers."""
        consumer = AIOKafkaConsumer(
            **self.arguments(), **{"enable_auto_commit": False, "auto_offset_reset": "none"} | arguments
        )
        tame(consumer._client, may_dial=self._may_dial)  # noqa: SLF001  aiokafka offers no other way to it
        return consumer

    def producer(self, **arguments: Any) -> Any:  # noqa: ANN401  aiokafka has no types
        """Make a producer; `start` reaches for the brokers."""
        producer = AIOKafkaProducer(**self.arguments(), **arguments)
        tame(producer.client, may_dial=self._may_dial)
        keep_track(producer)
        never_give_up(producer)
        return producer

    def admin(self) -> Any:  # noqa: ANN401  aiokafka has no types
        """Make a client that makes topics and looks at them; `start` reaches for the brokers."""
        admin = _Admin(**self.arguments())
        tame(admin._client, may_dial=self._may_dial)  # noqa: SLF001  aiokafka offers no other way to it
        return admin

    def arguments(self) -> dict[str, Any]:
        """Return what any client of aiokafka's is made with."""
        return {
            "bootstrap_servers": [
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.addresses
            ],
            "client_id": CLIENT_ID,
            "request_timeout_ms": int(REQUEST_S * 1000),
            "metadata_max_age_ms": int(METADATA_AGE_S * 1000),
            **self._security,
        }

    def away(self, reason: str) -> None:
        """Note, and say once, that no broker answers, or none that leads what we ask for."""
        if self.trouble is None:
            self._away_since = time.monotonic()
            metrics.BROKERS_ANSWER.set(0)
            log.warning("brokers did not answer", reason=reason)
        self.trouble = reason

    def back(self) -> None:
        """Note, and say once, that brokers answer again."""
        metrics.BROKERS_ANSWER.set(1)
        if self.trouble is not None:
            self.trouble = None
            log.info("brokers answered again", away_s=round(time.monotonic() - self._away_since, 1))

    def objection(self, client: Client) -> str:
        """Say which broker *client* has heard of that must not be spoken to; nothing when there is none."""
        return next(filter(None, (self._objection(*address) for address in brokers_known_to(client))), "")

    def _objection(self, host: str, port: int) -> str:
        try:
            self._settings.require_private_way(host, f"a broker calls itself {host}:{port}, which")
        except Wrong as wrong:
            return str(wrong)
        return ""

    def _may_dial(self, host: str, port: int) -> bool:
        """Say whether the broker there may be spoken to, whoever sent us there; where not, it is logged once."""
        where = (host, port)
        if where not in self._objections:
            self._objections[where] = self._objection(host, port)
            if self._objections[where]:
                log.error("broker not dialled", reason=self._objections[where])
        return not self._objections[where]

    async def start(self, client: Client) -> None:
        """Start *client*, or let go of it.

        Raises:
            StreamUnavailable: no broker could be reached, and it says what each of them answered; or one must not be.
        """
        await self.reach(client)
        objection = self.objection(client)
        if objection:
            await let_go(client)
            raise StreamUnavailable(objection)

    async def reach(self, client: Client) -> None:
        """Start *client*, or let go of it; which brokers it has heard of is for the caller to look at.

        Raises:
            StreamUnavailable: no broker could be reached; it says what each of them answered.
        """
        starting = asyncio.create_task(client.start(), name="reach brokers")
        try:
            async with asyncio.timeout(CONNECT_S + BROKER_S * (len(self.addresses) - 1)):
                await asyncio.shield(starting)
        except (KafkaError, OSError, TimeoutError) as error:
            await _end(starting)
            await let_go(client)
            raise StreamUnavailable(await self.complaint(error)) from error
        except BaseException:
            await _end(starting)
            await let_go(client)
            raise

    async def complaint(self, error: BaseException) -> str:
        """Say why no broker could be reached: aiokafka tells it to its log only, so each is asked once more."""
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._reason(*address), name="ask broker") for address in self.addresses[:3]]
        reasons = [f"{host}:{port}: {task.result()}" for (host, port), task in zip(self.addresses, asked, strict=False)]
        if all(not task.result() for task in asked):
            return f"{', '.join(f'{host}:{port}' for host, port in self.addresses)}: {_plain(error)}"
        return "; ".join(reasons)

    async def _reason(self, host: str, port: int) -> str:
        """Return why the broker at *host* cannot be reached; nothing when it can."""
        try:
            async with asyncio.timeout(COMPLAINT_S):
                connection = await create_conn(
                    host, port, client_id=CLIENT_ID, request_timeout_ms=int(COMPLAINT_S * 1000), **self._security
                )
        except TimeoutError:
            return f"no answer in {COMPLAINT_S:.0f} s"
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is not good: {error.verify_message}"
        except ssl.SSLError as error:
            return f"TLS failed: {error.reason or error}"
        except ConnectionRefusedError:
            return "connection refused"
        except (OSError, KafkaError) as error:
            return _plain(error)
        closed = connection.close()
        if closed is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(PARTING_S):
                    await closed
        return ""


class _Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's admin client, whose `stop` is called `close` there."""

    async def stop(self) -> None:
        """Close its connections."""
        await self.close()


async def _end(starting: asyncio.Task[None]) -> None:
    """Wait a moment before *starting* is cancelled: aiokafka forgets a connection that it is cancelled on."""
    await asyncio.wait({starting}, timeout=PARTING_S)
    starting.cancel()
    await asyncio.wait({starting}, timeout=PARTING_S)
    if starting.done() and not starting.cancelled():
        starting.exception()  # it is told already, or nobody asks any more


def _context(security: SecuritySettings) -> ssl.SSLContext:
    """Return what TLS is made with; raises Stop when a file of it is of no use."""
    try:
        context = ssl.create_default_context(cafile=security.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Stop(f"kafka: ca_file {str(security.ca_file)!r} is of no use: {_plain(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if security.certificate_file is not None:
        password = security.key_password.get_secret_value() if security.key_password is not None else ""
        try:
            # Always a function: without one, OpenSSL would ask for the password on the terminal.
            context.load_cert_chain(security.certificate_file, security.key_file, password=lambda: password)
        except (OSError, ssl.SSLError) as error:
            name = str(security.certificate_file)
            raise Stop(f"kafka: certificate_file {name!r} or its key is of no use: {_plain(error)}") from None
    return context


def _tokens(security: SecuritySettings) -> AbstractTokenProvider:
    return FileToken(security.token_file) if security.token_file is not None else ClientCredentials(security)


def _plain(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
