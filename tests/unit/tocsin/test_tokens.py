"""The token for the brokers: read to its end, and kept for as long as it holds while its server is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from tocsin.stream.settings import SecuritySettings
from tocsin.stream.tokens import ANSWER_LIMIT_BYTES, ClientCredentials

PAUSE_S = 0.05


class Server:
    """Answers each question with `pieces`, a moment apart; with none, it hangs up."""

    def __init__(self) -> None:
        self.pieces: Sequence[bytes] = ()
        self.asked = 0
        self.port = 0
        self.answers: set[asyncio.Task[None]] = set()

    def give(self, token: str, *, life_s: float = 300.0, cut: int = 20) -> None:
        text = json.dumps({"access_token": token, "expires_in": life_s}).encode()
        self.pieces = (text[:cut], text[cut:])

    def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answers.add(asyncio.ensure_future(self._answer(reader, writer)))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        size = sum(map(len, self.pieces))
        if size:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode())
        for piece in self.pieces:
            writer.write(piece)
            await asyncio.sleep(PAUSE_S)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def a_server() -> AsyncIterator[tuple[Server, ClientCredentials]]:
    server = Server()
    async with await asyncio.start_server(server.answer, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        who = {"token_url": f"http://127.0.0.1:{server.port}/", "client_id": "c", "client_secret": "not-to-be-shown"}
        security = SecuritySettings.model_validate({"protocol": "SASL_SSL", "mechanism": "OAUTHBEARER", **who})
        yield server, ClientCredentials(security)
        await asyncio.wait(server.answers)


def past_its_best(tokens: ClientCredentials) -> None:
    """Have it be time for a new one."""
    tokens._fresh_until = 0.0


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    async with a_server() as (server, tokens):
        server.give("t" * 3_000, cut=1_000)

        token = await tokens.token()

    assert token == "t" * 3_000


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    async with a_server() as (server, tokens):
        server.pieces = [b" " * ANSWER_LIMIT_BYTES, b" "]

        with pytest.raises(KafkaConnectionError, match=r"more than 65,536 bytes"):
            await tokens.token()


async def test_a_token_that_still_holds_is_used_while_its_server_is_away() -> None:
    async with a_server() as (server, tokens):
        server.give("first")
        await tokens.token()
        past_its_best(tokens)
        server.pieces = ()
        structlog.reset_defaults()  # whoever ran before may have had it say errors only

        with capture_logs() as said:
            kept = [await tokens.token(), await tokens.token()]
        asked = server.asked
        past_its_best(tokens)
        server.give("second")
        renewed = await tokens.token()

    assert kept == ["first", "first"]
    assert asked == 2  # and not again for each connection
    (told,) = said
    assert (told["event"], told["log_level"]) == ("token not renewed", "warning")
    assert "not-to-be-shown" not in str(told)
    assert renewed == "second"


async def test_a_token_that_holds_no_more_is_not_used() -> None:
    async with a_server() as (server, tokens):
        server.give("stale", life_s=0.0)
        await tokens.token()
        server.pieces = ()

        with pytest.raises(KafkaConnectionError, match="no token from"):
            await tokens.token()
