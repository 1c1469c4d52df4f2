"""Source: Notes / all connections, over WebSocket (RFC 6455); Notes / valid UTF-8 JSON: a message has its own bounds.

The cases apply if the relay answers an upgrade with 101.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st
from websockets.frames import Opcode

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.judging.observing import OPEN, reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.texts import spell
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.strategies import CUTS, pieces
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.relay.requests import (
    TYPES,
    UNKNOWN,
    all_answered,
    every_byte,
    needs_transport,
    ready,
    understood_in_pieces,
)
from cbspec_conformance.relay.upgrade import BEAT, accepted_upgrade, authenticated_websocket, frame, framer_of, upgrade
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.connector import WebSocketRefused
from cbspec_conformance.target.kinds import each, in_turn
from cbspec_conformance.target.relay import RelayUnderTest

_SHORT = 128
_SIZES = (125, 126, 127, _SHORT, 65_535, 65_536)
"""Bytes of a message around the limits of a frame's length in 7 and in 16 bits."""

_AFTER = b"after"
_MOST_BEATS = 5  # heartbeats on one connection: other requirements judge more of them
_FORBIDDEN = {
    "a frame without a mask": frame(Opcode.TEXT, BEAT, mask=False),
    "a reserved bit": bytes([0xA1]) + frame(Opcode.TEXT, BEAT)[1:],
    "an unknown opcode": bytes([0x83]) + frame(Opcode.TEXT, BEAT)[1:],
    "a continuation of nothing": frame(Opcode.CONT, BEAT),
    "a message inside another": frame(Opcode.TEXT, BEAT[:8], fin=False) + frame(Opcode.TEXT, BEAT),
    "a ping in fragments": bytes([0x09]) + frame(Opcode.PING, b"in fragments")[1:],
}
"""Frames that a client must not send. Source: RFC 6455, 5.1 (masks), 5.2 (bits, opcodes), 5.4, 5.5 (fragments)."""


@requirement("CB-WSK-001")
def test_accept_key(relay: RelayUnderTest) -> None:
    """Send two opening handshakes with random keys; each 101 response must carry the value for its own key."""
    for response in (accepted_upgrade(relay), accepted_upgrade(relay)):
        accept = response.headers.get("sec-websocket-accept", "")
        if accept != response.expected_accept:
            raise Broken(f"Sec-WebSocket-Accept: {response.expected_accept}", f"Sec-WebSocket-Accept: {accept}")


def _names(change: Callable[[str], str]) -> Callable[[str], str]:
    """Return a function that changes the names of all headers."""
    return lambda text: re.sub(r"(?m)^([\w-]+):", lambda found: f"{change(found[1])}:", text)


def _replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def _with_header(*lines: str) -> Callable[[str], str]:
    return lambda text: text.replace("\r\n\r\n", "".join(f"\r\n{line}" for line in lines) + "\r\n\r\n")


