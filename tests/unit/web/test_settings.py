from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel, ValidationError

from tocsin.errors import SettingsInvalid
from tocsin.yamlfile import Outside, parse, validate
from web.settings import TokenSettings, WebSettings, host_and_port
from web.tokens import Scope, hash_of, is_same, new_token


class Holder(BaseModel):
    web: WebSettings


def read(text: str, directory: Path = Path()) -> WebSettings:
    document = parse(text.encode(), file="tocsin.yaml")
    return validate(Holder, document, outside=Outside(directory=directory)).web


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "192.0.2.7:80", "'[::]:8080'", "tocsin.example.org:80"])
def test_a_reachable_address_without_a_token_is_a_mistake_that_says_what_to_do(listen: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        read(f"web:\n  listen: {listen}\n")

    assert str(refused.value).startswith("tocsin.yaml:2:11: ")
    assert "tocsin token create NAME --scope read" in str(refused.value)


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "127.8.8.8:0", "localhost:80", "'[::1]:8080'"])
def test_loopback_needs_no_token(listen: str) -> None:
    settings = read(f"web: {{listen: {listen}}}\n")

    assert settings.is_open


def test_a_reachable_address_with_a_token_is_fine() -> None:
    line = f'{{id: ci, scopes: [read], hash: "{hash_of(new_token())}"}}'

    settings = read(f"web:\n  listen: 0.0.0.0:8080\n  tokens:\n    - {line}\n")

    assert not settings.is_open


def test_a_token_may_stand_in_a_file_and_shows_in_no_message(tmp_path: Path) -> None:
    token = new_token()
    (tmp_path / "token").write_text(f"{token}\n")

    settings = read("web: {tokens: [{id: ci, scopes: [read], token_file: token}]}\n", tmp_path)

    assert is_same(settings.tokens[0].fingerprint, hash_of(token))
    assert token not in repr(settings)


def test_a_token_that_somebody_thought_up_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("correct horse\n")

    with pytest.raises(SettingsInvalid, match="shorter than 32") as refused:
        read("web: {tokens: [{id: ci, scopes: [read], token_file: token}]}\n", tmp_path)

    assert "horse" not in str(refused.value)


def test_two_tokens_of_one_name_are_a_mistake() -> None:
    line = f'{{id: ci, scopes: [read], hash: "{hash_of("x")}"}}'

    with pytest.raises(SettingsInvalid, match="'ci' stands here twice"):
        read(f"web:\n  tokens:\n    - {line}\n    - {line}\n")


@pytest.mark.parametrize("listen", ["8080", "127.0.0.1", ":80", "127.0.0.1:http", "127.0.0.1:70000", "::1:80", "a:٣"])
def test_what_is_no_address_with_a_port_is_a_mistake(listen: str) -> None:
    with pytest.raises(ValidationError, match="address"):
        WebSettings(listen=listen)


@given(port=st.integers(0, 65535), address=st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_an_address_is_taken_apart_and_put_together_again(port: int, address: object) -> None:
    text = str(address)

    host, found = host_and_port(f"[{text}]:{port}" if ":" in text else f"{text}:{port}")

    assert (host, found) == (text, port)


@pytest.mark.parametrize(
    ("held", "needed", "may"),
    [
        (Scope.OPERATE, Scope.READ, True),
        (Scope.OPERATE, Scope.METRICS, True),
        (Scope.READ, Scope.METRICS, True),
        (Scope.READ, Scope.OPERATE, False),
        (Scope.METRICS, Scope.READ, False),
    ],
)
def test_a_scope_includes_those_below_it(held: Scope, needed: Scope, may: bool) -> None:
    token = TokenSettings(id="ci", scopes=(held,), hash=hash_of("x"))

    assert token.allows(needed) is may


def test_no_two_tokens_are_alike_and_a_hash_does_not_hold_its_token() -> None:
    tokens = {new_token() for _ in range(100)}

    assert len(tokens) == 100
    assert all(token not in hash_of(token) and len(token) >= 50 for token in tokens)
