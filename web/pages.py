"""The pages for people: one screen that says how it goes, signing in and out. They work without JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tocsin.store.dead_letters import Which
from tocsin.stream.codec import decode_alert
from web.access import GUESS_COSTS, Via, caller_of, known, require, session_cookie, sign_in, sign_out
from web.api import status_of
from web.changes import pause_by, resume_by
from web.csrf import FIELD, form_of
from web.letters import drop_by, replay_by
from web.shapes import after, cursor
from web.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from starlette.requests import Request

    from tocsin.records import Alert, DeadLetter
    from tocsin.store.dead_letters import Heap
    from tocsin.store.ingest_tables import FeedRow
    from tocsin.store.tx import Tx
    from web.csrf import CsrfTokens
    from web.limits import RateLimit
    from web.ports import House

HERE: Final = Path(__file__).parent
ALERTS_SHOWN: Final = 20
FEEDS_SHOWN: Final = 50
LETTERS_SHOWN: Final = 50


class Pages:
    """The pages, with what all of them need at hand."""

    def __init__(self, *, house: House, csrf: CsrfTokens, rate: RateLimit) -> None:
        self._house = house
        self._csrf = csrf
        self._rate = rate
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"web_address": web_address, "moment": moment}

    def routes(self) -> list[Route]:
        """Return a route for each page."""
        return [
            Route("/", self.now, methods=["GET"]),
            Route("/sign-in", self.sign_in_form, methods=["GET"]),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
            Route("/feeds/{id}/pause", self.pause, methods=["POST"]),
            Route("/feeds/{id}/resume", self.resume, methods=["POST"]),
            Route("/dead-letters", self.dead_letters, methods=["GET"]),
            Route("/dead-letters/{id}/replay", self.replay, methods=["POST"]),
            Route("/dead-letters/{id}/drop", self.drop, methods=["POST"]),
            Route("/static/tocsin.css", self.style, methods=["GET"]),
        ]

    async def now(self, request: Request) -> Response:
        """Show how the service is, what rang last and which feeds need somebody."""
        caller = caller_of(request)
        if (elsewhere := _sign_in_first(request)) is not None:
            return elsewhere
        alerts, feeds = await self._house.store.read(_shown)
        told = {"status": await status_of(self._house), "alerts": alerts, "feeds": feeds}
        return self._page(request, "now.html", **told, may_change=caller.may(Scope.OPERATE))

    async def sign_in_form(self, request: Request) -> Response:
        """Ask for a token."""
        next_ = own_path(request.query_params.get("next", "/"))
        return self._page(request, "sign-in.html", next=next_, wrong=False, is_open=self._house.settings().is_open)

    async def sign_in(self, request: Request) -> Response:
        """Open a session for whoever knows a token."""
        form = form_of(request, await request.body())
        next_ = own_path(form.get("next", "/"))
        token = known(self._house.settings(), form.get("token", "").strip())
        if token is None:
            self._rate.charge(request.scope, GUESS_COSTS)
            page = self._page(request, "sign-in.html", next=next_, wrong=True, is_open=False)
            page.status_code = 401
            return page
        settings = self._house.settings()
        cookie = await sign_in(self._house, token)
        response = RedirectResponse(next_, status_code=303)
        response.set_cookie(
            session_cookie(settings),
            cookie,
            max_age=int(settings.session.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=settings.is_https,
        )
        return response

    async def sign_out(self, request: Request) -> Response:
        """Close the session."""
        caller = caller_of(request)
        if caller.via is Via.SESSION:
            await sign_out(self._house, caller)
        response = RedirectResponse("/sign-in", status_code=303)
        settings = self._house.settings()
        response.delete_cookie(session_cookie(settings), httponly=True, samesite="lax", secure=settings.is_https)
        return response

    async def pause(self, request: Request) -> Response:
        """Pause a feed by its button."""
        require(request, Scope.OPERATE)
        await pause_by(request, self._house, request.path_params["id"], reason="by the page")
        return RedirectResponse("/#feeds", status_code=303)

    async def resume(self, request: Request) -> Response:
        """Resume a feed by its button."""
        require(request, Scope.OPERATE)
        await resume_by(request, self._house, request.path_params["id"])
        return RedirectResponse("/#feeds", status_code=303)

    async def dead_letters(self, request: Request) -> Response:
        """Show what was set aside, the newest first, and let an operator decide on each."""
        if (elsewhere := _sign_in_first(request)) is not None:
            return elsewhere
        stage, before = request.query_params.get("stage"), after(request.query_params.get("after"))
        which = Which(stage=stage)

        def shown(tx: Tx) -> tuple[Sequence[DeadLetter], Sequence[Heap], Mapping[str, int]]:
            page = tx.dead_letters.headings(which, limit=LETTERS_SHOWN + 1, after=before)
            return page, tx.dead_letters.heaps(), tx.replays.waiting()

        letters, heaps, replays = await self._house.store.read(shown)
        last = letters[LETTERS_SHOWN - 1] if len(letters) > LETTERS_SHOWN else None
        return self._page(
            request,
            "dead-letters.html",
            letters=letters[:LETTERS_SHOWN],
            older=cursor(last.at, last.id) if last else None,
            stage=stage,
            set_aside={heap.stage: heap.count for heap in heaps},
            replays=replays,
            may_change=caller_of(request).may(Scope.OPERATE),
        )

    async def replay(self, request: Request) -> Response:
        """Replay a dead letter by its button."""
        actor = require(request, Scope.OPERATE).actor
        await replay_by(self._house.actions.letters, request.path_params["id"], actor=actor)
        return RedirectResponse("/dead-letters", status_code=303)

    async def drop(self, request: Request) -> Response:
        """Drop a dead letter by its button."""
        actor = require(request, Scope.OPERATE).actor
        await drop_by(self._house.actions.letters, request.path_params["id"], actor=actor)
        return RedirectResponse("/dead-letters", status_code=303)

    async def style(self, _request: Request) -> Response:
        """Return the one style sheet."""
        return FileResponse(
            HERE / "static" / "tocsin.css", media_type="text/css", headers={"cache-control": "max-age=3600"}
        )

    def _page(self, request: Request, template: str, **told: Any) -> HTMLResponse:  # noqa: ANN401  what the page shows
        token, cookie = self._csrf.issue(request)
        caller = caller_of(request)
        html = self._templates.get_template(template).render(
            **told, csrf_field=FIELD, csrf_token=token, actor=caller.actor, signed_in=caller.via is Via.SESSION
        )
        response = HTMLResponse(html)
        self._csrf.give(response, cookie)
        return response


def _sign_in_first(request: Request) -> Response | None:
    """Return where to send a caller who may not read yet; one who is known and may not is refused."""
    caller = caller_of(request)
    if caller.may(Scope.READ):
        return None
    if caller.is_known:
        require(request, Scope.READ)
    return RedirectResponse("/sign-in?next=" + quote(request.url.path), status_code=303)


def _shown(tx: Tx) -> tuple[list[Alert], list[FeedRow]]:
    alerts = [decode_alert(row.body) for row in tx.incidents.alerts(limit=ALERTS_SHOWN)]
    return alerts, tx.ingest.needing_care(limit=FEEDS_SHOWN)


def own_path(path: str) -> str:
    r"""Return *path* if it leads to a page of ours, else the front page: `//host` and `/\host` lead elsewhere."""
    parts = urlsplit(path.replace("\\", "/"))
    ours = not parts.scheme and not parts.netloc and path.startswith("/") and path.isprintable()
    return path if ours and not path.startswith(("//", "/\\")) else "/"


def web_address(url: str) -> str:
    """Return *url* if it is one that a person may safely follow, else nothing: feeds send `javascript:` too."""
    return url if url.lower().startswith(("http://", "https://")) else ""


def moment(at: datetime | None) -> str:
    """Return an instant as it is shown, in UTC."""
    return "never" if at is None else at.strftime("%Y-%m-%d %H:%M:%S UTC")
