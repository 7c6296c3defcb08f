"""The web application: doors every request passes, the API, the pages."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response

from tocsin.errors import TryLater
from web import api, changes, letters, openapi, probes, topics
from web.access import Authentication
from web.csrf import CsrfGuard, CsrfTokens
from web.endpoint import JSON, Endpoint, route
from web.limits import RateLimit, body_door, host_door, rate_door, with_security_headers
from web.pages import Pages
from web.ports import House
from web.problems import behind, crash, refuse, wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from tocsin.clock import Clock
    from tocsin.store.port import Store
    from web.ports import Actions, Archive, Health
    from web.settings import WebSettings

ENDPOINTS: Final = (
    *probes.ENDPOINTS,
    *api.ENDPOINTS,
    *topics.ENDPOINTS,
    *changes.ENDPOINTS,
    *letters.ENDPOINTS,
)


def create_app(
    *,
    store: Store,
    archive: Archive,
    health: Health,
    settings: Callable[[], WebSettings],
    actions: Actions,
    clock: Clock,
) -> Starlette:
    """Return the application. *settings* is asked at each request, so that a reload takes hold at once."""
    house = House(store=store, archive=archive, health=health, settings=settings, actions=actions, clock=clock)
    rate = RateLimit(settings, clock)
    csrf = CsrfTokens(settings)
    doors = (
        host_door(settings),
        rate_door(rate),
        Authentication(house=house, rate=rate).door,
        body_door(settings),
        CsrfGuard(tokens=csrf, settings=settings).door,
    )
    described = (*ENDPOINTS, _description())
    return Starlette(
        routes=[
            *(route(endpoint, house) for endpoint in described),
            *Pages(house=house, csrf=csrf, rate=rate).routes(),
        ],
        middleware=[Middleware(with_security_headers), Middleware(behind, doors=doors)],
        exception_handlers={HTTPException: refuse, TryLater: wait, Exception: crash},
    )


def _description() -> Endpoint:
    """Return the endpoint that tells of all the others."""
    document: bytes | None = None

    def make() -> bytes:
        version = importlib.metadata.version("tocsin")
        return msgspec.json.encode(openapi.document((*ENDPOINTS, described), version=version))

    async def handle(_request: Request, _house: House) -> Response:
        nonlocal document
        if document is None:
            document = await asyncio.to_thread(make)
        return Response(document, media_type=JSON)

    described = Endpoint(
        method="GET", path="/api/openapi.json", handle=handle, needs=None, answers=dict[str, object],
        says="This document.",
    )  # fmt: skip
    return described
