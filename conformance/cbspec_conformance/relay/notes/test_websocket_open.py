"""Source: Notes / all connections, over WebSocket, where it is silent: what is done is recorded, never judged."""

from __future__ import annotations

import time

from websockets.frames import Frame, Opcode

from cbspec.protocol.websocket import WebSocketFramer
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.judging.observing import OPEN, reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.relay.upgrade import upgrade
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_BEAT = b'{"type":"heartbeat"}'
_PING = b"cbspec behind it"
_BREACHES = {
    "a frame without a mask": Frame(Opcode.TEXT, _BEAT).serialize(mask=False),
    "a reserved bit": bytes([0xA1]) + Frame(Opcode.TEXT, _BEAT).serialize(mask=True)[1:],
    "a continuation of nothing": Frame(Opcode.CONT, _BEAT).serialize(mask=True),
    "a text that isn't UTF-8": Frame(Opcode.TEXT, b'{"type":"heartbeat","x":"\xff"}').serialize(mask=True),
}


@requirement("CB-WSK-101")
def test_close_codes(relay: RelayUnderTest) -> None:
    """The client closes with code 1000; and it breaks a rule of RFC 6455 each on connections of their own."""
    session, framer = _authenticated(relay)
    framer.close(1000)
    relay.log.saw(_met(session, framer, framer.data_to_send()), of="a close with 1000")
    for name, frame in _BREACHES.items():
        session, framer = _authenticated(relay)
        ping = Frame(Opcode.PING, _PING).serialize(mask=True)
        relay.log.saw(_met(session, framer, frame + ping), of=name)


@requirement("CB-WSK-102")
def test_binary_frame(relay: RelayUnderTest) -> None:
    """A heartbeat comes in a binary frame."""
    session, _ = _authenticated(relay)
    request = session.record({"type": "heartbeat"}, meant="in a binary frame")
    relay.log.saw(reaction(session.exchange(request, Frame(Opcode.BINARY, _BEAT).serialize(mask=True))))


@requirement("CB-WSK-103")
def test_another_path(relay: RelayUnderTest) -> None:
    """An opening handshake asks for a path that nobody has named."""
    relay.needs.websocket()
    relay.log.saw(_status(relay, path="/cbspec/another-path"))


@requirement("CB-WSK-104")
def test_subprotocol(relay: RelayUnderTest) -> None:
    """An opening handshake offers a subprotocol that nobody knows."""
    relay.needs.websocket()
    response = upgrade(relay, headers={"Sec-WebSocket-Protocol": "cbspec-unknown"})
    chosen = response.headers.get("sec-websocket-protocol")
    relay.log.saw(f"status {response.status}, {'chosen' if chosen else 'passed over'}")


@requirement("CB-WSK-105")
def test_other_requests(relay: RelayUnderTest) -> None:
    """A GET that asks for no WebSocket is sent, and a handshake of a version that isn't 13."""
    relay.needs.websocket()
    plain = dict.fromkeys(("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"), "")
    relay.log.saw(_status(relay, headers=plain), of="a plain GET")
    relay.log.saw(_status(relay, headers={"Sec-WebSocket-Version": "7"}), of="version 7")


def _status(relay: RelayUnderTest, path: str = "", headers: dict[str, str] | None = None) -> str:
    try:
        return f"status {upgrade(relay, path=path, headers=headers).status}"
    except Inconclusive:
        return "no HTTP response"


def _authenticated(relay: RelayUnderTest) -> tuple[ProbeSession, WebSocketFramer]:
    relay.needs.websocket()
    session = relay.authenticated(transport="websocket")
    relay.beat(session)
    if not isinstance(session.framer, WebSocketFramer):
        raise Inconclusive("not a WebSocket")
    return session, session.framer


def _met(session: ProbeSession, framer: WebSocketFramer, data: bytes) -> str:
    """Send frames and return what they draw: a close with its code, an end without one, or a pong to the ping."""
    session.send_unanswered(data)
    deadline = time.monotonic() + session.timeout
    while framer.close_code is None and not session.ended and _PING not in framer.pongs:
        if time.monotonic() > deadline:
            raise Inconclusive("neither a close nor a pong in time")
        framer.feed(session.wire.receive(deadline - time.monotonic()))
    if framer.close_code is not None:
        return f"closed with {framer.close_code}"
    return "closed without a code" if session.ended else OPEN
