"""Source: Notes / all connections, over WebSocket (RFC 6455). Applies where the relay answers 101."""

from __future__ import annotations

import time

import pytest
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from cbspec.protocol.websocket import WebSocketFramer
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.strategies import CUTS, pieces
from cbspec_conformance.relay.upgrade import upgrade
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.connector import WebSocketRefused
from cbspec_conformance.target.relay import RelayUnderTest

_SHORT = 128
_SIZES = (125, 126, 127, _SHORT, 65_535, 65_536)
"""Bytes of an answer: the most that seven bits hold the length of and sixteen, and what is next to that."""

_BEHIND = b"behind"
_BEATS = 5
"""Heartbeats after which a connection is given up: what a relay does to many is another requirement's."""


_BEAT = b'{"type":"heartbeat"}'


def _frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


_FORBIDDEN = {
    "a reserved bit": bytes([0xA1]) + _frame(Opcode.TEXT, _BEAT)[1:],
    "an unknown opcode": bytes([0x83]) + _frame(Opcode.TEXT, _BEAT)[1:],
    "a continuation of nothing": _frame(Opcode.CONT, _BEAT),
    "a message inside another": _frame(Opcode.TEXT, _BEAT[:8], fin=False) + _frame(Opcode.TEXT, _BEAT),
    "a ping in fragments": bytes([0x09]) + _frame(Opcode.PING, b"in fragments")[1:],
}
"""Frames that a client mustn't send. Source: RFC 6455, 5.2 (bits, opcodes), 5.4 (fragments), 5.5 (control frames)."""


@requirement("CB-WSK-001")
def test_accept_key(relay: RelayUnderTest) -> None:
    """An opening handshake with a random key is sent; the 101 response must carry the value that belongs to it."""
    relay.needs.websocket()
    response = upgrade(relay)
    if response.status != 101:
        raise Inconclusive(f"the relay answered the opening handshake with {response.status}")
    accept = response.headers.get("sec-websocket-accept", "")
    if accept != response.expected_accept:
        raise Broken(f"Sec-WebSocket-Accept: {response.expected_accept}", f"Sec-WebSocket-Accept: {accept}")


@requirement("CB-WSK-001")
def test_accept_key_of_each_client(relay: RelayUnderTest) -> None:
    """Two opening handshakes with different keys are sent; each response carries its own value."""
    relay.needs.websocket()
    for response in (upgrade(relay), upgrade(relay)):
        if response.status == 101 and response.headers.get("sec-websocket-accept", "") != response.expected_accept:
            raise Broken("the value that belongs to the key", "another's")


@requirement("CB-WSK-002")
def test_frames_are_well_formed(relay: RelayUnderTest) -> None:
    """A session with a tunnel is held; every frame of the relay is parsed strictly and must be unmasked."""
    session = _authenticated(relay)
    session.ask(relay.tunnel_info(session.tenant))
    if not session.ended:
        session.heartbeat()
    relay.log.judge_invariant("CB-WSK-002")


@requirement("CB-WSK-002")
def test_lengths_of_every_kind(relay: RelayUnderTest) -> None:
    """tunnel_ids are asked for whose answers are as long as a frame's length can just be written in one way or another.

    A relay may refuse them, or close on the longest: how long an identifier may be is not said.
    """
    session = _authenticated(relay)
    request = relay.tunnel_info(session.tenant)
    around = len(relay.open_tunnel(session).answers[0].text) - len(request["tunnel_id"])
    for size in _SIZES:
        session.close()
        session = _authenticated(relay)
        request = relay.tunnel_info(session.tenant)
        request["tunnel_id"] = request["tunnel_id"].ljust(size - around, "x")
        exchange = session.ask(request)
        silent = not exchange.answers and (session.ended or size > _SHORT)  # what is long may take long
        if not silent and not judge.error_code(exchange):
            judge.accepted(exchange)


@requirement("CB-WSK-003")
def test_two_fragments(relay: RelayUnderTest) -> None:
    """A tunnel_info comes as two frames of one message."""
    session = _authenticated(relay)
    request = relay.tunnel_info(session.tenant)
    judge.accepted(session.ask_in_pieces(request, lambda text: [text[:20], text[20:]], fragments=True))


