"""How the command line speaks with a running service: HTTP over a socket file that only its owner can open."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tocsin.errors import TocsinError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOCKET: Final = "control.sock"
WEB: Final = "web.json"  # where the web listens, for tools that look for it
DEADLINE_S: Final = 30.0
PATH_LIMIT_BYTES: Final = 100  # of a socket's path; Linux has 108, other systems less


class NothingRuns(TocsinError):
    """No service runs on this data directory, so there is nobody to ask."""


class Unanswered(TocsinError):
    """A service holds the socket, but it does not answer."""


class AnsweredNo(TocsinError):
    """The service refused. `errors` are the single mistakes when there are several."""

    def __init__(self, status: int, detail: str, errors: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = errors


@dataclass(frozen=True, slots=True)
class ControlClient:
    """Asks the service that runs on *data_dir*. Every answer is decoded JSON, None when it is empty."""

    data_dir: Path

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401  JSON
        """Ask for *path*.

        Raises:
            NothingRuns: nobody listens there.
            AnsweredNo: an error, with the words of the service.
            Unanswered: no whole answer within `DEADLINE_S`.
        """
        return await self._ask("GET", path, query=query)

    async def post(self, path: str, body: object = None) -> Any:  # noqa: ANN401  JSON
        """Have something changed; raises as `get` does."""
        return await self._ask("POST", path, body=body)

    async def delete(self, path: str) -> Any:  # noqa: ANN401  JSON
        """Have something removed; raises as `get` does."""
        return await self._ask("DELETE", path)

    async def _ask(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Any:  # noqa: ANN401  JSON
        import aiohttp  # noqa: PLC0415  costs 0.2 s, and most commands never speak with a service

        raw = None if body is None else msgspec.json.encode(body)
        headers = {} if raw is None else {"content-type": "application/json"}
        try:
            with short_path(self.data_dir / SOCKET) as socket_path:
                connector = aiohttp.UnixConnector(path=socket_path)
                timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
                async with (
                    aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                    session.request(
                        method, f"http://tocsin{path}", params=query, data=raw, headers=headers
                    ) as response,
                ):
                    answer, status = await response.read(), response.status
        except (aiohttp.ClientConnectorError, FileNotFoundError) as error:
            raise NothingRuns(
                f"no service runs on the data directory {self.data_dir}: start it with `tocsin run`"
            ) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unanswered(
                f"the service on {self.data_dir} does not answer: {str(error) or 'no answer in time'}"
            ) from error
        if status >= 400:  # noqa: PLR2004  HTTP's own border
            raise _refusal(status, answer)
        return msgspec.json.decode(answer) if answer else None


def _refusal(status: int, answer: bytes) -> AnsweredNo:
    try:
        told = msgspec.json.decode(answer, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnsweredNo(status, f"HTTP {status}")
    return AnsweredNo(status, str(told.get("detail", f"HTTP {status}")), tuple(map(str, told.get("errors", ()))))


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a name for the socket at *path* that is short enough for the kernel, while the context lasts."""
    whole = str(path)
    if len(os.fsencode(whole)) <= PATH_LIMIT_BYTES or not Path("/proc/self/fd").is_dir():
        yield whole
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
