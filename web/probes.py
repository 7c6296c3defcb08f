"""What machines ask: is the process there, may work be sent here, and how is it doing in numbers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from prometheus_client.exposition import choose_encoder
from starlette.responses import PlainTextResponse, Response

from tocsin.metrics import REGISTRY
from web.access import caller_of
from web.endpoint import Endpoint
from web.tokens import Scope

if TYPE_CHECKING:
    from starlette.requests import Request

    from web.ports import House


async def healthz(_request: Request, _house: House) -> Response:
    """Say that the process answers; nothing else can be concluded from this."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request, house: House) -> Response:
    """Say whether all stages work; the reasons are for those who may read."""
    unready = house.health.unready()
    if not unready:
        return PlainTextResponse("ready\n")
    reasons = "".join(f"{reason}\n" for reason in unready) if caller_of(request).may(Scope.READ) else ""
    return PlainTextResponse(f"not ready\n{reasons}", status_code=503)


async def metrics(request: Request, house: House) -> Response:
    """Return every number in Prometheus' text, or OpenMetrics for who asks for it."""
    await house.actions.measure()
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(await asyncio.to_thread(encode, REGISTRY), headers={"content-type": media_type})


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/healthz", handle=healthz, needs=None, answers=str, media_type="text/plain",
        says="The process answers.",
    ),
    Endpoint(
        method="GET", path="/readyz", handle=readyz, needs=None, answers=str, media_type="text/plain",
        says="All stages work; 503 when not.",
    ),
    Endpoint(
        method="GET", path="/metrics", handle=metrics, needs=Scope.METRICS, answers=str, media_type="text/plain",
        says="Numbers for Prometheus.",
    ),
)  # fmt: skip