_SPELLINGS: dict[str, Callable[[str], str]] = {
    "Upgrade: WebSocket": _replaced("Upgrade: websocket", "Upgrade: WebSocket"),
    "Upgrade: WEBSOCKET": _replaced("Upgrade: websocket", "Upgrade: WEBSOCKET"),
    "Connection: upgrade": _replaced("Connection: Upgrade", "Connection: upgrade"),
    "Connection: keep-alive, Upgrade": _replaced("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
    "Connection: Upgrade,keep-alive": _replaced("Connection: Upgrade", "Connection: Upgrade,keep-alive"),
    "header names in lower case": _names(str.lower),
    "header names in capitals": _names(str.upper),
    "no space after the colons": lambda text: re.sub(r"(?m)^([\w-]+): ", r"\1:", text),
    "spaces around the values": lambda text: re.sub(r"(?m)^([\w-]+): ([^\r]*)\r$", "\\1:  \\2  \r", text),
    "headers in reverse order": lambda text: "\r\n".join([text.split("\r\n")[0], *text.split("\r\n")[-3:0:-1], "", ""]),
    "an extension offered": _with_header("Sec-WebSocket-Extensions: x-cbspec; a=1, x-other"),
    "permessage-deflate offered": _with_header("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
    "headers of a browser": _with_header(
        *("User-Agent: Mozilla/5.0 (X11)", "Accept: */*", "Accept-Language: en, de;q=0.5", "Accept-Encoding: gzip, br"),
        *("Pragma: no-cache", "Cache-Control: no-cache", "Cookie: a=b; c=d", "Sec-Fetch-Mode: websocket"),
    ),
    "headers of a proxy": _with_header("Via: 1.1 proxy.example", "X-Request-Id: cbspec", "X-Forwarded-Proto: https"),
    "a header of 1000 letters": _with_header(f"X-Cbspec: {'x' * 1000}"),
}
"""Spellings of an opening handshake that mean the same.

Source: RFC 6455, 4.2.1 (tokens in any case, other headers); RFC 9110, 5.1 (names in any case), 5.5 (white space), 5.6.1
(lists).
"""


@requirement("CB-WSK-009")
def test_handshake_in_another_spelling(relay: RelayUnderTest) -> None:
    """Send the opening handshake that was answered with 101 in other spellings; expect 101 each time."""
    accepted_upgrade(relay)

    def check(respell: Callable[[str], str]) -> None:
        try:
            response = upgrade(relay, respell=respell)
        except Inconclusive as silent:
            raise Broken("status 101, as in the usual spelling", str(silent)) from None
        if response.status != 101:
            raise Broken("status 101, as in the usual spelling", f"status {response.status}")
        relay.close()

    each(_SPELLINGS, check)


@requirements("CB-WSK-002", "CB-WSK-005")
def test_frames_are_well_formed(relay: RelayUnderTest, identifier: str) -> None:
    """Open a tunnel and send a heartbeat; every frame of the relay must be well formed, unmasked and a text frame."""
    session = authenticated_websocket(relay)
    session.ask(relay.tunnel_info(session.tenant))
    if not session.ended:
        session.heartbeat()
    relay.log.judge_invariant(identifier)


@requirement("CB-WSK-002")
def test_lengths_of_every_kind(relay: RelayUnderTest) -> None:
    """Request tunnel_ids whose answers have lengths at the limits of the three encodings of a frame's length.

    A relay may refuse them, or close after the longest: the specification doesn't limit the length of a tunnel_id.
    """
    session = authenticated_websocket(relay)
    request = relay.tunnel_info(session.tenant)
    around = len(relay.open_tunnel(session).answers[0].text) - len(request["tunnel_id"])
    for size in _SIZES:
        session.close()
        session = authenticated_websocket(relay)
        request = relay.tunnel_info(session.tenant)
        request["tunnel_id"] = request["tunnel_id"].ljust(size - around, "x")
        exchange = session.ask(request)
        silent = not exchange.answers and (session.ended or size > _SHORT)  # a long answer may take long
        if not silent and not judge.error_code(exchange):
            judge.accepted(exchange)


_FRAGMENTS: dict[str, Callable[[bytes], list[bytes]]] = {
    "two": lambda text: [text[:20], text[20:]],
    "bytes": every_byte,
    "empty ones": lambda text: [b"", text[:20], b"", text[20:], b""],
}


@requirement("CB-WSK-003")
@pytest.mark.parametrize("kind", list(_FRAGMENTS))
def test_fragments(relay: RelayUnderTest, kind: str) -> None:
    """Send a tunnel_info in two frames, in frames of one byte, or with empty frames before, between and after."""
    session = authenticated_websocket(relay)
    request = relay.tunnel_info(session.tenant)
    if kind == "bytes":  # which also split multi-byte characters
        request["tunnel_id"] += relay.facts.odd_letters
    understood_in_pieces(session, request, _FRAGMENTS[kind], fragments=True)


@requirement("CB-WSK-003")
def test_any_fragments(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Send heartbeats in frames that are cut at random places, some of them empty."""
    session, beats = authenticated_websocket(relay), 0

    def check(drawn: tuple[list[float], int | None]) -> None:
        nonlocal session, beats
        beats += 1
        if session.ended or beats % _MOST_BEATS == 0:
            relay.close()
            session = authenticated_websocket(relay)
        places, empty = drawn

        def cut(text: bytes) -> list[bytes]:
            parts = pieces(text, places)
            return parts if empty is None else [*parts[:empty], b"", *parts[empty:]]

        judge.accepted(session.ask_in_pieces({"type": "heartbeat"}, cut, fragments=True))

    explorer.explore(st.tuples(CUTS, st.none() | st.integers(0, 7)), check)


@requirement("CB-WSK-010")
@pytest.mark.parametrize("size", _SIZES)
def test_messages_of_every_length(relay: RelayUnderTest, size: int) -> None:
    """Send heartbeats with blanks at the end, of lengths at the limits of the three encodings of a frame's length.

    A relay may refuse the long ones: the specification doesn't limit the length of a message.
    """
    session = authenticated_websocket(relay)
    with relay.control("a heartbeat with blanks at its end"):
        judge.accepted(session.ask({"type": "heartbeat"}, encode=lambda message: spell(message).ljust(100)))
    exchange = session.ask({"type": "heartbeat"}, encode=lambda message: spell(message).ljust(size))
    if size <= _SHORT or judge.served(exchange):
        judge.accepted(exchange)


@requirement("CB-WSK-004")
@pytest.mark.parametrize(
    "payloads",
    [[b""], [b"cbspec"], [bytes(range(125))], [b"first", b"second"]],
    ids=["empty", "text", "longest", "two together"],
)
def test_ping(relay: RelayUnderTest, payloads: list[bytes]) -> None:
    """Send a ping, or two in one TLS record, then a heartbeat; expect a pong with the last payload, and an answer."""
    session = authenticated_websocket(relay)
    session.announce(" and ".join(f"a ping with {len(payload)} bytes" for payload in payloads))
    session.send_unanswered(b"".join(frame(Opcode.PING, payload) for payload in payloads))
    _await_pong(session, payloads[-1])
    judge.accepted(session.heartbeat())


@requirement("CB-WSK-004")
def test_ping_between_fragments(relay: RelayUnderTest) -> None:
    """Send a ping between two fragments of a heartbeat; expect an answer to both."""
    session = authenticated_websocket(relay)
    with relay.control("a heartbeat in fragments"):
        request = session.record({"type": "heartbeat"}, meant="in fragments")
        judge.accepted(session.exchange(request, frame(Opcode.TEXT, BEAT[:8], fin=False), frame(Opcode.CONT, BEAT[8:])))
    session.announce("a fragment of a heartbeat, then a ping")
    session.send_unanswered(frame(Opcode.TEXT, BEAT[:8], fin=False))
    session.send_unanswered(frame(Opcode.PING, b"between"))
    _await_pong(session, b"between", inside_message=True)
    request = session.record({"type": "heartbeat"}, meant="in fragments")
    judge.accepted(session.exchange(request, frame(Opcode.CONT, BEAT[8:])))


@requirement("CB-WSK-006")
@pytest.mark.parametrize("step", [*TYPES, "refusals", "stranger"])
def test_every_exchange(relay: RelayUnderTest, step: str) -> None:
    """Send every request over WebSocket: hello, auth, tunnel_info, heartbeat, and invalid ones."""
    relay.needs.websocket()
    over = partial(relay.authenticated, transport="websocket")
    if step == "auth":
        judge.accepted(relay.authenticate(relay.greeted(transport="websocket"), relay.tenant))
    elif step == "stranger":
        relay.open_tunnel(over())
        judge.not_accepted(relay.greeted(transport="websocket").ask(relay.tunnel_info()), "no tunnel before auth")
    elif step == "refusals":
        needs_transport(relay, "tcp")
        with relay.control("the same refusals over TCP"):
            _refusals(relay, "tcp")
        _refusals(relay, "websocket")
    else:
        try:
            session, request = ready(relay, step, "websocket")
        except WebSocketRefused as refused:
            raise Inconclusive(f"{refused} (see CB-WSK-001)") from None
        for _ in range(3 if step == "heartbeat" else 1):
            judge.accepted(session.ask(request))


def _refusals(relay: RelayUnderTest, transport: str) -> None:
    authenticated = partial(relay.authenticated, transport=transport)
    judge.refused(_once(authenticated(), relay.tunnel_info(remote_port=70000), "remote_port is above 65535"))
    judge.refused(_once(authenticated(), UNKNOWN, "of unknown type"))
    spoiled = {"type": "auth", "token": relay.tokens.spoiled(relay.tenant)}
    judge.refused(_once(relay.greeted(transport=transport), spoiled))


def _once(session: ProbeSession, request: Mapping[str, Any], why: str = "") -> Exchange:
    with contextlib.closing(session):
        return session.ask(request, invalid=why)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("a frame without a mask", marks=requirement("CB-WSK-007")),
        pytest.param("a reserved bit", marks=requirement("CB-WSK-008")),
        pytest.param("an unknown opcode", marks=requirement("CB-WSK-008")),
        pytest.param("a continuation of nothing", marks=requirement("CB-WSK-008")),
        pytest.param("a message inside another", marks=requirement("CB-WSK-008")),
        pytest.param("a ping in fragments", marks=requirement("CB-WSK-008")),
    ],
)
def test_forbidden_frame_ends_the_connection(relay: RelayUnderTest, kind: str) -> None:
    """Send a forbidden frame, then a valid ping; neither may be answered."""
    session = authenticated_websocket(relay)
    session.announce(kind)
    session.send_unanswered(_FORBIDDEN[kind])
    session.send_unanswered(frame(Opcode.PING, _AFTER))
    answers = session.answers(1)
    if any(map(judge.is_success, answers)):
        raise Broken(f"no answer to {kind}", judge.describe(answers[0]))
    if answers:
        session.answers(1)  # after an error the connection may end a little later
    if _AFTER in framer_of(session).pongs:
        raise Broken(f"the end of the connection at {kind}", "an answer to a ping after it")
    if not session.ended:
        raise Inconclusive("neither the end of the connection nor a pong in time")


def _await_pong(session: ProbeSession, payload: bytes, *, inside_message: bool = False) -> None:
    """Await a pong; `inside_message`: a message is incomplete, so that no answer to it may come."""
    pongs, inbox = framer_of(session).pongs, session.channel.inbox
    session.channel.wait_until(lambda: payload in pongs or (inside_message and bool(inbox)), session.timeout, "a pong")
    if inside_message and inbox:
        seen = judge.describe(inbox[0])
        raise Broken("no answer before a message's last fragment", seen, requirement="CB-WSK-003")
    session.unasked()
    if payload not in pongs:
        seen = ", ".join(f"a pong with {quoted(pong[:20])}" for pong in pongs) or "no pong"
        raise Broken(f"a pong with the ping's {len(payload)} bytes", seen)


# ------------------------------------------------------------------ messages with bounds of their own

_AROUND = {
    "garbage": "x",
    "comma": ",",
    "vertical tab": "\v",
    "form feed": "\f",
    "no-break space": "\u00a0",
    "em space": "\u2003",
}
_NEAR = {
    **{f"{name} after": BEAT + text.encode() for name, text in _AROUND.items()},
    **{f"{name} before": text.encode() + BEAT for name, text in _AROUND.items()},
    "brace after": BEAT + b"}",
    "NUL after": BEAT + b"\0",
    "text after": BEAT + b" and more",
    "NUL and text after": BEAT + b"\0 and more",
    "NUL and another object after": BEAT + b"\0" + BEAT,
    "next line after": BEAT + "\u0085".encode(),
    "line separator after": BEAT + "\u2028".encode(),
    "comment after": BEAT + b" // x",
    "hash comment after": BEAT + b" # x",
    "comment before": b"// x\n" + BEAT,
    "hash comment before": b"# x\n" + BEAT,
    "line comment": b'{ // x\n"type":"heartbeat"}',
    "line hash comment": b'{ # x\n"type":"heartbeat"}',
}


@requirement("CB-MSG-005")
def test_nearly_one_object(relay: RelayUnderTest) -> None:
    """Send messages that are a heartbeat with other text before, after or inside it."""

    def check(session: ProbeSession, kind: str) -> None:
        exchange = session.ask_text(_NEAR[kind], meant=kind, like="heartbeat")
        judge.not_accepted(exchange, "no success answer to a text that isn't JSON")

    in_turn({kind: kind for kind in _NEAR}, lambda: _beating(relay), check)


@requirement("CB-MSG-009")
@pytest.mark.parametrize(
    "cut", [lambda data: [data[:1], data[1:]], every_byte], ids=["first-byte-apart", "byte-by-byte"]
)
def test_frames_in_pieces(relay: RelayUnderTest, cut: Callable[[bytes], list[bytes]]) -> None:
    """Send the first byte of a heartbeat's frame, or each byte, in a TLS record of its own."""
    judge.accepted(_beating(relay).ask_in_pieces({"type": "heartbeat"}, cut, apart=True))


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
@pytest.mark.parametrize(
    "text", [b" \t\r\n" + BEAT + b" \r\n", b'{\n  "type":\r\n "heartbeat"\n}\n'], ids=["around", "inside"]
)
def test_white_space(relay: RelayUnderTest, text: bytes) -> None:
    """Send a heartbeat with white space before and after its object, or over several lines, inside one message."""
    judge.accepted(_beating(relay).ask_text(text, meant="with white space", like="heartbeat"))


@requirement("CB-MSG-010")
def test_frames_that_arrive_together(relay: RelayUnderTest) -> None:
    """Send the frames of three heartbeats in one TLS record; expect three heartbeat_responses."""
    all_answered(_beating(relay), [{"type": "heartbeat"}] * 3)


def _beating(relay: RelayUnderTest) -> ProbeSession:
    """Return a session over WebSocket on which three heartbeats are answered."""
    session = authenticated_websocket(relay)
    for _ in range(2):
        relay.beat(session)
    return session


# ------------------------------------------------------------------ open points, which are recorded and never judged


@requirement("CB-WSK-101")
def test_close_codes(relay: RelayUnderTest) -> None:
    """Close with code 1000, and break rules of RFC 6455, each on a connection of its own."""
    session = authenticated_websocket(relay)
    framer_of(session).close(1000)
    relay.log.saw(_drawn(session, framer_of(session).data_to_send()), of="a close with 1000")
    for name in ("a frame without a mask", "a reserved bit", "a continuation of nothing", "a text that isn't UTF-8"):
        data = _FORBIDDEN.get(name) or frame(Opcode.TEXT, b'{"type":"heartbeat","x":"\xff"}')
        relay.log.saw(_drawn(authenticated_websocket(relay), data + frame(Opcode.PING, _AFTER)), of=name)


@requirement("CB-WSK-102")
def test_binary_frame(relay: RelayUnderTest) -> None:
    """Send a heartbeat in a binary frame."""
    session = authenticated_websocket(relay)
    request = session.record({"type": "heartbeat"}, meant="in a binary frame")
    relay.log.saw(reaction(session.exchange(request, frame(Opcode.BINARY, BEAT))))


@requirement("CB-WSK-104")
def test_subprotocol(relay: RelayUnderTest) -> None:
    """Send an opening handshake that offers an unknown subprotocol."""
    relay.needs.websocket()
    response = upgrade(relay, headers={"Sec-WebSocket-Protocol": "cbspec-unknown"})
    chosen = response.headers.get("sec-websocket-protocol")
    relay.log.saw(f"status {response.status}, {'chosen' if chosen else 'ignored'}")


_HANDSHAKES: dict[str, dict[str, dict[str, Any]]] = {
    "CB-WSK-103": {"": {"path": "/cbspec/another-path"}},
    "CB-WSK-105": {
        "a plain GET": {
            "headers": dict.fromkeys(("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"), "")
        },
        "version 7": {"headers": {"Sec-WebSocket-Version": "7"}},
    },
    "CB-WSK-106": {
        "a foreign Origin": {"headers": {"Origin": "https://cbspec.invalid"}},
        "Origin: null": {"headers": {"Origin": "null"}},
        "a query": {"respell": lambda text: text.replace(" HTTP/1.1", "?x=1&y=%20 HTTP/1.1", 1)},
        "two versions in a list": {"headers": {"Sec-WebSocket-Version": "13, 8"}},
        "two version headers": {
            "respell": _with_header("Sec-WebSocket-Version: 8"),
        },
        "a folded header": {"respell": _with_header("X-Cbspec: a,", " b")},
        "two Connection headers": {"headers": {"Connection": "keep-alive\r\nConnection: Upgrade"}},
        "a list with empty elements": {"headers": {"Connection": ", keep-alive ,, Upgrade ,"}},
    },
}


@requirements("CB-WSK-103", "CB-WSK-105", "CB-WSK-106")
def test_other_handshakes(relay: RelayUnderTest, identifier: str) -> None:
    """Send opening handshakes with another path, query, Origin, version or form, or a GET without an upgrade."""
    relay.needs.websocket()
    for name, changes in _HANDSHAKES[identifier].items():
        try:
            relay.log.saw(f"status {upgrade(relay, **changes).status}", of=name)
        except Inconclusive:
            relay.log.saw("no HTTP response", of=name)


def _drawn(session: ProbeSession, data: bytes) -> str:
    """Send frames and return the reaction: a close with its code, an end without one, or a pong to the ping."""
    framer = framer_of(session)
    session.send_unanswered(data)
    if not session.channel.wait_until(
        lambda: framer.close_code is not None or session.ended is not None or _AFTER in framer.pongs, session.timeout
    ):
        raise Inconclusive("neither a close nor a pong in time")
    if framer.close_code is not None:
        return f"closed with {framer.close_code}"
    return "closed without a code" if session.ended else OPEN
