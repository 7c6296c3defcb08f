"""What an HTTP answer means for a message, and a client that goes only where it may."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import aiohttp

from notifier.escaping import clean
from tocsin.addresses import guarded
from tocsin.errors import DeliveryDeferred, DeliveryRefused

if TYPE_CHECKING:
    from tocsin.clock import Clock

ANSWER_LIMIT_BYTES: Final = 2_000  # of an answer's body: enough to say why
ANSWER_DEADLINE_S: Final = 2.0  # the status has spoken; a body that drips is not waited for
REASON_LIMIT: Final = 300
_LATER: Final = frozenset({408, 425, 429})


def client(*, allow_private: bool, at_once: int) -> aiohttp.ClientSession:
    """Return a session that follows nothing, remembers nothing and dials no private address unless allowed."""
    connector = aiohttp.TCPConnector(limit=at_once, socket_factory=guarded(allow_private=allow_private))
    return aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # the lane's own ends everything
        headers={"User-Agent": "tocsin"},
    )


async def post(session: aiohttp.ClientSession, url: str, body: bytes, *, key: str, clock: Clock) -> str:
    """Post JSON to *url* and return the beginning of the answer; the address is in no error.

    *key* goes along as Idempotency-Key, so that a sink can tell a message that comes twice.

    Raises:
        DeliveryDeferred: no answer, or one that says to come later.
        DeliveryRefused: any other answer but a yes; redirects are not followed.
    """
    headers = {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": key}
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            answer = await _beginning(response)
            judge(response.status, answer, response.headers.get("Retry-After"), now=clock.now())
            return answer
    except (aiohttp.InvalidURL, ValueError):
        raise DeliveryRefused("the address is no valid URL") from None  # the cause would show it
    except (aiohttp.ClientError, OSError) as error:
        raise DeliveryDeferred(f"no answer: {_told(error)}") from None


async def _beginning(response: aiohttp.ClientResponse) -> str:
    try:
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            raw = await response.content.read(ANSWER_LIMIT_BYTES)
    except (TimeoutError, aiohttp.ClientError):
        raw = b""
    return clean(raw.decode("utf-8", "replace"), REASON_LIMIT)


def judge(status: int, answer: str, retry_after: str | None, *, now: datetime) -> None:
    """Return when *status* is a yes.

    Raises:
        DeliveryDeferred: 408, 425, 429 and every 5xx.
        DeliveryRefused: everything else.
    """
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own classes
        return
    reason = f"HTTP {status}" + (f": {answer}" if answer else "")
    if status in _LATER or status >= 500:  # noqa: PLR2004 - HTTP's own classes
        raise DeliveryDeferred(reason, retry_after_s=retry_after_s(retry_after, now=now))
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's own classes
        raise DeliveryRefused(f"HTTP {status}: a redirect, which is not followed; write the final address")
    raise DeliveryRefused(reason)


def retry_after_s(value: str | None, *, now: datetime) -> float | None:
    """Read a Retry-After header in either form (RFC 9110, 10.2.3); None when it is neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _told(error: BaseException) -> str:
    """Say what went wrong without the address, which aiohttp writes into many an error."""
    match error:
        case aiohttp.ClientConnectorError():
            return clean(f"{error.host}: {error.os_error}", REASON_LIMIT)
        case aiohttp.ClientError():
            return type(error).__name__
        case _:
            return clean(str(error) or type(error).__name__, REASON_LIMIT)
