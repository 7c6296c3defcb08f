"""The token that says who we are to brokers with OAUTHBEARER: asked for by client credentials, or read from a file."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import aiohttp
import structlog
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError  # what aiokafka takes as a reason to try again
from typing_extensions import override

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.stream.settings import SecuritySettings

log = structlog.get_logger()

ASK_DEADLINE_S: Final = 10.0
RENEW_DEADLINE_S: Final = 1.5  # while the one that we have still holds: a connection waits meanwhile
RENEW_AGAIN_S: Final = 10.0
FRESH_PART: Final = 0.8  # of its life: then it is asked for anew
GOOD_PART: Final = 0.95  # of its life, for a broker looks at it some time after we did
LIFE_S: Final = 300.0  # where the server does not say (RFC 6749, 5.1: expires_in is only recommended)
ANSWER_LIMIT_BYTES: Final = 64 * 1024
PIECE_BYTES: Final = 8 * 1024


class FileToken(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """A token that something else keeps fresh in a file; read for each connection."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @override
    async def token(self) -> str:
        """Return what stands in the file now."""
        try:
            text = await asyncio.to_thread(self._file.read_text, encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not ASCII"
            raise KafkaConnectionError(f"token file {str(self._file)!r} cannot be read: {reason}") from None
        token = text.strip()
        if not token:
            raise KafkaConnectionError(f"token file {str(self._file)!r} is empty")
        return token


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """A token of the OAuth server's, kept until most of its life is over (RFC 6749, 4.4)."""

    def __init__(self, security: SecuritySettings) -> None:
        assert security.token_url is not None
        assert security.client_id is not None
        assert security.client_secret is not None
        self._url = security.token_url
        self._user = security.client_id
        self._secret = security.client_secret
        self._scope = security.scope
        self._token = ""
        self._fresh_until = 0.0
        self._good_until = 0.0
        self._asking = asyncio.Lock()

    @override
    async def token(self) -> str:
        """Return the token, asked for anew when it is not fresh; where that fails, the old one for as long as it holds.

        Raises:
            KafkaConnectionError: there is none that holds; it says what the server answered.
        """
        async with self._asking:
            now = time.monotonic()
            if now >= self._fresh_until:
                await self._renew(now)
            return self._token

    async def _renew(self, now: float) -> None:
        holds = now < self._good_until
        try:
            self._token, life_s = await self._ask(deadline_s=RENEW_DEADLINE_S if holds else ASK_DEADLINE_S)
        except KafkaConnectionError as error:
            if not holds:
                raise
            self._fresh_until = min(now + RENEW_AGAIN_S, self._good_until)
            log.warning("token not renewed", reason=str(error), holds_s=round(self._good_until - now))
        else:
            self._fresh_until = now + FRESH_PART * life_s
            self._good_until = now + GOOD_PART * life_s

    async def _ask(self, *, deadline_s: float) -> tuple[str, float]:
        fields = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        user, secret = (quote(part, safe="") for part in (self._user, self._secret.get_secret_value()))
        auth = f"Basic {b64encode(f'{user}:{secret}'.encode()).decode()}"  # RFC 6749, 2.3.1
        try:
            async with (
                asyncio.timeout(deadline_s),
                aiohttp.ClientSession(trust_env=False) as client,
                client.post(self._url, data=fields, headers={"Authorization": auth}, allow_redirects=False) as answer,
            ):
                body = await self._body(answer)
                status = answer.status
        except TimeoutError:
            raise KafkaConnectionError(f"no token from {self._url!r}: no answer in {deadline_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise KafkaConnectionError(f"no token from {self._url!r}: {error}") from None
        if status != HTTPStatus.OK:
            raise KafkaConnectionError(f"no token from {self._url!r}: HTTP {status}{_why(body)}")
        return self._read(body)

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in answer.content.iter_chunked(PIECE_BYTES):
            body += piece
            if len(body) > ANSWER_LIMIT_BYTES:
                raise KafkaConnectionError(f"no token from {self._url!r}: more than {ANSWER_LIMIT_BYTES:,} bytes")
        return bytes(body)

    def _read(self, body: bytes) -> tuple[str, float]:
        try:
            answer = json.loads(body)
            token, life_s = answer["access_token"], float(answer.get("expires_in", LIFE_S))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise KafkaConnectionError(f"no token from {self._url!r}: the answer holds no access_token") from None
        if not isinstance(token, str) or not token:
            raise KafkaConnectionError(f"no token from {self._url!r}: the answer holds no access_token")
        return token, max(0.0, life_s)


def _why(body: bytes) -> str:
    """Return the server's error code (RFC 6749, 5.2), a short word that holds no secret."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, TypeError, KeyError):
        return ""
    return f" ({error[:60]})" if isinstance(error, str) else ""
