"""Source: Notes / all messages must be valid UTF-8 JSON: any legal spelling, and however it was split."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import strategies as st

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.session import HELLO, ProbeSession
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.strategies import CUTS, SPELLINGS, TUNNEL_IDS, Spelling, pieces
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

_TYPES = ("hello", "auth", "tunnel_info", "heartbeat")


@dataclass(frozen=True, slots=True)
class _Message:
    """How a valid message is to be sent: its spelling, where it is cut, and what a tunnel_info says."""

    spelling: Spelling
    cuts: list[float]
    tunnel_id: str
    local_port: int


_LINE_ENDS = "\u0085\u2028\u2029"
"""Characters that end a line for some readers, and are like any other inside a JSON string."""
_NAMES = TUNNEL_IDS | st.tuples(TUNNEL_IDS, st.sampled_from(_LINE_ENDS), TUNNEL_IDS).map("".join)
_MESSAGES = st.builds(_Message, SPELLINGS, CUTS, _NAMES, st.integers(1, 65535))


@requirement("CB-MSG-008")
@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize("kind", _TYPES)
def test_any_spelling_split_anywhere(relay: RelayUnderTest, kind: str, transport: str, explorer: Explorer) -> None:
    """Hypothesis spells and cuts valid requests; each is accepted, and a tunnel_id comes back as it was asked for."""
    if transport == "websocket":
        relay.needs.websocket()
    else:
        relay.needs.stream()
    sending = _Sending(relay, kind, transport)

    def check(message: _Message) -> None:
        exchange = sending.send(message)
        if _understood(exchange):
            judge.accepted(exchange)
        elif blamed := sending.to_blame(message):
            raise Broken("an answer as to the same message in one piece", _seen(exchange), exchange, requirement=blamed)
        else:
            relay.log.judge_invariant("CB-TUN-002")

    explorer.explore(_MESSAGES, check)


_ESCAPED = Spelling((0,), ("",), ("lower",))


@requirement("CB-MSG-008")
@pytest.mark.parametrize("letter", ["\u0085", "\u2028", "\u2029"], ids=["U+0085", "U+2028", "U+2029"])
def test_characters_that_end_no_line(relay: RelayUnderTest, letter: str) -> None:
    """A tunnel_id holds a character that ends lines elsewhere: in escapes, then as it stands, which is the same."""
    _no_other_than_escaped(relay, letter)


@requirement("CB-MSG-008")
@pytest.mark.parametrize("brackets", ["{", "}", "[{" * 40], ids=["open", "close", "many"])
def test_brackets_in_a_string(relay: RelayUnderTest, brackets: str) -> None:
    """A tunnel_id holds brackets without their pairs: in escapes, then as they stand, which is the same."""
    _no_other_than_escaped(relay, brackets)


def _no_other_than_escaped(relay: RelayUnderTest, letters: str) -> None:
    """Ask for a tunnel_id with some letters in escapes, then as they stand, over a new connection."""
    session = relay.authenticated()
    request = relay.tunnel_info(session.tenant)
    request["tunnel_id"] += f"{letters}end"
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in letters)
    text = json.dumps(request, ensure_ascii=False).replace(f"{letters}end", f"{escaped}end").encode()
    relay.room.for_tunnel(session.tenant)
    control = session.ask(request, encode=lambda _: text)
    if not _understood(control):
        if judge.error_code(control) == "invalid_tunnel_info":
            raise NotExercised("the relay takes no tunnel_id of this kind, and the page doesn't say which it must take")
        judge.with_room(control)
        raise Inconclusive(f"the control failed: the same tunnel_id in escapes draws {_seen(control)}")
    relay.close()
    session = relay.authenticated()
    relay.room.for_tunnel(session.tenant)
    exchange = session.ask(request)
    if judge.error_code(exchange) == "invalid_tunnel_info":
        raise NotExercised("the relay takes no such letters in a tunnel_id as they stand")
    answer = judge.accepted(exchange)
    if answer.member("tunnel_id") != request["tunnel_id"]:
        raise Broken("the tunnel_id as it came back in escapes", _seen(exchange), exchange)


@requirement("CB-MSG-008")
@pytest.mark.parametrize(
    ("letter", "escape"),
    [
        ("/", r"\/"),
        ("a", r"\u0061"),
        ("é", r"\u00E9"),
        ("☃", r"\u2603"),
        ("😀", r"\ud83d\ude00"),
        ("😀", r"\uD83D\uDE00"),
    ],
    ids=["solidus", "letter", "accent", "snowman", "pair", "pair-in-capitals"],
)
def test_escapes_mean_their_characters(relay: RelayUnderTest, letter: str, escape: str) -> None:
    """A tunnel_id holds a character as it stands, which is accepted; then another one holds it as an escape."""
    session = relay.authenticated()
    request = relay.tunnel_info(session.tenant)
    request["tunnel_id"] += f"{letter}end"
    relay.room.for_tunnel(session.tenant)
    control = session.ask(request)
    if judge.error_code(control) == "invalid_tunnel_info":
        raise NotExercised("the relay takes no tunnel_id of this kind, and the page doesn't say which it must take")
    with relay.control("the same character as it stands"):
        judge.accepted(control)
    relay.close()
    session = relay.authenticated()
    request["tunnel_id"] = f"{relay.tunnel_info()['tunnel_id']}{letter}end"
    text = json.dumps(request, ensure_ascii=False).replace(f"{letter}end", f"{escape}end").encode()
    relay.room.for_tunnel(session.tenant)
    exchange = session.ask(request, encode=lambda _: text)
    answer = judge.accepted(exchange)
    if answer.member("tunnel_id") != request["tunnel_id"]:
        raise Broken("the tunnel_id as it was asked for", _seen(exchange), exchange)


class _Sending:
    """Sends messages of one type over one transport, in the way that is drawn or in part of it."""

    def __init__(self, relay: RelayUnderTest, kind: str, transport: str) -> None:
        self._relay = relay
        self._kind = kind
        self._transport = transport
        self._sessions = Sessions(relay, transport)

    def send(self, message: _Message, *, spelled: bool = True, cut: bool = True, named: bool = True) -> Exchange:
        """Send a message; without `spelled`, `cut` or `named` in the plain spelling, whole, or under a fresh name."""
        tunnel_id = message.tunnel_id if named else str(self._relay.tunnel_info()["tunnel_id"])
        session = self._session(tunnel_id)
        request = self._request(session, tunnel_id, message.local_port)
        encode = (lambda _: message.spelling.write(request).encode()) if spelled else None
        if not spelled and not cut:
            return session.ask(request)
        # What is in pieces, though it is one, is judged here, and not by what every exchange must keep.
        fragments = self._transport == "websocket"
        return session.ask_in_pieces(
            request, lambda data: pieces(data, message.cuts) if cut else [data], encode=encode, fragments=fragments
        )

    def to_blame(self, message: _Message) -> str:
        """Return the requirement that is broken: the spelling's, that of what was cut, or "" where it is neither.

        The page doesn't say which identifiers a relay must take: one that it takes in escapes, and says nothing
        against as it stands, is its spelling's matter. Raises Broken where it refuses the message in one
        plain piece under any name.
        """
        plain = self.send(message, spelled=False, cut=False)
        if not _understood(plain):
            if not judge.served(plain):
                escaped = replace(message, spelling=_ESCAPED)
                if judge.error_code(plain) != "invalid_tunnel_info" and _understood(self.send(escaped, cut=False)):
                    return "CB-MSG-008"
                judge.accepted(self.send(message, spelled=False, cut=False, named=False))
            return ""
        if not _understood(self.send(message, cut=False)):
            return "CB-MSG-008"
        return "CB-WSK-003" if self._transport == "websocket" else "CB-MSG-009"

    def _session(self, tunnel_id: str) -> ProbeSession:
        if self._kind in ("tunnel_info", "heartbeat"):
            return self._sessions.next(tunnel_id if self._kind == "tunnel_info" else "")
        self._relay.close()
        if self._kind == "hello":
            return self._relay.connect(transport=self._transport)
        session = self._relay.greeted(transport=self._transport)
        session.tenant = self._relay.tenant.id
        return session

    def _request(self, session: ProbeSession, tunnel_id: str, local_port: int) -> dict[str, Any]:
        requests: dict[str, Callable[[], dict[str, Any]]] = {
            "hello": lambda: dict(HELLO),
            "auth": lambda: {"type": "auth", "token": self._relay.tokens.valid(self._relay.tenant)},
            "tunnel_info": lambda: self._relay.tunnel_info(session.tenant, tunnel_id=tunnel_id, local_port=local_port),
            "heartbeat": lambda: {"type": "heartbeat"},
        }
        return requests[self._kind]()


def _understood(exchange: Exchange) -> bool:
    """Whether a request was served, and a tunnel named as it was asked for."""
    asked = exchange.request.member("tunnel_id") if exchange.request else None
    return judge.served(exchange) and (asked is None or any(a.member("tunnel_id") == asked for a in exchange.answers))


def _seen(exchange: Exchange) -> str:
    if judge.served(exchange):
        return f"tunnel_id {str(exchange.answers[0].member('tunnel_id'))[:80]!r}"
    return judge.describe(exchange.answers[0]) if exchange.answers else judge.silence(exchange)
