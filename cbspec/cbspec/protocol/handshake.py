"""The opening handshake of a WebSocket as text, for peers that choose or inspect each header. Source: RFC 6455, 4."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

HEAD_END = b"\r\n\r\n"
VERSION = "13"
EXAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of the RFC's example (1.3), and below its accept value."""
EXAMPLE_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_value(key: str) -> str:
    """Return the value of Sec-WebSocket-Accept for a key."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()


def opening_request(
    host: str = "localhost", path: str = "/", *, key: str = EXAMPLE_KEY, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return a client's opening handshake; `headers` are added or replace the usual ones, empty ones are omitted."""
    usual = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": VERSION,
    }
    lines = [f"{name}: {value}" for name, value in {**usual, **(headers or {})}.items() if value]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def accepting_response(key: str = EXAMPLE_KEY, *extra: str) -> bytes:
    """Return a relay's positive response to the handshake with `key`, with extra header lines."""
    lines = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept_value(key)}", *extra]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode()


def parse_headers(head: str) -> dict[str, str]:
    """Return the headers of an HTTP message's head by lower-case name; repeated ones are joined by a comma."""
    found: dict[str, str] = {}
    for line in head.split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if colon:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found
