"""A WebSocket opening handshake by hand, so that every header of it can be chosen and looked at."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cbspec.profile.profile import Endpoint
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.relay import RelayUnderTest

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_APART = 0.05  # seconds between pieces, so that each is read by itself


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `headers` have lower-case names; `expected_accept` is what belongs to the key that was sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    expected_accept: str = ""


def upgrade(
    relay: RelayUnderTest,
    *,
    at: Endpoint | None = None,
    path: str = "",
    headers: Mapping[str, str] | None = None,
    cut: Callable[[bytes], list[bytes]] | None = None,
) -> Response:
    """Send an opening handshake on a new connection and return the response. Raises Inconclusive where none came.

    `headers` are sent besides, or in the place of the usual ones; one that is empty is left out. With `cut` it goes in
    pieces, each in a TLS record of its own.
    """
    session = relay.connect(at=at, transport="tcp")
    key = base64.b64encode(os.urandom(16)).decode()
    sent = {
        "Host": str(relay.endpoint),
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    lines = [f"GET {path or relay.profile.target.websocket_path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in sent.items() if value]
    text = ("\r\n".join(lines) + "\r\n\r\n").encode()
    for number, piece in enumerate(cut(text) if cut else [text]):
        time.sleep(_APART if number else 0)
        session.send_unanswered(piece)
    head = _head(session).decode("latin-1")
    accept = base64.b64encode(hashlib.sha1((key + _MAGIC).encode(), usedforsecurity=False).digest()).decode()
    status, _, rest = head.partition("\r\n")
    words = status.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise Inconclusive(f"no HTTP response to the opening handshake, but {head[:60]!r}")
    received: dict[str, str] = {}
    for line in rest.split("\r\n"):
        name, _, value = line.partition(":")
        key_name = name.strip().lower()
        received[key_name] = f"{received[key_name]}, {value.strip()}" if key_name in received else value.strip()
    return Response(int(words[1]), received, accept)


def _head(session: ProbeSession) -> bytes:
    data = b""
    deadline = time.monotonic() + session.timeout
    while b"\r\n\r\n" not in data and not session.ended and time.monotonic() < deadline and len(data) < 64 * 1024:
        data += session.wire.receive(deadline - time.monotonic())
    return data.partition(b"\r\n\r\n")[0]
