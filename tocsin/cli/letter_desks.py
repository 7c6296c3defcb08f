"""Whom `tocsin dead-letters` asks: the service that runs here, or a desk of its own before the store."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from tocsin.cli.options import settings_of

if TYPE_CHECKING:
    from tocsin.control import ControlClient
    from tocsin.dead_letters import Desk as StoreDesk
    from tocsin.store.port import Store

T = TypeVar("T")

PATH: Final = "/api/dead-letters"


class Desk(Protocol):
    """Where dead letters are asked for: answers in the JSON of the API, errors as `AnsweredNo`."""

    async def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page."""
        ...

    async def one(self, id: str) -> dict[str, Any]:  # noqa: A002 — the domain's own word
        """Return one with what it holds."""
        ...

    async def act(self, action: str, id: str) -> str:  # noqa: A002 — the domain's own word
        """Replay or drop one, and say what was done."""
        ...

    async def act_on_many(self, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Replay or drop a part of many."""
        ...


@asynccontextmanager
async def desk_of(config: Path | None, folder: Path) -> AsyncIterator[Desk]:
    """Yield the desk of the service that runs here, or one of our own before the store when none does."""
    from tocsin.control import ControlClient, NothingRuns

    client = ControlClient(folder)
    try:
        await client.get(PATH, {"limit": "1"})
    except NothingRuns:
        pass
    else:
        yield _ServiceDesk(client)
        return
    from tocsin.cli.state import opened
    from tocsin.clock import SystemClock
    from tocsin.dead_letters import Desk as StoreDesk

    settings = settings_of(config, folder)
    async with opened(settings, name="dead-letters") as store:
        desk = StoreDesk(store=store, clock=SystemClock(), receivers=lambda: settings.notifier.receivers)
        yield _OwnDesk(store, desk)


class _ServiceDesk:
    """`Desk` of the running service, by its control socket."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    async def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page."""
        page: dict[str, Any] = await self._client.get(PATH, query)
        return page

    async def one(self, id: str) -> dict[str, Any]:  # noqa: A002 — the domain's own word
        """Return one with what it holds."""
        letter: dict[str, Any] = await self._client.get(f"{PATH}/{_segment(id)}")
        return letter

    async def act(self, action: str, id: str) -> str:  # noqa: A002 — the domain's own word
        """Replay or drop one."""
        if action == "drop":
            await self._client.delete(f"{PATH}/{_segment(id)}")
            return f"{id}: dropped"
        answer = await self._client.post(f"{PATH}/{_segment(id)}/replay")
        return f"{answer['id']}: given back to {answer['stage']}"

    async def act_on_many(self, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Replay or drop a part of many."""
        handled: dict[str, Any] = await self._client.post(f"{PATH}/{action}", dict(body))
        return handled


class _OwnDesk:
    """`Desk` over an open store, with the words of the service and an entry in its audit."""

    def __init__(self, store: Store, desk: StoreDesk) -> None:
        self._store = store
        self._desk = desk
        self._actor = f"local:{os.getuid()}"

    async def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page."""
        from web.letters import page_of

        page: dict[str, Any] = json.loads(await page_of(self._store, query))
        return page

    async def one(self, id: str) -> dict[str, Any]:  # noqa: A002 — the domain's own word
        """Return one with what it holds."""
        from web.letters import one_of

        return (await _answered(one_of(self._store, id))).model_dump(mode="json")

    async def act(self, action: str, id: str) -> str:  # noqa: A002 — the domain's own word
        """Replay or drop one."""
        from web.letters import drop_by, replay_by

        if action == "drop":
            await _answered(drop_by(self._desk, id, actor=self._actor))
            return f"{id}: dropped"
        answer = await _answered(replay_by(self._desk, id, actor=self._actor))
        return f"{answer.id}: given back to {answer.stage}, which takes it up when it runs"

    async def act_on_many(self, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Replay or drop a part of many."""
        from web.letters import many_by

        act = self._desk.drop_many if action == "drop" else self._desk.replay_many
        return (await _answered(many_by(act, json.dumps(body).encode(), actor=self._actor))).model_dump(mode="json")


async def _answered(answer: Awaitable[T]) -> T:
    from tocsin.control import AnsweredNo
    from web.problems import Refused

    try:
        return await answer
    except Refused as refused:
        raise AnsweredNo(refused.status_code, refused.detail, refused.errors) from None


def _segment(id_: str) -> str:
    from urllib.parse import quote

    return quote(id_, safe="")
