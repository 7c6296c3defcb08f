"""What the API tells. Lists are read, decoded and written as JSON in a thread, off the loop."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter
from starlette.responses import Response

from tocsin.records import IncidentState, Severity
from tocsin.store.overlay import PAUSE
from tocsin.stream.codec import decode_alert, decode_article
from tocsin.stream.port import ARTICLES
from web.endpoint import JSON, Endpoint, told
from web.problems import Refused
from web.shapes import (
    AlertPage,
    ArticlePage,
    AuditAnswer,
    ChangeAnswer,
    FeedAnswer,
    IncidentAnswer,
    IncidentSummary,
    Page,
    StageAnswer,
    StatusAnswer,
    after,
    after_number,
    cursor,
    cursor_at,
    limit,
)
from web.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from tocsin.store.archive import Kept
    from tocsin.store.ingest_tables import FeedRow
    from tocsin.store.overlay import Change
    from tocsin.store.tx import Tx
    from web.ports import House

QUERY_LIMIT: Final = 2_000
WHY_DEADLINE_S: Final = 10.0
STEPS_LIMIT: Final = 200
ARTICLES_LIMIT: Final = 1_000
STANDING: Final = (IncidentState.OPEN, IncidentState.QUIET)

_alerts: Final = TypeAdapter(AlertPage)
_articles: Final = TypeAdapter(ArticlePage)

PAGING: Final = {"limit": "Items on a page, 1 to 200.", "after": "`next` of the page before."}


async def alerts(request: Request, house: House) -> Response:
    """Return a page of alerts."""
    most, before = limit(request.query_params.get("limit")), after(request.query_params.get("after"))
    of_incident, severity = request.query_params.get("incident"), _severity(request)

    def page(tx: Tx) -> bytes:
        rows = tx.incidents.alerts(before=before, incident=of_incident, severity=severity, limit=most + 1)
        more = cursor(rows[most - 1].seen_at, rows[most - 1].id) if len(rows) > most else None
        return _alerts.dump_json(AlertPage(items=[decode_alert(row.body) for row in rows[:most]], next=more))

    return Response(await house.store.read(page), media_type=JSON)


async def incidents(request: Request, house: House) -> Response:
    """Return a page of incidents."""
    most, offset = limit(request.query_params.get("limit")), after_number(request.query_params.get("after"))
    severity, named = _severity(request), request.query_params.get("state")
    try:
        states = tuple(IncidentState(word) for word in named.split(",")) if named else STANDING
    except ValueError:
        raise Refused(400, f"'state' must be of {', '.join(IncidentState)}") from None

    def page(tx: Tx) -> bytes:
        rows = tx.incidents.standing(states=states, severity=severity, limit=most + 1, offset=offset)
        items = [IncidentSummary(**asdict(row)) for row in rows[:most]]
        more = cursor_at(offset + most) if len(rows) > most else None
        return Page[IncidentSummary](items=items, next=more).model_dump_json().encode()

    return Response(await house.store.read(page), media_type=JSON)


async def articles(request: Request, house: House) -> Response:
    """Return a page of articles, or what holds some words."""
    words = request.query_params.get("q", "")
    most, before = limit(request.query_params.get("limit")), after(request.query_params.get("after"))
    if len(words) > QUERY_LIMIT:
        raise Refused(400, f"'q' is longer than {QUERY_LIMIT} characters")
    if words and before is not None:
        raise Refused(400, "a search has one page: 'after' does not go with 'q'")

    def page() -> bytes:
        if words:
            kept = house.archive.search(ARTICLES, words, limit=most)
        else:
            kept = house.archive.latest(ARTICLES, limit=most + 1, before=before)
        items = [decode_article(each.value) for each in kept[:most]]
        return _articles.dump_json(ArticlePage(items=items, next=_next(kept, most)))

    return await _json(page)


async def incident(request: Request, house: House) -> Response:
    """Return one incident with all its steps."""
    id_ = request.path_params["id"]

    def found(tx: Tx) -> bytes | None:
        row = tx.incidents.get(id_)
        if row is None:
            return None
        steps = [decode_alert(alert.body) for alert in tx.incidents.alerts(incident=id_, limit=STEPS_LIMIT)]
        articles_of = list(tx.incidents.articles_of(id_)[:ARTICLES_LIMIT])
        answer = IncidentAnswer(**asdict(row), alerts=steps, article_ids=articles_of)
        return answer.model_dump_json().encode()

    raw = await house.store.read(found)
    if raw is None:
        raise Refused(404, f"no incident {id_!r}")
    return Response(raw, media_type=JSON)


async def feeds(request: Request, house: House) -> Response:
    """Return a page of the feeds, in order of id."""
    most, offset = limit(request.query_params.get("limit")), after_number(request.query_params.get("after"))

    def page(tx: Tx) -> bytes:
        rows = tx.ingest.list_feeds(limit=most + 1, offset=offset)
        pauses = {change.id: change for change in tx.overlay.all(PAUSE)}
        more = cursor_at(offset + most) if len(rows) > most else None
        items = [_feed(row, pauses.get(row.id)) for row in rows[:most]]
        return Page[FeedAnswer](items=items, next=more).model_dump_json().encode()

    return Response(await house.store.read(page), media_type=JSON)


async def overlay(_request: Request, house: House) -> Response:
    """Return what people changed and what stands."""
    changes = await house.store.read(lambda tx: tx.overlay.all())
    items = [
        ChangeAnswer(kind=each.kind, id=each.id, value=json.loads(each.value), actor=each.actor, at=each.at)
        for each in changes
    ]
    return told(Page[ChangeAnswer](items=items))


async def audit(request: Request, house: House) -> Response:
    """Return a page of who changed what."""
    most, before = limit(request.query_params.get("limit")), after_number(request.query_params.get("after")) or None
    entries = await house.store.read(lambda tx: tx.access.audit(limit=most + 1, before=before))
    more = cursor_at(entries[most - 1].number) if len(entries) > most else None
    items = [AuditAnswer(**{**asdict(each), "detail": json.loads(each.detail)}) for each in entries[:most]]
    return told(Page[AuditAnswer](items=items, next=more))


async def status(_request: Request, house: House) -> Response:
    """Return whether all is well."""
    return told(await status_of(house))


async def status_of(house: House) -> StatusAnswer:
    """Look at everything that says how the service is."""
    measured = await house.actions.measure()
    unready = list(house.health.unready())
    if measured.stale:
        unready.append(f"the numbers are of before: {measured.stale}")
    return StatusAnswer(
        ready=not unready,
        unready=unready,
        time=house.clock.now(),
        version=measured.version,
        rules=measured.rules,
        stages=[StageAnswer(**asdict(stage)) for stage in house.health.stages()],
        lag=dict(measured.lag),
        store_bytes=dict(measured.store_bytes),
        dead_letters=sum(measured.dead_letters.values()),
        set_aside=dict(measured.dead_letters),
        replays=dict(measured.replays),
    )


async def why(request: Request, house: House) -> Response:
    """Say why something rang, or which stage said no."""
    query = request.query_params.get("q", "").strip()
    if not query or len(query) > QUERY_LIMIT:
        raise Refused(400, f"'q' must hold a URL, words or an alert's id, at most {QUERY_LIMIT} characters")
    try:
        async with asyncio.timeout(WHY_DEADLINE_S):
            return told(await house.actions.why(query))
    except TimeoutError:
        raise Refused(503, f"no answer within {WHY_DEADLINE_S:.0f} s: the service is too busy now") from None


async def _json(make: Callable[[], bytes]) -> Response:
    return Response(await asyncio.to_thread(make), media_type=JSON)


def _next(kept: Sequence[Kept], most: int) -> str | None:
    return cursor(kept[most - 1].seen_at, kept[most - 1].id) if len(kept) > most else None


def _severity(request: Request) -> Severity:
    word = request.query_params.get("severity", Severity.MINOR)
    try:
        return Severity(word)
    except ValueError:
        raise Refused(400, f"'severity' must be one of {', '.join(Severity)}") from None


def _feed(row: FeedRow, pause: Change | None) -> FeedAnswer:
    told_of = {name: getattr(row, name) for name in FeedAnswer.model_fields if not name.startswith("paused_")}
    by, at = (pause.actor, pause.at) if pause else (None, None)
    return FeedAnswer(**told_of, paused_by=by, paused_at=at)


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/api/alerts", handle=alerts, needs=Scope.READ, answers=AlertPage,
        says="Alerts, the newest first.",
        query={**PAGING, "incident": "Only those of this incident.", "severity": "Only those at least so grave."},
    ),
    Endpoint(
        method="GET", path="/api/incidents", handle=incidents, needs=Scope.READ, answers=Page[IncidentSummary],
        says="Incidents, the gravest first, then the latest.",
        query={**PAGING, "state": "Of these states (open,quiet).", "severity": "Only those at least so grave."},
    ),
    Endpoint(
        method="GET", path="/api/incidents/{id}", handle=incident, needs=Scope.READ, answers=IncidentAnswer,
        says="One incident with all its steps.",
    ),
    Endpoint(
        method="GET", path="/api/articles", handle=articles, needs=Scope.READ, answers=ArticlePage,
        says="Articles as they were seen, the newest first.",
        query={**PAGING, "q": "Only those that hold all of these words (one page)."},
    ),
    Endpoint(
        method="GET", path="/api/feeds", handle=feeds, needs=Scope.READ, answers=Page[FeedAnswer],
        says="Every feed, its origin, pause and health.", query=PAGING,
    ),
    Endpoint(
        method="GET", path="/api/overlay", handle=overlay, needs=Scope.READ, answers=Page[ChangeAnswer],
        says="What people changed by web or command line, and what stands.",
    ),
    Endpoint(
        method="GET", path="/api/audit", handle=audit, needs=Scope.OPERATE, answers=Page[AuditAnswer],
        says="Who changed what, the newest first.", query=PAGING,
    ),
    Endpoint(
        method="GET", path="/api/status", handle=status, needs=Scope.READ, answers=StatusAnswer,
        says="Whether all is well: stages, lag, sizes, versions.",
    ),
    Endpoint(
        method="GET", path="/api/why", handle=why, needs=Scope.READ, answers=dict[str, object],
        says="Why something rang, or which stage said no.", query={"q": "A URL, words, or an alert's id."},
    ),
)  # fmt: skip
