"""Blocking calls in threads of their own, so that one that hangs costs only itself."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final, TypeVar

from tocsin.errors import DeliveryDeferred

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
HUNG_LIMIT: Final = 4


class OwnThreads:
    """Runs each call in a new daemon thread; a call whose caller gave up is left to its fate, up to `HUNG_LIMIT`.

    No pool is shared between receivers, neither with other rooms.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._abandoned: set[threading.Thread] = set()

    async def call(self, function: Callable[[], T]) -> T:
        """Return or raise what *function* does.

        Raises:
            DeliveryDeferred: too many earlier calls hang.
        """
        self._abandoned = {thread for thread in self._abandoned if thread.is_alive()}
        if len(self._abandoned) >= HUNG_LIMIT:
            raise DeliveryDeferred(f"{len(self._abandoned)} earlier calls still hang")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(value: T | None, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(value)  # type: ignore[arg-type]  # None only where T allows it

        def run() -> None:
            value, error = None, None
            try:
                value = function()
            except BaseException as raised:  # noqa: BLE001 - carried over to the caller's task, whatever it is
                error = raised
            try:
                loop.call_soon_threadsafe(settle, value, error)
            except RuntimeError:
                return  # the loop is gone, and with it whoever waited

        thread = threading.Thread(target=run, name=self._name, daemon=True)
        thread.start()
        try:
            return await answer
        except asyncio.CancelledError:
            self._abandoned.add(thread)
            raise
