"""Dead letters over HTTP: what was set aside, and what people have become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from tocsin.store.dead_letters import Which
from web.access import caller_of
from web.api import PAGING
from web.endpoint import JSON, Endpoint, told
from web.problems import Refused
from web.shapes import (
    DeadLetterAnswer,
    DeadLetterPage,
    HandledAnswer,
    Meant,
    RefusedLetter,
    ReplayAnswer,
    after,
    cursor,
    instant,
    limit,
    read,
)
from web.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from tocsin.records import DeadLetter
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx
    from web.ports import Handled, House, Letters


async def dead_letters(request: Request, house: House) -> Response:
    """Return a page of what was set aside."""
    return Response(await page_of(house.store, request.query_params), media_type=JSON)


async def page_of(store: Store, query: Mapping[str, str]) -> bytes:
    """Return a page of what was set aside as JSON; *query* is that of the request."""
    most, before = limit(query.get("limit")), after(query.get("after"))
    asked = Which(
        stage=query.get("stage"),
        topic=query.get("topic"),
        since=instant(query.get("since"), "since"),
        until=instant(query.get("until"), "until"),
    )

    def page(tx: Tx) -> bytes:
        letters = tx.dead_letters.headings(asked, limit=most + 1, after=before)
        more = cursor(letters[most - 1].at, letters[most - 1].id) if len(letters) > most else None
        items = [letter_answer(each) for each in letters[:most]]
        return DeadLetterPage(items=items, next=more, total=tx.dead_letters.count(asked)).model_dump_json().encode()

    return await store.read(page)


async def dead_letter(request: Request, house: House) -> Response:
    """Return one record that was set aside, with what it holds."""
    return told(await one_of(house.store, request.path_params["id"]))


async def one_of(store: Store, id_: str) -> DeadLetterAnswer:
    """Return the letter of that id, or the only one whose id begins so, with what it holds."""
    letter = await store.read(lambda tx: tx.dead_letters.find(id_))
    if letter is None:
        raise _no_such(id_)
    return letter_answer(letter, whole=True)


async def replay(request: Request, house: House) -> Response:
    """Have one of them taken up again."""
    actor = caller_of(request).actor
    return told(await replay_by(house.actions.letters, request.path_params["id"], actor=actor), status=202)


async def replay_by(letters: Letters, id_: str, *, actor: str) -> ReplayAnswer:
    """Replay a dead letter in the name of *actor*; API, page and command line share this."""
    decision = await letters.replay(id_, actor=actor)
    if decision.id is None:
        raise _no_such(id_)
    if decision.obstacle is not None:
        raise Refused(409, f"the dead letter {decision.id} cannot be replayed: {decision.obstacle}")
    return ReplayAnswer(id=decision.id, stage=decision.stage)


async def drop(request: Request, house: House) -> Response:
    """Forget one of them."""
    await drop_by(house.actions.letters, request.path_params["id"], actor=caller_of(request).actor)
    return Response(status_code=204)


async def drop_by(letters: Letters, id_: str, *, actor: str) -> None:
    """Drop a dead letter in the name of *actor*; API, page and command line share this."""
    if (await letters.drop(id_, actor=actor)).id is None:
        raise _no_such(id_)


async def replay_many(request: Request, house: House) -> Response:
    """Have many of them taken up again."""
    act = house.actions.letters.replay_many
    return told(await many_by(act, await request.body(), actor=caller_of(request).actor))


async def drop_many(request: Request, house: House) -> Response:
    """Forget many of them."""
    act = house.actions.letters.drop_many
    return told(await many_by(act, await request.body(), actor=caller_of(request).actor))


async def many_by(act: Callable[..., Awaitable[Handled]], body: bytes, *, actor: str) -> HandledAnswer:
    """Let *act* handle those that *body* means, in the name of *actor*."""
    meant = read(Meant, body)
    asked = Which(stage=meant.stage, topic=meant.topic, since=meant.since, until=meant.until)
    handled = await act(asked, actor=actor, after=after(meant.after))
    refused = [RefusedLetter(id=id_, reason=reason) for id_, reason in handled.refused]
    more = cursor(*handled.after) if handled.after else None
    return HandledAnswer(done=handled.done, left=handled.left, refused=refused, next=more)


def letter_answer(letter: DeadLetter, *, whole: bool = False) -> DeadLetterAnswer:
    """Return *letter* as the API tells it; *whole* with what it holds, which may be long."""
    names = (name for name in DeadLetterAnswer.model_fields if name not in {"size_bytes", "value", "record"})
    answer = DeadLetterAnswer(**{name: getattr(letter, name) for name in names}, size_bytes=letter.size)
    if not whole:
        return answer.model_copy(update={"traceback": None})
    try:
        record = msgspec.json.decode(letter.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        record = None
    return answer.model_copy(update={"value": letter.value.decode("utf-8", "replace"), "record": record})


def _no_such(id_: str) -> Refused:
    return Refused(404, f"no dead letter {id_!r}, or several whose ids begin so")


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/api/dead-letters", handle=dead_letters, needs=Scope.READ, answers=DeadLetterPage,
        says="Records that were set aside, the newest first.",
        query={
            **PAGING,
            "stage": "Only those of this stage.",
            "topic": "Only those of this topic: a stream's, timers, outbox or documents.",
            "since": "Only those set aside at this instant (ISO 8601) or later.",
            "until": "Only those set aside at this instant (ISO 8601) or earlier.",
        },
    ),
    Endpoint(
        method="GET", path="/api/dead-letters/{id}", handle=dead_letter, needs=Scope.READ, answers=DeadLetterAnswer,
        says="One record that was set aside, with what it holds.",
    ),
    Endpoint(
        method="POST", path="/api/dead-letters/replay", handle=replay_many, needs=Scope.OPERATE, takes=Meant,
        answers=HandledAnswer, says="Have many dead letters taken up again, the oldest first.",
    ),
    Endpoint(
        method="POST", path="/api/dead-letters/drop", handle=drop_many, needs=Scope.OPERATE, takes=Meant,
        answers=HandledAnswer, says="Forget many dead letters for good.",
    ),
    Endpoint(
        method="POST", path="/api/dead-letters/{id}/replay", handle=replay, needs=Scope.OPERATE, answers=ReplayAnswer,
        status=202, says="Have one dead letter taken up again by the stage that set it aside; 409 says why not.",
    ),
    Endpoint(
        method="DELETE", path="/api/dead-letters/{id}", handle=drop, needs=Scope.OPERATE, status=204,
        says="Forget one dead letter for good.",
    ),
)  # fmt: skip