@requirement("CB-WSK-003")
def test_fragments_inside_a_character(relay: RelayUnderTest) -> None:
    """A tunnel_info comes in frames of one byte each, which part the characters of several bytes as well."""
    session = _authenticated(relay)
    request = relay.tunnel_info(session.tenant)
    request["tunnel_id"] += relay.facts.odd_letters
    exchange = session.ask_in_pieces(request, lambda text: [bytes([byte]) for byte in text], fragments=True)
    told = judge.accepted(exchange).member("tunnel_id")
    if told != request["tunnel_id"] and not session.ended:
        whole = session.ask(request)
        if any(answer.member("tunnel_id") == request["tunnel_id"] for answer in whole.answers):
            raise Broken("the tunnel_id as it came in frames", f"{str(told)[:80]!r}", exchange)


@requirement("CB-WSK-003")
def test_empty_fragments(relay: RelayUnderTest) -> None:
    """A tunnel_info comes in two frames, and empty ones before, between and behind them."""
    session = _authenticated(relay)
    request = relay.tunnel_info(session.tenant)
    judge.accepted(session.ask_in_pieces(request, lambda text: [b"", text[:20], b"", text[20:], b""], fragments=True))


@requirement("CB-WSK-003")
def test_any_fragments(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Hypothesis cuts heartbeats into frames at any places, empty frames among them."""
    session = _authenticated(relay)

    asked = 0

    def check(drawn: tuple[list[float], int | None]) -> None:
        nonlocal session, asked
        asked += 1
        if session.ended or asked % _BEATS == 0:
            relay.close()
            session = _authenticated(relay)
        places, empty = drawn

        def cut(text: bytes) -> list[bytes]:
            parts = pieces(text, places)
            return parts if empty is None else [*parts[:empty], b"", *parts[empty:]]

        judge.accepted(session.ask_in_pieces({"type": "heartbeat"}, cut, fragments=True))

    explorer.explore(st.tuples(CUTS, st.none() | st.integers(0, 7)), check)


@requirement("CB-WSK-004")
@pytest.mark.parametrize("payload", [b"", b"cbspec", bytes(range(125))], ids=["empty", "text", "longest"])
def test_ping(relay: RelayUnderTest, payload: bytes) -> None:
    """A ping is sent; a pong with the same payload comes back."""
    session = _authenticated(relay)
    session.send_unanswered(_frame(Opcode.PING, payload))
    _await_pong(session, payload)


@requirement("CB-WSK-004")
def test_ping_between_fragments(relay: RelayUnderTest) -> None:
    """A ping is sent between two fragments of a heartbeat; both are answered."""
    session = _authenticated(relay)
    text = _BEAT
    session.send_unanswered(_frame(Opcode.TEXT, text[:8], fin=False))
    session.send_unanswered(_frame(Opcode.PING, b"between"))
    _await_pong(session, b"between", half=True)
    request = session.record({"type": "heartbeat"}, meant="in fragments")
    judge.accepted(session.exchange(request, _frame(Opcode.CONT, text[8:])))


@requirement("CB-WSK-007")
def test_frame_without_a_mask(relay: RelayUnderTest) -> None:
    """A heartbeat comes in a frame without a mask, and a ping behind it as it should be: neither is served."""
    _ends_at(relay, "a frame without a mask", Frame(Opcode.TEXT, _BEAT).serialize(mask=False))


@requirement("CB-WSK-008")
@pytest.mark.parametrize("kind", list(_FORBIDDEN))
def test_frame_that_is_forbidden(relay: RelayUnderTest, kind: str) -> None:
    """A frame comes that mustn't be, and a ping behind it as it should be: neither is served."""
    _ends_at(relay, kind, _FORBIDDEN[kind])


@requirement("CB-WSK-004")
def test_pings_that_arrive_together(relay: RelayUnderTest) -> None:
    """Two pings arrive in one TLS record; the second is answered, as the first may be, and so is a heartbeat."""
    session = _authenticated(relay)
    session.send_unanswered(_frame(Opcode.PING, b"first") + _frame(Opcode.PING, b"second"))
    _await_pong(session, b"second")
    judge.accepted(session.heartbeat())


@requirement("CB-WSK-005")
def test_text_frames(relay: RelayUnderTest) -> None:
    """A session with a tunnel is held; every message of the relay comes in text frames."""
    session = _authenticated(relay)
    session.ask(relay.tunnel_info(session.tenant))
    relay.log.judge_invariant("CB-WSK-005")


@requirement("CB-WSK-006")
@pytest.mark.parametrize("step", ["hello", "auth", "tunnel_info", "heartbeat", "refusals", "stranger"])
def test_every_exchange(relay: RelayUnderTest, step: str) -> None:
    """hello, auth, tunnel, heartbeat, a bad tunnel, a bad token and an unknown type go over WebSocket."""
    relay.needs.websocket()
    if step == "hello":
        judge.accepted(_open(relay).hello())
        return
    if step == "stranger":
        relay.open_tunnel(relay.authenticated(transport="websocket"))
        judge.not_accepted(relay.greeted(transport="websocket").ask(relay.tunnel_info()), "no tunnel before auth")
        return
    session = relay.greeted(transport="websocket")
    exchange = relay.authenticate(session, relay.tenant)
    if step == "auth":
        judge.accepted(exchange)
        return
    with relay.control("auth"):
        judge.accepted(exchange)
    if step == "tunnel_info":
        judge.accepted(session.ask(relay.tunnel_info(session.tenant)))
    elif step == "heartbeat":
        for _ in range(3):
            judge.accepted(session.heartbeat())
    else:
        _refusals(relay, session)


def _refusals(relay: RelayUnderTest, session: ProbeSession) -> None:
    bad_port = relay.tunnel_info(session.tenant, remote_port=70000)
    judge.refused(session.ask(bad_port, invalid="no such port"))
    session.close()
    session = relay.authenticated(transport="websocket")
    judge.refused(session.ask({"type": "cbspec_unknown"}, invalid="of unknown type"))
    session.close()
    session = relay.greeted(transport="websocket")
    judge.refused(session.ask({"type": "auth", "token": relay.tokens.spoiled(relay.tenant)}))


def _open(relay: RelayUnderTest) -> ProbeSession:
    try:
        return relay.connect(transport="websocket")
    except WebSocketRefused as refused:
        raise Inconclusive(f"{refused} (see CB-WSK-001)") from None


def _authenticated(relay: RelayUnderTest) -> ProbeSession:
    relay.needs.websocket()
    session = relay.authenticated(transport="websocket")
    relay.beat(session)
    return session


def _ends_at(relay: RelayUnderTest, what: str, data: bytes) -> None:
    """See that the connection ends at a frame that mustn't be: neither it nor a ping behind it is served."""
    session = _authenticated(relay)
    session.announce(what)
    session.send_unanswered(data)
    session.send_unanswered(_frame(Opcode.PING, _BEHIND))
    answers = session.answers(1)
    if any(map(judge.is_success, answers)):
        raise Broken(f"no answer to {what}", judge.describe(answers[0]))
    if answers:
        session.answers(1)  # behind an error the connection may end a little later
    if _BEHIND in _framer(session).pongs:
        raise Broken(f"the end of the connection at {what}", "an answer to a ping behind it")
    if not session.ended:
        raise Inconclusive("neither the end of the connection nor a pong in time")


def _framer(session: ProbeSession) -> WebSocketFramer:
    if not isinstance(session.framer, WebSocketFramer):
        raise Inconclusive("not a WebSocket")
    return session.framer


def _await_pong(session: ProbeSession, payload: bytes, *, half: bool = False) -> None:
    """Wait for a pong; `half` says that a message is under way, which can't be answered yet."""
    framer = _framer(session)
    deadline = time.monotonic() + session.timeout
    while payload not in framer.pongs and not session.ended and time.monotonic() < deadline:
        wait = min(0.01 if half else 0.1, deadline - time.monotonic())  # a pong ends the second kind of look only
        if not half:
            session.unasked(wait)
        elif early := session.answers(1, wait):
            seen = judge.describe(early[0])
            raise Broken("no answer before a message's last fragment", seen, requirement="CB-WSK-003")
    if payload not in framer.pongs:
        pongs = ", ".join(repr(pong[:20]) for pong in framer.pongs) or "no pong"
        raise Broken(f"a pong with the ping's {len(payload)} bytes", pongs)
