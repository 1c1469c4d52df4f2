"""Source: Notes / all messages must be valid UTF-8 JSON, over WebSocket: a message has its own bounds there."""

from __future__ import annotations

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.relay.together import all_answered
from cbspec_conformance.relay.upgrade import BEAT, accepted_upgrade, authenticated_websocket, upgrade
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_AFTER = {
    "garbage": b"x",
    "brace": b"}",
    "comma": b",",
    "NUL": b"\0",
    "text": b" and more",
    "NUL and text": b"\0 and more",
    "NUL and another object": b"\0" + BEAT,
    "vertical tab": b"\v",
    "form feed": b"\f",
    "no-break space": "\u00a0".encode(),
    "em space": "\u2003".encode(),
    "next line": "\u0085".encode(),
    "line separator": "\u2028".encode(),
    "comment": b" // x",
    "hash comment": b" # x",
}
_BEFORE = {
    "garbage": b"x",
    "comma": b",",
    "vertical tab": b"\v",
    "form feed": b"\f",
    "no-break space": "\u00a0".encode(),
    "em space": "\u2003".encode(),
    "comment": b"// x\n",
    "hash comment": b"# x\n",
}
_NEAR = {
    **{f"{name} after": BEAT + text for name, text in _AFTER.items()},
    **{f"{name} before": text + BEAT for name, text in _BEFORE.items()},
    "line comment": b'{ // x\n"type":"heartbeat"}',
    "line hash comment": b'{ # x\n"type":"heartbeat"}',
}


@requirement("CB-MSG-005")
@pytest.mark.parametrize("kind", list(_NEAR))
def test_nearly_one_object(relay: RelayUnderTest, kind: str) -> None:
    """Send a message that is a heartbeat with other text before, after or inside it."""
    exchange = _ready(relay).ask_text(_NEAR[kind], meant=kind, like="heartbeat")
    judge.not_accepted(exchange, "no success answer to a text that isn't JSON")


@requirement("CB-MSG-009")
@pytest.mark.parametrize("first", [1, None], ids=["first-byte-apart", "byte-by-byte"])
def test_frames_in_pieces(relay: RelayUnderTest, first: int | None) -> None:
    """Send the first byte of a heartbeat's frame, or each byte, in a TLS record of its own."""
    exchange = _ready(relay).ask_in_pieces(
        {"type": "heartbeat"}, lambda data: [data[:1], data[1:]] if first else [bytes([byte]) for byte in data]
    )
    judge.accepted(exchange)


@requirement("CB-MSG-009")
@pytest.mark.parametrize("at", [2, 6, -2], ids=["in-the-method", "after-the-method", "at-the-end"])
def test_opening_handshake_in_two(relay: RelayUnderTest, at: int) -> None:
    """Send an opening handshake in two TLS records; in one record it is answered with 101."""
    accepted_upgrade(relay)
    relay.close()
    try:
        seen = f"status {upgrade(relay, cut=lambda text: [text[:at], text[at:]]).status}"
    except Inconclusive as silent:
        seen = str(silent)
    if seen != "status 101":
        raise Broken("status 101, as in one piece", seen)


@requirement("CB-MSG-008")
def test_white_space_around(relay: RelayUnderTest) -> None:
    """Send a heartbeat with white space before and after its object, inside the message."""
    exchange = _ready(relay).ask_text(b" \t\r\n" + BEAT + b" \r\n", meant="in white space", like="heartbeat")
    judge.accepted(exchange)


@requirement("CB-MSG-010")
def test_frames_that_arrive_together(relay: RelayUnderTest) -> None:
    """Send the frames of three heartbeats in one TLS record; expect three heartbeat_responses."""
    all_answered(_ready(relay), [{"type": "heartbeat"}] * 3)


def _ready(relay: RelayUnderTest) -> ProbeSession:
    """Return a session over WebSocket on which three heartbeats are answered."""
    session = authenticated_websocket(relay)
    for _ in range(2):
        relay.beat(session)
    return session
