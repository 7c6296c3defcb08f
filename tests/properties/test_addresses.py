from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given, strategies as st

from tocsin.addresses import AddressDenied, denial, guarded, is_loopback

PRIVATE = st.sampled_from(["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])
NEVER = st.sampled_from(["0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "198.18.0.0/15", "192.0.2.0/24"])
INDEX = st.integers(0, 2**32 - 1)


def within(network: str, index: int) -> IPv4Address:
    parsed = ip_network(network)
    address = parsed[index % parsed.num_addresses]
    assert isinstance(address, IPv4Address)
    return address


def disguises(address: IPv4Address) -> list[str]:
    low = int(address)
    return [
        str(address),
        f"::ffff:{address}",
        str(IPv6Address((0x64FF9B << 96) | low)),
        str(IPv6Address((0x2002 << 112) | (low << 80))),
        str(IPv6Address((0x20010000 << 96) | (low ^ 0xFFFFFFFF))),
        str(IPv6Address(low)),
        f"fe80::{low >> 16:x}:{low & 0xFFFF:x}%eth0",
    ]


@given(network=PRIVATE, index=INDEX)
def test_a_private_address_is_denied_in_every_disguise(network: str, index: int) -> None:
    address = within(network, index)

    assert all(denial(shown, allow_private=False) for shown in disguises(address))
    assert denial(str(address), allow_private=True) is None


@given(network=NEVER, index=INDEX)
def test_a_reserved_address_is_denied_even_to_a_feed_of_the_house(network: str, index: int) -> None:
    address = within(network, index)

    assert all(denial(shown, allow_private=True) for shown in disguises(address) if shown != "::1")


@given(st.ip_addresses(v=6))
def test_what_python_calls_private_is_never_dialled(address: IPv6Address) -> None:
    if not address.is_global:
        assert denial(str(address), allow_private=False)


@given(st.ip_addresses(v=4))
def test_the_rest_of_the_world_is_reached(address: IPv4Address) -> None:
    allowed = denial(str(address), allow_private=False) is None

    special = address.is_multicast or any(address in ip_network(net) for net in ("192.88.99.0/24", "192.0.0.0/24"))

    assert allowed == (address.is_global and not special)


@given(st.text(max_size=40))
def test_what_is_no_address_is_denied(text: str) -> None:
    try:
        socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        if not text.replace(".", "").replace(":", "").isalnum():
            assert denial(text, allow_private=True)


@pytest.mark.parametrize("address", ["2606:4700::1111", "8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_dialled(address: str) -> None:
    assert denial(address, allow_private=False) is None


@pytest.mark.parametrize("address", ["64:ff9b:1::1", "100::1", "2001:db8::1", "fec0::1", "ff02::1", "::", "3fff::1"])
def test_what_is_no_place_on_the_net_is_not(address: str) -> None:
    assert denial(address, allow_private=True)


def test_the_socket_is_refused_before_it_is_opened() -> None:
    make = guarded(allow_private=False)

    with pytest.raises(AddressDenied, match=r"10\.1\.2\.3"):
        make((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("10.1.2.3", 80)))


@pytest.mark.parametrize(
    ("host", "near"),
    [("127.0.0.1", True), ("::1", True), ("LOCALHOST", True), ("10.0.0.1", False), ("localhost.evil.example", False)],
)
def test_only_this_machine_is_loopback(host: str, near: bool) -> None:
    assert is_loopback(host) is near


@given(st.text(max_size=40))
def test_no_other_name_is_taken_for_this_machine(host: str) -> None:
    if is_loopback(host):
        assert host.lower().startswith(("127.", "localhost", "ip6-localhost", "::1", "0"))
