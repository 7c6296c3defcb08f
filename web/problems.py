"""Errors over HTTP: problem+json (RFC 9457) for programs, a plain sentence for people."""

from __future__ import annotations

import http
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope as Asgi
from typing_extensions import override

from tocsin.errors import TryLater

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Send

log = structlog.get_logger()

PROBLEM_JSON: Final = "application/problem+json"
RETRY_S: Final = 5
FOR_PROGRAMS: Final = ("/api/", "/-/", "/metrics")

Door = Callable[[Asgi, Receive], Awaitable[Receive]]  # returns what the next one receives from, or raises Refused


class ClientGone(Exception):
    """Whoever asked has hung up; there is nobody to answer."""


class Refused(HTTPException):
    """A request that is answered with an error. *says* is for the caller and may name what the caller sent."""

    def __init__(
        self, status: int, says: str, *, headers: Mapping[str, str] | None = None, errors: tuple[str, ...] = ()
    ) -> None:
        super().__init__(status, detail=says, headers=dict(headers or {}))
        self.errors = errors

    @override
    def __str__(self) -> str:
        return f"{self.status_code}: {self.detail}"


def behind(app: ASGIApp, *, doors: Sequence[Door]) -> ASGIApp:
    """Return *app* behind *doors*, which a request passes in order; the first that refuses it answers."""

    async def guarded(scope: Asgi, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                for door in doors:
                    receive = await door(scope, receive)
            except Refused as refused:
                await answer(scope, refused)(scope, receive, send)
                return
            except TryLater as error:
                await answer(scope, _not_now(error))(scope, receive, send)
                return
            except ClientGone:
                return
        await app(scope, receive, send)

    return guarded


def answer(asgi: Asgi, refused: HTTPException) -> Response:
    """Put *refused* in the form that this caller reads."""
    status, detail = refused.status_code, refused.detail
    title = http.HTTPStatus(status).phrase
    if _wants_text(asgi):
        return PlainTextResponse(f"{status} {title}\n\n{detail}\n", status_code=status, headers=refused.headers)
    told: dict[str, object] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if isinstance(refused, Refused) and refused.errors:
        told["errors"] = list(refused.errors)
    return Response(msgspec.json.encode(told), status_code=status, headers=refused.headers, media_type=PROBLEM_JSON)


async def refuse(request: Request, error: Exception) -> Response:
    """Answer an expected error; Starlette calls this."""
    assert isinstance(error, HTTPException)
    return answer(request.scope, error)


async def wait(request: Request, error: Exception) -> Response:
    """Answer when the store cannot work now; the same request may succeed later."""
    return answer(request.scope, _not_now(error))


def _not_now(error: Exception) -> Refused:
    log.warning("request put off", reason=str(error))
    return Refused(503, f"not now: {error}", headers={"retry-after": str(RETRY_S)})


async def crash(request: Request, _error: Exception) -> Response:
    """Answer for a mistake of ours without saying more; the log has the traceback."""
    return answer(request.scope, Refused(500, "a mistake of the service, not of the request; its log says more"))


def _wants_text(asgi: Asgi) -> bool:
    """Pages are for people; everything under /api is for programs, whatever it accepts."""
    path: str = asgi["path"]
    if path.startswith(FOR_PROGRAMS):
        return False
    accept = next((value for name, value in asgi["headers"] if name == b"accept"), b"")
    return b"text/html" in accept
