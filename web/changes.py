"""What the API changes. Each change and its entry in the audit are one transaction; files are never written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from tocsin.store.access import AuditEntry
from tocsin.store.overlay import FEED, FEEDS_CHANGED, PAUSE, Change
from web.access import caller_of
from web.endpoint import Endpoint, told
from web.problems import Refused
from web.shapes import ChangeAnswer, FeedToAdd, Pause, ReloadAnswer, read
from web.tokens import Scope

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.requests import Request

    from tocsin.store.tx import Tx
    from web.ports import House


async def add_feed(request: Request, house: House) -> Response:
    """Have a further feed polled."""
    feed = read(FeedToAdd, await request.body())
    value = feed.model_dump(mode="json", exclude_none=True)
    if problems := house.actions.feed_problems(value):
        raise Refused(422, f"feed {feed.id!r}: {problems[0]}", errors=tuple(problems))
    change = _change(request, house.clock.now(), FEED, feed.id, value)

    def unit(tx: Tx) -> bool:
        if _is_there(tx, feed.id):
            return False
        tx.overlay.put(change)
        tx.access.note(_entry(change, "feed.add"))
        tx.wake(FEEDS_CHANGED)
        return True

    if not await house.store.write(unit):
        raise Refused(409, f"the feed {feed.id!r} is there already; one in a file can only be paused here")
    return told(_told(change), status=201)


async def remove_feed(request: Request, house: House) -> Response:
    """Forget a feed that was added here."""
    id_ = request.path_params["id"]
    change = _change(request, house.clock.now(), FEED, id_, {})

    def unit(tx: Tx) -> Refused | None:
        if not tx.overlay.remove(FEED, id_):
            if _is_there(tx, id_):
                return Refused(409, f"the feed {id_!r} stands in a file: pause it here, or take it out of the file")
            return Refused(404, f"no feed {id_!r}")
        tx.overlay.remove(PAUSE, id_)
        tx.access.note(_entry(change, "feed.remove"))
        tx.wake(FEEDS_CHANGED)
        return None

    refused = await house.store.write(unit)
    if refused is not None:
        raise refused
    return Response(status_code=204)


async def pause_feed(request: Request, house: House) -> Response:
    """Stop polling a feed until somebody resumes it."""
    pause = read(Pause, await request.body())
    return told(_told(await pause_by(request, house, request.path_params["id"], reason=pause.reason)))


async def pause_by(request: Request, house: House, id_: str, *, reason: str) -> Change:
    """Pause the feed of that id in the name of whoever sent *request*; page and API share this."""
    change = _change(request, house.clock.now(), PAUSE, id_, {"reason": reason})

    def unit(tx: Tx) -> bool:
        if not _is_there(tx, id_):
            return False
        tx.overlay.put(change)
        tx.access.note(_entry(change, "feed.pause"))
        tx.wake(FEEDS_CHANGED)
        return True

    if not await house.store.write(unit):
        raise Refused(404, f"no feed {id_!r}")
    return change


async def resume_feed(request: Request, house: House) -> Response:
    """Poll a paused feed again."""
    await resume_by(request, house, request.path_params["id"])
    return Response(status_code=204)


async def resume_by(request: Request, house: House, id_: str) -> None:
    """Resume the feed of that id in the name of whoever sent *request*; nothing happens when it is not paused."""
    change = _change(request, house.clock.now(), PAUSE, id_, {})

    def unit(tx: Tx) -> bool:
        if tx.overlay.remove(PAUSE, id_):
            tx.access.note(_entry(change, "feed.resume"))
            tx.wake(FEEDS_CHANGED)
            return True
        return _is_there(tx, id_)

    if not await house.store.write(unit):
        raise Refused(404, f"no feed {id_!r}")


async def reload(request: Request, house: House) -> Response:
    """Read the configuration again."""
    problems = await house.actions.reload()
    outcome = {"problems": len(problems)}
    change = _change(request, house.clock.now(), "config", "files", outcome)
    await house.store.write(lambda tx: tx.access.note(_entry(change, "config.reload")))
    if problems:
        says = "the files have mistakes; the configuration in force stays"
        raise Refused(422, says, errors=tuple(str(problem) for problem in problems))
    return told(ReloadAnswer(reloaded=True))


def _is_there(tx: Tx, id_: str) -> bool:
    """Whether a feed of that id is polled already, or was added and will be in a moment."""
    row = tx.ingest.feed(id_)
    return (row is not None and row.listed) or tx.overlay.get(FEED, id_) is not None


def _change(request: Request, at: datetime, kind: str, id_: str, value: object) -> Change:
    written = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return Change(kind=kind, id=id_, value=written, actor=caller_of(request).actor, at=at)


def _entry(change: Change, action: str) -> AuditEntry:
    return AuditEntry(at=change.at, actor=change.actor, action=action, target=change.id, detail=change.value)


def _told(change: Change) -> ChangeAnswer:
    return ChangeAnswer(
        kind=change.kind, id=change.id, value=json.loads(change.value), actor=change.actor, at=change.at
    )


ENDPOINTS: Final = (
    Endpoint(
        method="POST", path="/api/feeds", handle=add_feed, needs=Scope.OPERATE, takes=FeedToAdd, answers=ChangeAnswer,
        says="Add a feed to those of the files.", status=201,
    ),
    Endpoint(
        method="DELETE", path="/api/feeds/{id}", handle=remove_feed, needs=Scope.OPERATE, status=204,
        says="Remove a feed that was added here; one in a file can only be paused.",
    ),
    Endpoint(
        method="POST", path="/api/feeds/{id}/pause", handle=pause_feed, needs=Scope.OPERATE, takes=Pause,
        answers=ChangeAnswer, says="Stop polling a feed until it is resumed.",
    ),
    Endpoint(
        method="POST", path="/api/feeds/{id}/resume", handle=resume_feed, needs=Scope.OPERATE, status=204,
        says="Poll a paused feed again.",
    ),
    Endpoint(
        method="POST", path="/-/reload", handle=reload, needs=Scope.OPERATE, answers=ReloadAnswer,
        says="Read the files again; with a mistake in them the old configuration stays.",
    ),
)  # fmt: skip
