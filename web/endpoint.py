"""One row of the table that routes, access checks and the OpenAPI document are all made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from web.access import require
from web.ports import House
from web.tokens import Scope

Handle = Callable[[Request, House], Awaitable[Response]]
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What can be asked for. `needs` None means that anybody may; `answers` and `takes` are types of `web.shapes`."""

    method: str
    path: str
    handle: Handle
    says: str
    needs: Scope | None
    answers: Any = None
    takes: type[BaseModel] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    media_type: str = JSON


def route(endpoint: Endpoint, house: House) -> Route:
    """Return the route of *endpoint*; its caller is checked here, so no handler can forget to."""

    async def handle(request: Request) -> Response:
        if endpoint.needs is not None:
            require(request, endpoint.needs)
        return await endpoint.handle(request, house)

    return Route(endpoint.path, handle, methods=[endpoint.method], name=f"{endpoint.method} {endpoint.path}")


def told(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a small value as JSON: records, mappings, datetimes, or a model of `web.shapes`."""
    raw = msgspec.json.encode(value, enc_hook=lambda model: model.model_dump(mode="json"))
    return Response(raw, status_code=status, headers=dict(headers or {}), media_type=JSON)
