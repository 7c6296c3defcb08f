"""Which addresses lead to this machine alone, and which may be dialled.

The latter is asked at the socket, after every name and redirect is resolved: nothing gets past it.

`ipaddress.is_global` is no substitute: it says yes to 64:ff9b::a9fe:a9fe and to 2002:a9fe:a9fe::, both of which
reach 169.254.169.254 through a translator.
"""

from __future__ import annotations

import socket
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# What an operator may allow in his own house.
_PRIVATE_V4 = tuple(map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_PRIVATE_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
# What nobody may have: IANA's special-purpose registries, the cloud's metadata service among them.
_NEVER_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_NEVER_V6 = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))  # Teredo, documentation, 6to4
)
_CARRIES_V4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))  # mapped, and NAT64 of networks without IPv4

AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]

LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.", "ip6-localhost"})


class AddressDenied(OSError):
    """The name leads to an address that we may not dial."""


def is_loopback(host: str) -> bool:
    """Whether nobody beyond this machine can reach *host* or hear what is said to it; only a few names are known."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES


def denial(address: str, *, allow_private: bool) -> str | None:
    """Return why *address* must not be dialled; None when it may be."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except (ValueError, AddressValueError):
        return f"{address!r} is no IP address"
    if isinstance(parsed, IPv6Address):
        for carrier in _CARRIES_V4:
            if parsed in carrier:
                return _denial(IPv4Address(int(parsed) & 0xFFFFFFFF), str(parsed), allow_private=allow_private)
    return _denial(parsed, str(parsed), allow_private=allow_private)


def _denial(address: IPv4Address | IPv6Address, shown: str, *, allow_private: bool) -> str | None:
    if isinstance(address, IPv4Address):
        private = any(address in network for network in _PRIVATE_V4)
        never = any(address in network for network in _NEVER_V4)
    else:
        private = any(address in network for network in _PRIVATE_V6)
        never = not private and (address not in _GLOBAL_V6 or any(address in network for network in _NEVER_V6))
    if never:
        return f"{shown} is a reserved address"
    if private and not allow_private:
        return f"{shown} is a private address; allow it with allow_private: true"
    return None


def guarded(*, allow_private: bool) -> Callable[[AddressInfo], socket.socket]:
    """Return a socket factory for aiohttp's connector that refuses denied addresses."""

    def open_socket(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, target = info
        reason = denial(str(target[0]), allow_private=allow_private)
        if reason is not None:
            raise AddressDenied(reason)
        return socket.socket(family=family, type=kind, proto=protocol)

    return open_socket
