"""Keeps other pages from changing things with a visitor's browser: signed double submit, Origin, Fetch Metadata."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from web.access import Via, caller_of, require
from web.limits import replay
from web.problems import FOR_PROGRAMS, Refused
from web.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import Receive, Scope as Asgi

    from web.settings import WebSettings

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
FIELD: Final = "csrf_token"
HEADER: Final = "x-csrf-token"
FORM: Final = "application/x-www-form-urlencoded"
FIELD_LIMIT: Final = 100


class CsrfTokens:
    """Makes and checks the tokens of forms. They are good until the service restarts, and only for one browser."""

    def __init__(self, settings: Callable[[], WebSettings]) -> None:
        self._settings = settings
        self._key = secrets.token_bytes(32)

    def issue(self, request: Request) -> tuple[str, str | None]:
        """Return the token for a form, and the cookie to set with it if the browser has none yet."""
        cookie = request.cookies.get(self._cookie, "")
        fresh = None if cookie else secrets.token_urlsafe(32)
        return self._sign(cookie or fresh or "", caller_of(request).session), fresh

    def give(self, response: Response, cookie: str | None) -> Response:
        """Set the cookie that `issue` asked for."""
        if cookie is not None:
            secure = self._settings().is_https
            response.set_cookie(self._cookie, cookie, httponly=True, samesite="strict", secure=secure)
        return response

    def holds(self, request: Request, token: str) -> bool:
        """Whether *token* was made for this browser in this session."""
        cookie = request.cookies.get(self._cookie, "")
        expected = self._sign(cookie, caller_of(request).session)
        return bool(cookie) and hmac.compare_digest(expected.encode(), token.encode("utf-8", "surrogatepass"))

    @property
    def _cookie(self) -> str:
        return "__Host-tocsin-csrf" if self._settings().is_https else "tocsin-csrf"

    def _sign(self, cookie: str, session: str) -> str:
        told = f"{len(cookie)}:{cookie}{session}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(told, key=self._key, digest_size=32).hexdigest()


class CsrfGuard:
    """Lets a change pass that comes with a token of its own or over the control socket; a browser must prove its page.

    A browser adds cookies by itself, and on loopback it would be let in without any; it does not add an
    `Authorization` header by itself. So only callers that came with one are exempt.
    """

    def __init__(self, *, tokens: CsrfTokens, settings: Callable[[], WebSettings]) -> None:
        self._tokens = tokens
        self._settings = settings

    async def door(self, scope: Asgi, receive: Receive) -> Receive:
        """Refuse a change that a page of somebody else may have asked for."""
        request = Request(scope, receive)
        if scope["method"] in SAFE or caller_of(request).via in {Via.TOKEN, Via.SOCKET}:
            return receive
        if not caller_of(request).is_known and request.url.path.startswith(FOR_PROGRAMS):
            require(request, Scope.OPERATE)  # says that a token is missing, which helps more than to speak of forms
        _check_origin(request, self._settings())
        body = await request.body()
        self._check_token(request, body)
        return replay(body, receive)

    def _check_token(self, request: Request, body: bytes) -> None:
        token = request.headers.get(HEADER) or form_of(request, body).get(FIELD, "")
        if not self._tokens.holds(request, token):
            raise Refused(403, "this form is out of date or not ours: go back, load the page again and repeat")


def _check_origin(request: Request, settings: WebSettings) -> None:
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        raise Refused(403, f"a change asked for by another page (Sec-Fetch-Site: {site[:40]})")
    origin = request.headers.get("origin")
    own = {f"{request.url.scheme}://{request.headers.get('host', '')}", settings.public_url}
    if origin is not None and origin not in own:
        raise Refused(403, f"a change asked for by a page of {origin[:200]!r}")


def form_of(request: Request, body: bytes) -> dict[str, str]:
    """Return the fields of a form; none when the body is something else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        return {}
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELD_LIMIT))
    except ValueError:
        return {}
