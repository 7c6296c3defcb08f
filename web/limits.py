"""How much a client may ask and send, and by which name: rate, body, host."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from tocsin.addresses import LOOPBACK_NAMES
from web.problems import ClientGone, Refused
from web.settings import host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope as Asgi, Send

    from tocsin.clock import Clock
    from web.problems import Door
    from web.settings import WebSettings

# Keys of the ASGI scope; nothing that comes over the wire can set them.
CALLER: Final = "tocsin.caller"
LOCAL: Final = "tocsin.operator"  # set for the control socket, which has no limits: only the operator can open it
CLIENT_LIMIT: Final = 10_000  # clients remembered; about 2 MB
BODY_DEADLINE_S: Final = 20.0
STRANGERS_BODY_BYTES: Final = 16 * 1024
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")

SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: with that, browsers send `Origin: null` with our own forms too.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


def with_security_headers(app: ASGIApp) -> ASGIApp:
    """Put `SECURITY_HEADERS` on every answer of *app*; an endpoint may set its own `cache-control`."""

    async def guarded(scope: Asgi, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, send_guarded)

    return guarded


def host_door(settings: Callable[[], WebSettings]) -> Door:
    """Refuse names that are not ours: a page elsewhere can point its own name at 127.0.0.1 (DNS rebinding).

    An address in place of a name is harmless, for no other page can have it as its origin.
    """

    async def check(scope: Asgi, receive: Receive) -> Receive:
        if LOCAL not in scope:
            _check_host(Headers(scope=scope), settings())
        return receive

    return check


def _check_host(headers: Headers, settings: WebSettings) -> None:
    given = headers.getlist("host")
    name = _host_name(given[0]) if len(given) == 1 else None
    if name is None:
        raise Refused(400, "the request names no host, or more than one")
    if settings.is_open and any(header in headers for header in FORWARDED):
        says = "a proxy forwards requests to this address, so others could read here: add a token under web.tokens"
        raise Refused(403, says)
    if not _is_address(name) and name not in _own_names(settings):
        raise Refused(421, f"the host {name!r} is not served here: add it to web.hosts if it should be")


def _own_names(settings: WebSettings) -> set[str]:
    names = {*LOOPBACK_NAMES, host_and_port(settings.listen)[0].lower(), *(host.lower() for host in settings.hosts)}
    # Without a token everything can be read here, so the public name stays closed until there is one.
    if settings.public_url is not None and not settings.is_open:
        names.add((urlsplit(settings.public_url).hostname or "").lower())
    return names


def _host_name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return None
    return name if name and parts.netloc == host and "@" not in host else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class RateLimit:
    """A bucket of requests for each client, filled evenly; the longest unseen client is forgotten first.

    A forgotten client starts with a full bucket, so the number kept is far above what one sender can have addresses;
    of IPv6 the /64 counts.
    """

    def __init__(self, settings: Callable[[], WebSettings], clock: Clock, *, most: int = CLIENT_LIMIT) -> None:
        self._settings = settings
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def charge(self, scope: Asgi, cost: int = 1) -> None:
        """Take *cost* from the bucket of whoever sent this request.

        Raises:
            Refused: 429, and when to come back.
        """
        settings = self._settings()
        fill_per_s = settings.requests.count / settings.requests.per.total_seconds()
        now = self._clock.now().timestamp()
        client = client_of(scope, settings)
        left, since = self._buckets.pop(client, (float(settings.burst), now))
        left = min(float(settings.burst), left + max(0.0, now - since) * fill_per_s)
        self._buckets[client] = (max(0.0, left - cost), now)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        if left < 1:
            wait_s = max(1, round((1 - left) / fill_per_s))
            says = f"more than {settings.requests} requests from {client}"
            raise Refused(429, says, headers={"retry-after": str(wait_s)})


def rate_door(rate: RateLimit) -> Door:
    """Take one request from the client's bucket."""

    async def check(scope: Asgi, receive: Receive) -> Receive:
        if LOCAL not in scope:
            rate.charge(scope)
        return receive

    return check


def client_of(scope: Asgi, settings: WebSettings) -> str:
    """Return the address to count by: the nearest one that is no proxy of ours."""
    peer = scope.get("client")
    address = str(peer[0]) if peer else "unknown"
    if settings.trusted_proxies:
        told = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        chain = [*(hop.strip() for hop in told if hop.strip()), address]
        while len(chain) > 1 and _is_ours(chain[-1], settings.trusted_proxies):
            chain.pop()
        address = chain[-1]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 6:  # noqa: PLR2004  the protocol's own number
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _is_ours(address: str, proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in proxies)


def body_door(settings: Callable[[], WebSettings]) -> Door:
    """Read the whole body, up to a size and within a time, before anything else looks at it.

    Bodies here are small, so all of it is held; what declares no length (chunked) is counted as it comes. Who has
    not said who it is may send no more than a sign-in needs.
    """

    async def check(scope: Asgi, receive: Receive) -> Receive:
        limit = settings().body_limit if scope[CALLER].is_known else STRANGERS_BODY_BYTES
        return replay(await _whole(Headers(scope=scope), receive, limit), receive)

    return check


async def _whole(headers: Headers, receive: Receive, limit: int) -> bytes:
    # The connection cannot be used again: what was not read would be taken for the next request.
    too_large = Refused(413, f"the body is larger than {limit} bytes", headers={"connection": "close"})
    declared = headers.get("content-length", "0")
    if declared.isascii() and declared.isdecimal() and int(declared) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        says = f"the body did not come within {BODY_DEADLINE_S:.0f} s"
        raise Refused(408, says, headers={"connection": "close"}) from None


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives *body* once, and then what *receive* gives."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
