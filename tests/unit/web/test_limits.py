from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st
from starlette.types import Message

from tocsin.quantities import Rate
from tocsin.testing import MINUTE, NOON, FakeClock, a_store
from web.access import Authentication
from web.limits import CALLER, RateLimit, client_of
from web.pages import own_path, web_address
from web.problems import Refused
from web.settings import WebSettings
from web.shapes import after, cursor
from web.tokens import Scope

SETTINGS = WebSettings(requests=Rate(10, timedelta(minutes=1)), burst=10)


def request_from(address: str, *headers: tuple[bytes, bytes]) -> MutableMapping[str, Any]:
    return {"type": "http", "client": (address, 1234), "headers": list(headers)}


def spend(rate: RateLimit, address: str) -> int:
    """Ask until refused; return how often it was allowed."""
    for count in range(1000):
        try:
            rate.charge(request_from(address))
        except Refused:
            return count
    raise AssertionError


async def test_a_bucket_fills_again_with_time() -> None:
    clock = FakeClock()
    rate = RateLimit(lambda: SETTINGS, clock)

    first = spend(rate, "192.0.2.1")
    await clock.move(MINUTE / 2)
    second = spend(rate, "192.0.2.1")
    await clock.move(100 * MINUTE)
    third = spend(rate, "192.0.2.1")

    assert (first, second, third) == (10, 5, 10)


def test_one_client_does_not_spend_what_another_has() -> None:
    rate = RateLimit(lambda: SETTINGS, FakeClock())

    assert spend(rate, "192.0.2.1") == 10
    assert spend(rate, "192.0.2.2") == 10


def test_all_of_one_ipv6_network_are_one_client() -> None:
    rate = RateLimit(lambda: SETTINGS, FakeClock())

    assert spend(rate, "2001:db8::1") == 10
    assert spend(rate, "2001:db8::ffff:2") == 0
    assert spend(rate, "2001:db8:0:1::1") == 10


def test_no_more_clients_are_remembered_than_allowed() -> None:
    rate = RateLimit(lambda: SETTINGS, FakeClock(), most=100)

    for number in range(1000):
        rate.charge(request_from(f"10.0.{number // 256}.{number % 256}"))

    assert len(rate._buckets) == 100


@pytest.mark.parametrize(
    ("told", "client"),
    [
        (b"198.51.100.9", "198.51.100.9"),
        (b"203.0.113.66, 198.51.100.9", "198.51.100.9"),  # what a client claims stands to the left
        (b"198.51.100.9, 10.0.0.2", "198.51.100.9"),
        (b"", "10.0.0.1"),
        (b"10.0.0.3", "10.0.0.3"),
    ],
)
def test_behind_our_own_proxies_the_nearest_stranger_is_the_client(told: bytes, client: str) -> None:
    settings = WebSettings.model_validate({"trusted_proxies": ["10.0.0.0/24"]})

    assert client_of(request_from("10.0.0.1", (b"x-forwarded-for", told)), settings) == client


def test_nobody_else_is_believed_about_his_address() -> None:
    forged = request_from("198.51.100.9", (b"x-forwarded-for", b"192.0.2.1"))

    assert client_of(forged, SETTINGS) == "198.51.100.9"
    assert client_of(forged, WebSettings.model_validate({"trusted_proxies": ["10.0.0.0/24"]})) == "198.51.100.9"


@given(seen_at=st.datetimes(timezones=st.just(NOON.tzinfo)), id_=st.text(st.characters(codec="utf-8"), max_size=50))
def test_a_cursor_leads_back_to_its_place(seen_at: datetime, id_: str) -> None:
    assert after(cursor(seen_at, id_)) == (seen_at, id_)


@given(st.text(max_size=60))
def test_any_text_as_a_cursor_is_a_place_or_refused(text: str) -> None:
    with suppress(Refused):  # and nothing else
        after(text)


@given(st.text(alphabet="/\\:.aehtp@?#\t\n%", max_size=20))
def test_a_path_to_go_on_to_never_leads_to_another_host(path: str) -> None:
    led = own_path(path)

    assert led.startswith("/")
    assert not led.startswith(("//", "/\\"))
    assert led.isprintable()


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", " https://x", "//evil.example", "", "JaVaScRiPt:x"]
)
def test_only_web_addresses_become_links(url: str) -> None:
    assert web_address(url) == ""


@pytest.mark.parametrize(("arrived", "may"), [("127.0.0.1", True), ("::1", True), ("192.0.2.7", False)])
async def test_reading_is_open_only_to_what_came_in_on_loopback(tmp_path: Path, arrived: str, may: bool) -> None:
    async with a_store(tmp_path) as store:
        house: Any = SimpleNamespace(store=store, settings=lambda: SETTINGS, clock=FakeClock())
        access = Authentication(house=house, rate=RateLimit(lambda: SETTINGS, FakeClock()))
        scope = {**request_from("192.0.2.1"), "server": (arrived, 8080)}

        await access.door(scope, _nothing)

    assert scope[CALLER].may(Scope.READ) is may


async def _nothing() -> Message:
    raise AssertionError
