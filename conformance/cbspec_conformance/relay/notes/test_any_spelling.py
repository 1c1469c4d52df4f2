"""Source: Notes / all messages must be valid UTF-8 JSON: any legal spelling, in any pieces."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import strategies as st

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.strategies import CUTS, SPELLINGS, TUNNEL_IDS, Spelling, pieces
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.relay.error_codes.refusals import seen
from cbspec_conformance.relay.requests import TUNNEL_ID_REFUSED, TYPES, needs_transport, ready
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.kinds import each
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of a valid message: spelling (None: the usual one) and cuts, and the contents of a tunnel_info."""

    spelling: Spelling | None
    cuts: list[float]
    tunnel_id: str
    local_port: int


_LINE_ENDS = "\u0085\u2028\u2029"
"""Characters that end a line for some readers, but are ordinary ones inside a JSON string."""

_NAMES = TUNNEL_IDS | st.tuples(TUNNEL_IDS, st.sampled_from(_LINE_ENDS), TUNNEL_IDS).map("".join)
_FORMS = st.builds(_Form, SPELLINGS, CUTS, _NAMES, st.integers(1, 65535))
_ESCAPED = Spelling((0,), ("",), ("lower",))


@requirement("CB-MSG-008")
@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize("kind", TYPES)
def test_any_spelling_split_anywhere(relay: RelayUnderTest, kind: str, transport: str, explorer: Explorer) -> None:
    """Send valid requests in random spellings and pieces; each is accepted, and a tunnel_id comes back unchanged."""
    needs_transport(relay, transport)
    sender = _Sender(relay, kind, transport)

    def check(form: _Form) -> None:
        exchange = sender.send(form)
        if _understood(exchange):
            judge.accepted(exchange)
        elif broken := sender.requirement_broken(form):
            raise Broken("the answer to the same message in one piece", _seen(exchange), exchange, requirement=broken)
        else:
            relay.log.judge_invariant("CB-TUN-002")

    explorer.explore(_FORMS, check)


_UNESCAPED = {
    "U+0085": "\u0085",
    "U+2028": "\u2028",
    "U+2029": "\u2029",
    "opening brace": "{",
    "closing brace": "}",
    "many brackets": "[{" * 40,
}


@requirement("CB-MSG-008")
def test_characters_that_need_no_escape(relay: RelayUnderTest) -> None:
    """Request tunnel_ids with brackets or line separators, first as escapes, then as plain characters."""

    def check(letters: str) -> None:
        escaped = "".join(f"\\u{ord(letter):04x}" for letter in letters)
        _same_either_way(relay, letters, escaped, letters, may_refuse=True)

    each(_UNESCAPED, check)


_ESCAPES = {
    "solidus": ("/", r"\/"),
    "letter": ("a", r"\u0061"),
    "accent": ("é", r"\u00E9"),
    "snowman": ("☃", r"\u2603"),
    "pair": ("😀", r"\ud83d\ude00"),
    "pair-in-capitals": ("😀", r"\uD83D\uDE00"),
}


@requirement("CB-MSG-008")
def test_escapes_mean_their_characters(relay: RelayUnderTest) -> None:
    """Request tunnel_ids with a plain character, which is accepted, then others with the character as an escape."""

    def check(kind: tuple[str, str]) -> None:
        letter, escape = kind
        _same_either_way(relay, letter, letter, escape)

    each(_ESCAPES, check)


def _same_either_way(
    relay: RelayUnderTest, letters: str, control: str, spelling: str, *, may_refuse: bool = False
) -> None:
    """Request a tunnel_id whose `letters` are written as `control`, which is accepted, then another as `spelling`.

    A relay that refuses all tunnel_ids with such unescaped characters may do so (`may_refuse`).
    """
    sessions = Sessions(relay)
    exchange = _request_written(relay, sessions, letters, control)
    if judge.error_code(exchange) == "invalid_tunnel_info":
        raise NotExercised(TUNNEL_ID_REFUSED)
    if not _understood(exchange):
        judge.with_room(exchange)
        raise Inconclusive(
            f"the control failed: the same characters written as {quoted(control, 20)} draw {_seen(exchange)}"
        )
    exchange = _request_written(relay, sessions, letters, spelling)
    if may_refuse and judge.error_code(exchange) == "invalid_tunnel_info":
        raise NotExercised(TUNNEL_ID_REFUSED)
    judge.accepted(exchange)
    if not _understood(exchange):
        raise Broken("the tunnel_id of the request", _seen(exchange), exchange)


def _request_written(relay: RelayUnderTest, sessions: Sessions, letters: str, written: str) -> Exchange:
    """Request a tunnel with `letters` in its tunnel_id that are written as `written`."""
    session = sessions.next()
    request = relay.tunnel_info(session.tenant)
    request["tunnel_id"] += f"{letters}end"
    text = json.dumps(request, ensure_ascii=False).replace(f"{letters}end", f"{written}end").encode()
    return session.ask(request, encode=lambda _: text)


class _Sender:
    """Sends messages of one type over one transport."""

    def __init__(self, relay: RelayUnderTest, kind: str, transport: str) -> None:
        self._relay = relay
        self._kind = kind
        self._transport = transport
        self._sessions = Sessions(relay, transport)

    def send(self, form: _Form) -> Exchange:
        """Send a message in a form. Raises Inconclusive if the relay has no room for it."""
        if self._kind in ("tunnel_info", "heartbeat"):
            session = self._sessions.next(form.tunnel_id if self._kind == "tunnel_info" else "")
            request = self._relay.request(self._kind)
        else:
            self._relay.close()
            session, request = ready(self._relay, self._kind, self._transport)
        if self._kind == "tunnel_info":
            request |= {"tunnel_id": form.tunnel_id, "local_port": form.local_port}
        if (spelling := form.spelling) is None:
            return judge.with_room(session.ask(request))
        # Sent as pieces even if it is one, so that the case judges the answer and not the invariants.
        exchange = session.ask_in_pieces(
            request,
            lambda data: pieces(data, form.cuts),
            encode=lambda _: spelling.write(request).encode(),
            fragments=self._transport == "websocket",
        )
        return judge.with_room(exchange)

    def requirement_broken(self, form: _Form) -> str:
        """Return the requirement that is broken: that of the spelling or that of the cuts; "" if neither.

        The specification doesn't say which identifiers a relay must accept. If it accepts one in escapes, and gives no
        reason against the plain one, the spelling is to blame. Raises Broken if the relay refuses the message in one
        plain piece with any name.
        """
        whole = replace(form, cuts=[])
        usual = replace(whole, spelling=None)
        plain = self.send(usual)
        if not _understood(plain):
            if not judge.served(plain):
                escaped = replace(whole, spelling=_ESCAPED)
                if judge.error_code(plain) != "invalid_tunnel_info" and _understood(self.send(escaped)):
                    return "CB-MSG-008"
                judge.accepted(self.send(replace(usual, tunnel_id=str(self._relay.tunnel_info()["tunnel_id"]))))
            return ""
        if not _understood(self.send(whole)):
            return "CB-MSG-008"
        return "CB-WSK-003" if self._transport == "websocket" else "CB-MSG-009"


def _understood(exchange: Exchange) -> bool:
    """Whether a request was served, with the requested tunnel_id if it has one."""
    asked = exchange.request.member("tunnel_id") if exchange.request else None
    return judge.served(exchange) and (asked is None or any(a.member("tunnel_id") == asked for a in exchange.answers))


def _seen(exchange: Exchange) -> str:
    if judge.served(exchange):
        return f"tunnel_id {quoted(exchange.answers[0].member('tunnel_id'), 80)}"
    return seen(exchange)
