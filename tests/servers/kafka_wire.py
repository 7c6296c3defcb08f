"""A request small enough to write by hand, so that waiting for a broker makes no client that logs and retries."""

from __future__ import annotations

import socket
import struct

METADATA = 3
VERSION = 1  # non-flexible, and still spoken by Kafka 4
CLIENT = b"ready?"
LIMIT_S = 2.0


def answers(host: str, port: int, *, brokers: int = 1) -> bool:
    """Ask for the cluster's metadata; say whether at least so many brokers are in the answer, and a controller."""
    body = struct.pack(">i", 0)  # no topics
    head = struct.pack(">hhih", METADATA, VERSION, 1, len(CLIENT)) + CLIENT
    try:
        with socket.create_connection((host, port), timeout=LIMIT_S) as connection:
            connection.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
            (size,) = struct.unpack(">i", _read(connection, 4))
            answer = _read(connection, size)
    except OSError:
        return False
    _, known = struct.unpack_from(">ii", answer)
    at = 8
    for _ in range(known):
        at += 4  # its number
        at += 2 + struct.unpack_from(">h", answer, at)[0] + 4  # host and port
        at += 2 + max(0, struct.unpack_from(">h", answer, at)[0])  # rack
    (controller,) = struct.unpack_from(">i", answer, at)
    return bool(known >= brokers and controller >= 0)


def _read(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionResetError("the broker hung up")
        parts += part
    return parts
