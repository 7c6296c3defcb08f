"""Who is asking: a token, a browser that signed in, the operator on the control socket, or anybody."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from tocsin.addresses import is_loopback
from tocsin.store.access import AuditEntry, Session
from web.limits import CALLER, LOCAL
from web.problems import Refused
from web.tokens import Scope, hash_of, is_same

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import Receive, Scope as Asgi

    from tocsin.store.tx import Tx
    from web.limits import RateLimit
    from web.ports import House
    from web.settings import TokenSettings, WebSettings

GUESS_COSTS: Final = 20  # requests; a wrong token uses up a client's allowance sooner


class Via(Enum):
    """How a caller proved who it is."""

    NOTHING = "nothing"
    TOKEN = "token"  # noqa: S105  it is no token
    SESSION = "session"
    SOCKET = "socket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent this request. `actor` goes into the audit; `session` is what the browser's cookie holds."""

    actor: str
    via: Via
    scopes: tuple[Scope, ...] = ()
    session: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the caller has proved who it is."""
        return self.via is not Via.NOTHING

    def may(self, needed: Scope) -> bool:
        """Whether the caller may do what *needed* asks for."""
        return any(scope.allows(needed) for scope in self.scopes)


def caller_of(connection: HTTPConnection) -> Caller:
    """Return who sent this request; `Authentication` has found out."""
    caller = connection.scope[CALLER]
    assert isinstance(caller, Caller)
    return caller


def require(connection: HTTPConnection, needed: Scope) -> Caller:
    """Return the caller if it may do what *needed* asks for.

    Raises:
        Refused: 401 when nobody is known, 403 when somebody is and may not.
    """
    caller = caller_of(connection)
    if caller.may(needed):
        return caller
    if not caller.is_known:
        says = f"this needs a token with the scope {needed.value!r}, or `tocsin` on the machine itself"
        raise Refused(401, says, headers={"www-authenticate": 'Bearer realm="tocsin"'})
    raise Refused(403, f"{caller.actor} has no token with the scope {needed.value!r}")


class Authentication:
    """Finds out who is asking. A wrong token is refused, never ignored."""

    def __init__(self, *, house: House, rate: RateLimit) -> None:
        self._house = house
        self._rate = rate

    async def door(self, scope: Asgi, receive: Receive) -> Receive:
        """Write the caller into the ASGI scope."""
        scope[CALLER] = await self._caller(scope)
        return receive

    async def _caller(self, scope: Asgi) -> Caller:
        settings = self._house.settings()
        operator = scope.get(LOCAL)
        if operator is not None:
            return Caller(actor=operator, via=Via.SOCKET, scopes=(Scope.OPERATE,))
        headers = Headers(scope=scope)
        authorization = headers.get("authorization")
        if authorization is not None:
            return self._by_token(scope, authorization, settings)
        cookie = cookie_parser(headers.get("cookie", "")).get(session_cookie(settings), "")
        if cookie and settings.tokens:
            caller = await self._by_session(cookie, settings)
            if caller is not None:
                return caller
        return Caller(
            actor="anybody", via=Via.NOTHING, scopes=(Scope.READ,) if settings.is_open and _is_near(scope) else ()
        )

    def _by_token(self, scope: Asgi, authorization: str, settings: WebSettings) -> Caller:
        scheme, _, token = authorization.partition(" ")
        found = known(settings, token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            self._rate.charge(scope, GUESS_COSTS)
            challenge = 'Bearer realm="tocsin", error="invalid_token"'
            raise Refused(401, "this token is not known here", headers={"www-authenticate": challenge})
        return Caller(actor=f"token:{found.id}", via=Via.TOKEN, scopes=found.scopes)

    async def _by_session(self, cookie: str, settings: WebSettings) -> Caller | None:
        now = self._house.clock.now()
        session = await self._house.store.read(lambda tx: tx.access.session(session_id(cookie), now=now))
        if session is None:
            return None
        token = next((token for token in settings.tokens if token.id == session.token), None)
        if token is None or not is_same(token.fingerprint, session.token_hash):
            return None  # the operator took the token away or changed it
        return Caller(actor=f"token:{token.id}", via=Via.SESSION, scopes=token.scopes, session=cookie)


def _is_near(scope: Asgi) -> bool:
    """Whether the request came in on a loopback address; the settings may have changed since we began to listen."""
    server = scope.get("server")
    return server is not None and is_loopback(str(server[0]))


def known(settings: WebSettings, token: str) -> TokenSettings | None:
    """Return the settings of *token*; every known hash is compared, so that time does not tell which one is near."""
    given = hash_of(token)
    matching = [each for each in settings.tokens if is_same(each.fingerprint, given)]
    return matching[0] if matching else None


def session_cookie(settings: WebSettings) -> str:
    """Return the cookie's name; `__Host-` makes browsers refuse one that another host or plain HTTP has set."""
    return "__Host-tocsin-session" if settings.is_https else "tocsin-session"


def session_id(cookie: str) -> str:
    """Return the id under which the session of *cookie* is kept; the store never has the cookie itself."""
    return hashlib.blake2b(
        cookie.encode("utf-8", "surrogatepass"), digest_size=32, person=b"tocsin-session"
    ).hexdigest()


async def sign_in(house: House, token: TokenSettings) -> str:
    """Open a session for *token* and return what its cookie shall hold."""
    cookie = secrets.token_urlsafe(32)
    now = house.clock.now()
    session = Session(
        id=session_id(cookie),
        token=token.id,
        token_hash=token.fingerprint,
        created_at=now,
        expires_at=now + house.settings().session,
    )
    entry = AuditEntry(at=now, actor=f"token:{token.id}", action="session.open", target=token.id)

    def unit(tx: Tx) -> None:
        tx.access.open_session(session)
        tx.access.note(entry)

    await house.store.write(unit)
    return cookie


async def sign_out(house: House, caller: Caller) -> None:
    """Close the session of *caller*."""
    await house.store.write(lambda tx: tx.access.close_session(session_id(caller.session)))
