"""An OAuth server on loopback: client credentials in (RFC 6749, 4.4), signed tokens out (RFC 7519)."""

from __future__ import annotations

import json
import secrets
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from typing_extensions import override

LIFE_S = 300.0
KEY_ID = "one"


def _packed(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


class TokenServer:
    """Gives tokens to one client, and its public key to whoever must check them.

    Set `answers_with` to a status to have it refuse for a while; `given` counts the tokens.
    """

    def __init__(self, folder: Path) -> None:
        self.client_id = "tocsin-client"
        self.client_secret = secrets.token_hex(12)
        self.issuer = "tocsin-tests"
        self.audience = "kafka"
        self.life_s = LIFE_S
        self.given = 0
        self.answers_with: int | None = None
        self._key = generate_private_key(65537, 2048)
        keys_file = folder / "keys.json"
        keys_file.write_text(json.dumps(self._keys()), encoding="utf-8")
        self.keys_url = keys_file.as_uri()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="tokens", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def mint(self, *, subject: str = "tocsin", life_s: float | None = None, audience: str | None = None) -> str:
        """Make a token, which may be stale from the start when *life_s* is below zero."""
        now = time.time()
        head = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        claims = {
            "iss": self.issuer,
            "aud": audience or self.audience,
            "sub": subject,
            "iat": int(now - 600),
            "exp": int(now + (self.life_s if life_s is None else life_s)),
            "jti": secrets.token_hex(8),
        }
        text = ".".join(_packed(json.dumps(part).encode()) for part in (head, claims))
        return f"{text}.{_packed(self._key.sign(text.encode(), PKCS1v15(), SHA256()))}"

    def _keys(self) -> dict[str, object]:
        numbers = self._key.public_key().public_numbers()
        modulus, exponent = (_packed(n.to_bytes((n.bit_length() + 7) // 8, "big")) for n in (numbers.n, numbers.e))
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": modulus, "e": exponent}]}

    def answer(self, authorization: str, form: str) -> tuple[int, dict[str, object]]:
        """Decide about one request; return status and body."""
        if self.answers_with is not None:
            return self.answers_with, {"error": "temporarily_unavailable"}
        expected = b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if authorization != f"Basic {expected}":
            return 401, {"error": "invalid_client"}
        if parse_qs(form).get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}
        self.given += 1
        return 200, {"access_token": self.mint(), "token_type": "Bearer", "expires_in": int(self.life_s)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                status, body = server.answer(self.headers.get("Authorization", ""), form)
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            @override
            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
