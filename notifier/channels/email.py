"""Mail by SMTP: a text and an HTML part, one thread for each incident, marked as what no person wrote."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING, Final

import aiosmtplib
from typing_extensions import override

from notifier.channels.port import Channel, Receipt
from notifier.escaping import clean, for_header
from notifier.rendering import as_html, as_text
from tocsin.addresses import denial
from tocsin.errors import DeliveryDeferred, DeliveryRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from notifier.settings import EmailSettings
    from notifier.telling import Message

REASON_LIMIT: Final = 300
CLOSE_DEADLINE_S: Final = 1.0
OWN_SHARE: Final = 0.95
_LOCAL_NAME: Final = re.compile(r"[^A-Za-z0-9.-]")


class Mail(Channel):
    """Sends through one server. What was accepted for one address is not sent to it again for another's sake."""

    def __init__(self, settings: EmailSettings, *, receiver: str) -> None:
        self._settings = settings
        self._receiver = receiver
        self._tls = ssl.create_default_context(cafile=settings.smtp.ca_file) if settings.smtp.tls != "none" else None

    @property
    @override
    def at_once(self) -> int:
        return 1

    @override
    async def send(self, message: Message, *, attempt: int, accepted: Sequence[str]) -> Receipt:
        done = list(accepted)
        refused: dict[str, str] = {}
        later: dict[str, str] = {}
        try:
            # A little before the lane gives up, so that what is accepted is not forgotten.
            async with (
                asyncio.timeout(OWN_SHARE * self._settings.timeout.total_seconds()),
                self._connection() as server,
            ):
                for address in self._settings.to:
                    if address not in done:
                        await self._one(server, message, address, done=done, refused=refused, later=later)
        except aiosmtplib.SMTPAuthenticationError as error:
            raise DeliveryDeferred(f"login refused: {_told(error)}", accepted=done) from error
        except TimeoutError as error:
            raise DeliveryDeferred(f"{self._settings.smtp.host}: no answer in time", accepted=done) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            # The server as a whole, a greeting of 554 included: that is no word on this message.
            raise DeliveryDeferred(f"{self._settings.smtp.host}: {_told(error)}", accepted=done) from error
        reasons = "; ".join(f"{address}: {reason}" for address, reason in (refused | later).items())
        if later:
            raise DeliveryDeferred(reasons, accepted=[*done, *refused])
        if refused and len(refused) + len(accepted) == len(self._settings.to) and not set(done) - set(accepted):
            raise DeliveryRefused(reasons)
        return Receipt(remote=message_id(message.key, self._settings.sender), note=reasons)

    @override
    async def close(self) -> None:
        """Nothing is held open between messages."""

    async def _one(
        self,
        server: aiosmtplib.SMTP,
        message: Message,
        address: str,
        *,
        done: list[str],
        refused: dict[str, str],
        later: dict[str, str],
    ) -> None:
        mail = as_mail(message, sender=self._settings.sender, to=address, receiver=self._receiver)
        try:
            await server.send_message(
                mail, sender=parseaddr(self._settings.sender)[1], recipients=[parseaddr(address)[1]]
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            worst = error.recipients[0]
            (later if is_temporary(worst.code) else refused)[address] = _told(worst)
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError) as error:
            (later if is_temporary(error.code) else refused)[address] = _told(error)
        else:
            done.append(address)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        smtp = self._settings.smtp
        sock = await _dial(smtp.host, smtp.port, allow_private=self._settings.allow_private)
        server = aiosmtplib.SMTP(
            hostname=smtp.host,
            sock=sock,
            use_tls=smtp.tls == "tls",
            start_tls=smtp.tls == "starttls",
            tls_context=self._tls,
            username=smtp.user,
            password=smtp.password.get_secret_value() if smtp.password else None,
            local_hostname=_LOCAL_NAME.sub("-", socket.gethostname()) or "localhost",
            timeout=self._settings.timeout.total_seconds(),
        )
        try:
            await server.connect()
            yield server
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_DEADLINE_S):
                    await server.quit()
        finally:
            server.close()
            sock.close()


def is_temporary(code: int) -> bool:
    """Say whether an SMTP reply asks to come again (RFC 5321, 4.2.1: 4yz), or is the 421 of a server that closes."""
    return 400 <= code < 500  # noqa: PLR2004 - SMTP's own classes


def message_id(key: str, sender: str) -> str:
    """Return the Message-ID of a delivery: the same however often it is sent, so that clients show it once."""
    domain = parseaddr(sender)[1].rpartition("@")[2]
    return f"<{key}@{domain}>"


def as_mail(message: Message, *, sender: str, to: str, receiver: str) -> EmailMessage:
    """Return the mail for one address."""
    mail = EmailMessage(policy=SMTP_POLICY)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    mail["From"] = sender
    mail["To"] = to
    mail["Subject"] = for_header(message.headline)
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = message_id(message.key, sender)
    if message.thread is not None:
        mail["In-Reply-To"] = message_id(message.thread, sender)
        mail["References"] = message_id(message.thread, sender)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    mail["List-Id"] = f"<{receiver}.tocsin.{domain}>"
    mail["Content-Language"] = message.language
    mail["X-Tocsin-Key"] = message.key
    mail.set_content(as_text(message), cte="quoted-printable")
    mail.add_alternative(as_html(message), subtype="html", cte="quoted-printable")
    return mail


async def _dial(host: str, port: int, *, allow_private: bool) -> socket.socket:
    """Connect to the first address of *host* that answers and may be dialled; raises OSError."""
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        reason = denial(str(address[0]), allow_private=allow_private)
        if reason is not None:
            failure = failure or OSError(reason)
            continue
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = OSError(f"port {port}: {error.strerror or error}")
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError("no address")


def _told(error: BaseException) -> str:
    match error:
        case aiosmtplib.SMTPResponseException():
            return clean(f"{error.code} {error.message}", REASON_LIMIT)
        case aiosmtplib.SMTPException():
            # With a socket of ours it knows no port.
            said = error.message.replace(" on port None", "") or type(error).__name__
            return clean(said, REASON_LIMIT)
        case _:
            return clean(str(error) or type(error).__name__, REASON_LIMIT)
