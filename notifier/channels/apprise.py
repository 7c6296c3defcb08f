"""Any service that Apprise knows, by its URL, kept where it can hurt only itself.

Measured of Apprise 2.2: its own pool of six threads lets six dripping targets stop everyone, a 302 counts as success,
DEBUG logs show webhook secrets and Retry-After is ignored. So each call has a thread of its own, redirects are off,
its log never reaches DEBUG nor our files, and the retries are the lane's.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from notifier.channels.port import Channel, Receipt
from notifier.channels.threads import OwnThreads
from notifier.escaping import clean, for_text
from notifier.rendering import as_text
from tocsin.addresses import denial
from tocsin.errors import DeliveryDeferred, DeliveryRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from notifier.settings import AppriseSettings
    from notifier.telling import Message

AT_ONCE: Final = 1
REASON_LIMIT: Final = 300
_STATUS: Final = re.compile(r"\berror\s*=\s*(\d{3})\b")
_LATER: Final = frozenset({408, 425, 429})


class AppriseService(Channel):
    """Speaks to one Apprise URL, format TEXT."""

    def __init__(self, settings: AppriseSettings) -> None:
        self._settings = settings
        self._threads = OwnThreads("receiver-apprise")

    @property
    @override
    def at_once(self) -> int:
        return AT_ONCE

    @override
    async def send(self, message: Message, *, attempt: int, accepted: Sequence[str]) -> Receipt:
        title, body = for_text(message.headline), as_text(message)
        await self._threads.call(lambda: self._notify(title, body))
        return Receipt()

    @override
    async def close(self) -> None:
        """Threads are daemons: one that hangs ends with the process."""

    def _notify(self, title: str, body: str) -> None:
        import apprise  # noqa: PLC0415 - takes half a second, and only here

        url = self._settings.url.get_secret_value()
        with _listening() as heard:
            # Without a time-out of its own it stays in this thread, out of the pool that all its calls share.
            asset = apprise.AppriseAsset(async_mode=False, http_redirects=False, secure_logging=True, service_timeout=0)
            service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
            if service is None:
                raise DeliveryRefused("Apprise knows no such URL (it is not shown, it is a secret)")
            if not self._settings.allow_private:
                _check(service)
            sender = apprise.Apprise(asset=asset)
            sender.add(service)
            sent = sender.notify(
                body=body, title=title, notify_type=apprise.NotifyType.WARNING, body_format=apprise.NotifyFormat.TEXT
            )
        if not sent:
            reason = clean(heard.reason.replace(url, "***"), REASON_LIMIT) or "refused, and Apprise does not say why"
            status = _STATUS.search(reason)
            if status and not _comes_again(int(status[1])):
                raise DeliveryRefused(reason)
            raise DeliveryDeferred(reason)


def _comes_again(status: int) -> bool:
    return status in _LATER or status >= 500 or status < 300  # noqa: PLR2004 - HTTP's own classes


def _check(service: Any) -> None:  # noqa: ANN401 - Apprise has no types
    """Look where a service of one's own host leads; public services have no host in their URL."""
    host = getattr(service, "host", None)
    if not isinstance(host, str) or not host:
        return
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return  # a name that is none here is a token, or the service will say so itself
    for *_, address in found:
        reason = denial(str(address[0]), allow_private=False)
        if reason is not None:
            raise DeliveryDeferred(f"{reason}")


class _Heard(logging.Handler):
    """Keeps the last thing Apprise complained of in this thread."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.reason = ""
        self._thread = threading.get_ident()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.reason = record.getMessage()[: 4 * REASON_LIMIT]


class _listening:  # noqa: N801 - a context manager, used like a function
    """Hear Apprise's warnings, and keep its log from everybody else."""

    def __enter__(self) -> _Heard:
        logger = logging.getLogger("apprise")
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        self._heard = _Heard()
        logger.addHandler(self._heard)
        return self._heard

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("apprise")
        logger.removeHandler(self._heard)
        logger.propagate = not logger.handlers  # other sends may still be listening
