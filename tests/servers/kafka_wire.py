"""A request small enough to write by hand, so that waiting for a broker makes no client that logs and retries."""

from __future__ import annotations

import socket
import struct

METADATA = 3
VERSION = 1  # the oldest that Kafka 4 still speaks but one, and the last without compact strings to write
CLIENT = b"ready?"
LIMIT_S = 2.0


def brokers_known_to(host: str, port: int) -> set[int] | None:
    """Ask a broker for the cluster's metadata; return the numbers of the brokers that are let in.

    None when it does not answer, or knows no controller.
    """
    topics = struct.pack(">i", 0)  # of none
    head = struct.pack(">hhih", METADATA, VERSION, 1, len(CLIENT)) + CLIENT
    try:
        with socket.create_connection((host, port), timeout=LIMIT_S) as connection:
            connection.sendall(struct.pack(">i", len(head) + len(topics)) + head + topics)
            (size,) = struct.unpack(">i", _read(connection, 4))
            answer = _read(connection, size)
    except OSError:
        return None
    _, count = struct.unpack_from(">ii", answer)
    at = 8
    nodes = set()
    for _ in range(count):
        node, host_length = struct.unpack_from(">ih", answer, at)
        at += 6 + host_length + 4  # the port
        (rack_length,) = struct.unpack_from(">h", answer, at)
        at += 2 + max(0, rack_length)
        nodes.add(node)
    (controller,) = struct.unpack_from(">i", answer, at)
    return nodes if controller >= 0 else None


def _read(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionResetError("the broker hung up")
        parts += part
    return parts
