"""Ports of loopback, and whether a Kafka broker answers on one. Standard library alone."""

import secrets
import socket
import struct
from typing import Final

HOST: Final = "127.0.0.1"


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now.

    It lies below the range that outgoing connections take theirs from: one of these, a client's that tries to
    reconnect, would otherwise now and then hold a stopped broker's port, and the broker could not come back.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        if not is_taken(port):
            return port


def is_taken(port: int) -> bool:
    """True when the port of loopback can't be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False


def _ask(port: int, api_key: int, version: int, body: bytes) -> bytes:
    """One Kafka request; its response without length and correlation id, OSError when there is none."""
    client = b"broker.py"
    head = struct.pack(">hhih", api_key, version, 1, len(client)) + client
    with socket.create_connection((HOST, port), timeout=2.0) as connection:
        connection.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        with connection.makefile("rb") as stream:
            size = stream.read(4)
            answer = stream.read(struct.unpack(">i", size)[0]) if len(size) == 4 else b""
    if len(answer) < 10:
        raise ConnectionError("the connection was closed without an answer")
    return answer[4:]


def answers(port: int) -> bool:
    """True when the broker speaks (ApiVersions) and is registered, so that topics can be made (Metadata)."""
    try:
        (error,) = struct.unpack_from(">h", _ask(port, 18, 0, b""))
        # Metadata v4: no topics, no auto-creation -> throttle time, then the number of registered brokers.
        _throttle, brokers = struct.unpack_from(">ii", _ask(port, 3, 4, struct.pack(">i?", 0, False)))
    except (OSError, struct.error):
        return False
    return bool(error == 0 and brokers > 0)
