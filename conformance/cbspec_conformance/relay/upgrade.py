"""WebSocket connections by hand: an opening handshake with any header, and single frames."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from websockets.frames import Frame, Opcode

from cbspec.profile.profile import Endpoint
from cbspec.protocol.handshake import HEAD_END, accept_value, opening_request, parse_headers
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.target.relay import RelayUnderTest

BEAT = b'{"type":"heartbeat"}'

_APART = 0.05  # seconds between pieces: a relay reads each one by itself


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response. `headers` have lower-case names; `expected_accept` is the value for the key that was sent."""

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
    respell: Callable[[str], str] = str,
) -> Response:
    """Send an opening handshake on a new connection and return the response. Raises Inconclusive without one.

    `headers` are added to the usual ones or replace them; an empty one is left out. `respell` changes the text of the
    handshake. `cut` splits it into pieces, each in a TLS record of its own.
    """
    session = relay.connect(at=at, transport="tcp")
    key = base64.b64encode(os.urandom(16)).decode()
    path = path or relay.profile.target.websocket_path
    text = respell(opening_request(str(relay.endpoint), path, key=key, headers=headers).decode()).encode()
    for number, piece in enumerate(cut(text) if cut else [text]):
        time.sleep(_APART if number else 0)
        session.send_unanswered(piece)
    head = _head(relay, session).decode("latin-1")
    session.close()
    words = head.partition("\r\n")[0].split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise Inconclusive(f"no HTTP response to the opening handshake, but {quoted(head[:60])}")
    return Response(int(words[1]), parse_headers(head), accept_value(key))


def accepted_upgrade(relay: RelayUnderTest, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response to an opening handshake. Raises Inconclusive unless its status is 101."""
    relay.needs.websocket()
    response = upgrade(relay, headers=headers)
    if response.status != 101:
        raise Inconclusive(f"the relay answered the opening handshake with {response.status}")
    return response


def _head(relay: RelayUnderTest, session: ProbeSession) -> bytes:
    data = b""
    deadline = time.monotonic() + session.timeout
    while HEAD_END not in data and not session.ended and time.monotonic() < deadline and len(data) < 64 * 1024:
        data += session.wire.receive(deadline - time.monotonic())
    if HEAD_END not in data and time.monotonic() >= deadline:  # other cases may have delayed it
        relay.transcript.add_wait(session.wire.number, session.timeout, "an HTTP response")
    return data.partition(HEAD_END)[0]


def authenticated_websocket(relay: RelayUnderTest) -> ProbeSession:
    """Return an authenticated session over WebSocket on which heartbeats are answered."""
    relay.needs.websocket()
    session = relay.authenticated(transport="websocket")
    relay.beat(session)
    return session


def framer_of(session: ProbeSession) -> WebSocketFramer:
    """Return the framer of a session over WebSocket."""
    if not isinstance(session.framer, WebSocketFramer):
        raise Inconclusive("not a WebSocket")
    return session.framer


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    """Return the bytes of a client's frame."""
    return Frame(opcode, data, fin).serialize(mask=mask)
