"""A WebSocket opening handshake by hand, so that every header of it can be chosen and looked at."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cbspec.profile.profile import Endpoint
from cbspec.protocol.handshake import HEAD_END, accept_value, opening_request, parse_headers
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.relay import RelayUnderTest

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
    path = path or relay.profile.target.websocket_path
    text = opening_request(str(relay.endpoint), path, key=key, headers=headers)
    for number, piece in enumerate(cut(text) if cut else [text]):
        time.sleep(_APART if number else 0)
        session.send_unanswered(piece)
    head = _head(session).decode("latin-1")
    words = head.partition("\r\n")[0].split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise Inconclusive(f"no HTTP response to the opening handshake, but {head[:60]!r}")
    return Response(int(words[1]), parse_headers(head), accept_value(key))


def _head(session: ProbeSession) -> bytes:
    data = b""
    deadline = time.monotonic() + session.timeout
    while HEAD_END not in data and not session.ended and time.monotonic() < deadline and len(data) < 64 * 1024:
        data += session.wire.receive(deadline - time.monotonic())
    return data.partition(HEAD_END)[0]
