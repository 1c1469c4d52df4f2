"""Source: Notes / all messages must be valid UTF-8 JSON, over WebSocket, where a message has bounds of its own."""

from __future__ import annotations

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.relay.upgrade import upgrade
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_BEAT = b'{"type":"heartbeat"}'
_NEAR = {
    "garbage behind": _BEAT + b"x",
    "brace behind": _BEAT + b"}",
    "comma behind": _BEAT + b",",
    "NUL behind": _BEAT + b"\0",
    "words behind": _BEAT + b" and more",
    "words behind a NUL": _BEAT + b"\0 and more",
    "another behind a NUL": _BEAT + b"\0" + _BEAT,
    "vertical tab behind": _BEAT + b"\v",
    "form feed behind": _BEAT + b"\f",
    "no-break space behind": _BEAT + "\u00a0".encode(),
    "em space behind": _BEAT + "\u2003".encode(),
    "next line behind": _BEAT + "\u0085".encode(),
    "line separator behind": _BEAT + "\u2028".encode(),
    "vertical tab before": b"\v" + _BEAT,
    "form feed before": b"\f" + _BEAT,
    "no-break space before": "\u00a0".encode() + _BEAT,
    "em space before": "\u2003".encode() + _BEAT,
    "comment behind": _BEAT + b" // x",
    "garbage before": b"x" + _BEAT,
    "comma before": b"," + _BEAT,
    "comment before": b"// x\n" + _BEAT,
    "line comment": b'{ // x\n"type":"heartbeat"}',
    "hash comment": b'{ # x\n"type":"heartbeat"}',
    "hash comment behind": _BEAT + b" # x",
    "hash comment before": b"# x\n" + _BEAT,
}


@requirement("CB-MSG-005")
@pytest.mark.parametrize("kind", list(_NEAR))
def test_nearly_one_object(relay: RelayUnderTest, kind: str) -> None:
    """A heartbeat with something before, behind or inside that is no JSON is the whole text of one message."""
    session = _ready(relay)
    exchange = session.ask_text(_NEAR[kind], meant=kind, like="heartbeat")
    judge.not_accepted(exchange, "no success answer to what isn't JSON")


@requirement("CB-MSG-009")
def test_frames_byte_by_byte(relay: RelayUnderTest) -> None:
    """Each byte of a heartbeat's frame travels in a TLS record of its own."""
    session = _ready(relay)
    judge.accepted(session.ask_in_pieces({"type": "heartbeat"}, lambda data: [bytes([byte]) for byte in data]))


@requirement("CB-MSG-009")
@pytest.mark.parametrize("at", [2, 6, -2], ids=["in-the-method", "behind-the-method", "at-the-end"])
def test_opening_handshake_in_two(relay: RelayUnderTest, at: int) -> None:
    """An opening handshake that is answered with 101 comes in two TLS records."""
    relay.needs.websocket()
    whole = upgrade(relay)
    if whole.status != 101:
        raise Inconclusive(f"the relay answered the whole opening handshake with {whole.status}")
    relay.close()
    try:
        seen = f"status {upgrade(relay, cut=lambda text: [text[:at], text[at:]]).status}"
    except Inconclusive as silent:
        seen = str(silent)
    if seen != "status 101":
        raise Broken("status 101, as in one piece", seen)


@requirement("CB-MSG-009")
def test_first_byte_apart(relay: RelayUnderTest) -> None:
    """The first byte of a heartbeat's frame arrives alone; behind a pause comes what is left."""
    session = _ready(relay)
    judge.accepted(session.ask_in_pieces({"type": "heartbeat"}, lambda data: [data[:1], data[1:]]))


@requirement("CB-MSG-008")
def test_white_space_around(relay: RelayUnderTest) -> None:
    """White space stands before and behind the object of a heartbeat, inside its message."""
    session = _ready(relay)
    judge.accepted(session.ask_text(b" \t\r\n" + _BEAT + b" \r\n", meant="in white space", like="heartbeat"))


@requirement("CB-MSG-010")
def test_frames_that_arrive_together(relay: RelayUnderTest) -> None:
    """The frames of three heartbeats arrive in one TLS record; three heartbeat_responses come back."""
    session = _ready(relay)
    noted: list[tuple[Message, bytes]] = []
    for _ in range(3):
        session.keep_pace()
        noted.append(session.note({"type": "heartbeat"}))
    session.send_unanswered(b"".join(data for _, data in noted))
    answers = session.answers(3)
    exchange = Exchange(noted[0][0], answers, ended=session.ended, tenant=session.tenant, waited=session.timeout)
    judge.all_answered(exchange, ["heartbeat_response"] * 3)


def _ready(relay: RelayUnderTest) -> ProbeSession:
    relay.needs.websocket()
    session = relay.authenticated(transport="websocket")
    for _ in range(3):
        relay.beat(session)
    return session
