"""Source: Notes / all messages must be valid UTF-8 JSON; Message Types (one answer to one request)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cbspec.protocol.messages import RULES
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.judging.observing import ACCEPTED, CLOSED, IGNORED, answered, reaction
from cbspec_conformance.oracles.referee import is_closed, is_no_message, is_utf8
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.properties.damage import CHANGES, SLIPS, ByteChange, Slip
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.strategies import SPELLINGS, Spelling
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.relay.error_codes.refusals import dialling
from cbspec_conformance.relay.requests import (
    TYPES,
    UNKNOWN,
    all_answered,
    every_byte,
    needs_transport,
    ready,
    record_reaction,
    send_together,
    understood_in_pieces,
    with_tunnel,
    with_tunnel_and_heartbeat,
)
from cbspec_conformance.relay.upgrade import BEAT
from cbspec_conformance.runner.marks import provokes, requirement, requirements
from cbspec_conformance.target.kinds import in_turn
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

_MERGED = 64
_PADDING = 64  # bytes of white space: 64 padded messages take more than 4 KiB
_MOMENT = 0.02  # seconds in which a second answer follows the first
_BEAT: dict[str, Any] = {"type": "heartbeat"}
_NOT_ACCEPTED = "no success answer to a text that is not JSON in UTF-8"


@requirements("CB-MSG-001", "CB-MSG-002", "CB-MSG-003", "CB-MSG-004")
def test_output_is_one_message(relay: RelayUnderTest, identifier: str) -> None:
    """Send one request of each kind, with identifiers beyond ASCII.

    Every answer must be one JSON object in UTF-8, of a type that relays send, and none may follow within a moment.
    """
    moment = _MOMENT if identifier == "CB-MSG-004" else 0.0
    opening = relay.connect()
    opening.hello()
    opening.unasked(moment)
    opening.close()
    session, tunnel = _ready_beyond_ascii(relay, "tunnel_info")
    for request, why in (
        (tunnel, ""),
        (_BEAT, ""),
        (relay.tunnel_info(local_port=-1), "local_port is negative"),
        (UNKNOWN, "of unknown type"),
    ):
        if not session.ended:
            session.ask(request, invalid=why)
            session.unasked(moment)
    session.close()
    refused = relay.greeted()
    refused.ask({"type": "auth", "token": relay.tokens.spoiled(relay.tenant)})
    refused.unasked(moment)
    relay.log.judge_invariant(identifier)


_ODD_TEXTS = {
    "quotes and backslashes": 'quote " and \\ \\" backslash',
    "control characters": "tab\t line\n return\r \x01\x1f",
    "brackets and an emoji": "{}[]:, \u2028 \x7f 😀",
}


@requirement("CB-MSG-002")
@pytest.mark.parametrize("where", ["tunnel_id", "sub", "type"])
def test_answers_that_repeat_odd_text(relay: RelayUnderTest, where: str) -> None:
    """Send tunnel_ids, subjects of tokens or unknown types of odd letters, which an answer may repeat.

    A relay may refuse them; an answer that is no JSON is a breach.
    """

    def check(session: ProbeSession, text: str) -> None:
        if where == "sub":
            relay.authenticate(session, relay.tenant, token=relay.tokens.minted(relay.tenant, {"sub": text}))
            session.close()
        elif where == "type":
            session.ask({"type": text}, invalid="of unknown type")
        else:
            session.ask(relay.tunnel_info(tunnel_id=text + relay.tunnel_info()["tunnel_id"]))
        relay.log.judge_invariant("CB-MSG-002")

    connect, most = (relay.greeted, 1) if where == "sub" else (relay.authenticated, relay.room.tunnels(len(_ODD_TEXTS)))
    in_turn(_ODD_TEXTS, connect, check, most=most)


def _nearly_json(text: str) -> dict[str, bytes]:
    """Return texts that are nearly `text`, a JSON object on one line that begins with its type.

    None of them begins with a whole object: a relay that reads a stream of objects may answer it at once, before it
    finds the rest invalid.
    """
    body = text[1:-1]
    first, _, rest = body.partition(",")
    name, _, value = first.partition(":")
    tail = f",{rest}" if rest else ""
    return {
        "leading garbage": f"x{text}".encode(),
        "trailing comma": f"{{{body},}}".encode(),
        "leading comma": f"{{,{body}}}".encode(),
        "single quotes": text.replace('"', "'").encode(),
        "unquoted name": f"{{{name.strip(chr(34))}:{value}{tail}}}".encode(),
        "block comment": f"{{/* */{body}}}".encode(),
        "equals sign": f"{{{name}={value}{tail}}}".encode(),
        "missing brace": f"{{{body}".encode(),
        "missing comma": f'{{{body} "x":1}}'.encode(),
        "missing colon": f"{{{name} {value}{tail}}}".encode(),
        "NaN member": f'{{{body},"x":NaN}}'.encode(),
        "Infinity member": f'{{{body},"x":-Infinity}}'.encode(),
        "hexadecimal number": f'{{{body},"x":0x10}}'.encode(),
        "leading zero": f'{{{body},"x":01}}'.encode(),
        "plus sign": f'{{{body},"x":+1}}'.encode(),
        "bare point": f'{{{body},"x":1.}}'.encode(),
        "True in capitals": f'{{{body},"x":True}}'.encode(),
        "undefined": f'{{{body},"x":undefined}}'.encode(),
        "unknown escape": f'{{{body},"x":"\\x41"}}'.encode(),
        "raw tab in a string": f'{{{body},"x":"a\tb"}}'.encode(),
        "form feed as space": f"{{\f{body}}}".encode(),
        "no-break space as space": f"{{\u00a0{body}}}".encode(),
        "vertical tab before": f"\v{text}".encode(),
        "form feed before": f"\f{text}".encode(),
        "no-break space before": f"\u00a0{text}".encode(),
        "em space before": f"\u2003{text}".encode(),
        "NUL before": f"\0{text}".encode(),
        "NUL as space": f"{{\0{body}}}".encode(),
    }


@requirement("CB-MSG-005")
@pytest.mark.parametrize("request_type", ["tunnel_info", "heartbeat"])
def test_nearly_json(relay: RelayUnderTest, request_type: str) -> None:
    """Send a tunnel_info or heartbeat in texts that are nearly JSON; its valid form was accepted."""
    kinds = _nearly_json('{"type":"heartbeat"}')
    _not_accepted(relay, request_type, {kind: partial(_nearly, kind=kind) for kind in kinds})


def _nearly(text: str, kind: str) -> bytes:
    return _nearly_json(text)[kind]


@requirement("CB-MSG-005")
@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize("damage", [SLIPS.map(lambda slip: [slip]), CHANGES], ids=["grammar", "bytes"])
def test_damaged_texts_are_not_accepted(
    relay: RelayUnderTest, explorer: Explorer, damage: SearchStrategy[Sequence[ByteChange | Slip]], transport: str
) -> None:
    """Damage JSON texts at random; Python's strict reader decides which are no JSON, and none of those is accepted."""
    needs_transport(relay, transport)
    sessions = Sessions(relay, transport)

    def check(drawn: tuple[Spelling, str, Sequence[ByteChange | Slip]]) -> None:
        spelling, kind, changes = drawn
        request = _BEAT if kind == "heartbeat" else relay.tunnel_info(tunnel_id=f"{relay.stem}-damaged")
        text = spelling.write(request).encode()
        for change in changes:
            text = change.apply(text)
        # In a stream, an unclosed text includes the messages after it; over WebSocket a message has its own bounds.
        if not is_no_message(text) or (transport == "tcp" and not is_closed(text)):
            reject()
        exchange = sessions.next().ask_text(text, meant=f"no JSON: {', '.join(map(str, changes))}", like=kind)
        try:
            judge.not_accepted(exchange, _NOT_ACCEPTED)
        except Broken as broken:
            broken.requirement = "CB-MSG-005" if is_utf8(text) else "CB-MSG-006"
            raise

    explorer.explore(st.tuples(SPELLINGS, st.sampled_from(["tunnel_info", "heartbeat"]), damage), check)
    relay.open_tunnel(relay.authenticated(transport=transport))


_BAD_UTF8 = {
    "lone continuation byte": b"\x80",
    "overlong slash": b"\xc0\xaf",
    "surrogate": b"\xed\xa0\x80",
    "cut sequence": b"\xe2\x82",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "Latin-1 letter": b"\xe9",
    "byte 0xff": b"\xff",
}


@requirement("CB-MSG-006")
@pytest.mark.parametrize("where", ["value", "extra"])
def test_not_utf8(relay: RelayUnderTest, where: str) -> None:
    """Send tunnel_infos with bytes that are not UTF-8, in the tunnel_id or in an additional member."""

    def spoil(text: str, bad: bytes) -> bytes:
        if where == "value":
            return text.encode().replace(b'"cb-', b'"' + bad + b"cb-", 1)
        return text[:-1].encode() + b',"x":"' + bad + b'"}'

    _not_accepted(relay, "tunnel_info", {kind: partial(spoil, bad=bad) for kind, bad in _BAD_UTF8.items()})


@requirement("CB-MSG-006")
@pytest.mark.parametrize("request_type", ["tunnel_info", "heartbeat"])
def test_other_encodings(relay: RelayUnderTest, request_type: str) -> None:
    """Send requests in UTF-16 or UTF-32; on a plain stream, also with its line feed, so that a line is complete."""
    kinds: dict[str, Callable[[str], bytes]] = {
        encoding: partial(str.encode, encoding=encoding) for encoding in ("utf-16-le", "utf-16-be", "utf-32-le")
    }
    if relay.facts.transport == "tcp":  # the line feed's second byte is the byte that ends every message on a stream
        kinds["a line in utf-16-be"] = lambda text: f"{text}\n".encode("utf-16-be")[:-1]
    _not_accepted(relay, request_type, kinds)


def _not_accepted(relay: RelayUnderTest, request_type: str, kinds: Mapping[str, Callable[[str], bytes]]) -> None:
    """Send a request as each kind of text that is no JSON in UTF-8."""

    def check(session: ProbeSession, kind: str) -> None:
        text = kinds[kind](json.dumps(relay.request(request_type), separators=(",", ":")))
        exchange = session.ask_text(text, meant=kind, like=request_type)
        try:
            judge.not_accepted(exchange, _NOT_ACCEPTED)
        except Broken as broken:
            broken.kinds = ("altered letters",)  # see `judging.follow_ups`
            raise
        if not is_closed(text):
            session.close()  # a relay may take later messages for the rest of the text

    in_turn({kind: kind for kind in kinds}, lambda: with_tunnel_and_heartbeat(relay), check)


_NOT_OBJECTS = {
    "plain words": b"hello relay",
    "an array": b"[1,2,3]",
    "an array of a heartbeat": b'[{"type":"heartbeat"}]',
    "a string": b'"heartbeat"',
    "a number": b"42",
    "null": b"null",
    "single quotes": b"{'type':'heartbeat'}",
}
_NOT_MESSAGES = {
    **_NOT_OBJECTS,
    "not UTF-8": b'{"type":"heartbeat","x":"\xff"}',
    "backslash before a tab": b'{"type":"heartbeat","x":"\\\t"}',
}


@requirement("CB-MSG-007")
def test_invalid_input_is_answered(relay: RelayUnderTest) -> None:
    """After auth, send lines that are no message; an error or a close must follow each in time."""

    def check(session: ProbeSession, kind: str) -> None:
        judge.noticed(session.ask_text(_NOT_MESSAGES[kind], meant=kind))

    in_turn({kind: kind for kind in _NOT_MESSAGES}, lambda: with_tunnel_and_heartbeat(relay), check)


@requirement("CB-MSG-008")
@pytest.mark.parametrize("ending", [b"\r\n", b" \n", b"\t\r\n"], ids=["CRLF", "space", "tab"])
def test_white_space_between_messages(relay: RelayUnderTest, ending: bytes) -> None:
    """On a plain stream, send a heartbeat that ends with more white space than a line feed, then another."""
    relay.needs.stream()
    session = relay.authenticated()
    request, data = session.note(_BEAT)
    judge.accepted(session.exchange(request, data.rstrip(b"\n") + ending))
    judge.accepted(session.heartbeat())


@requirement("CB-MSG-009")
@pytest.mark.parametrize("request_type", TYPES)
def test_byte_by_byte(relay: RelayUnderTest, request_type: str) -> None:
    """Send each byte of a request in a TLS record of its own."""
    if request_type == "auth":
        relay.authenticated().close()
    understood_in_pieces(*_ready_beyond_ascii(relay, request_type), every_byte)


@requirement("CB-MSG-009")
def test_pieces_that_are_read_apart(relay: RelayUnderTest) -> None:
    """Send a tunnel_info in pieces that split each multi-byte character, and after its first byte."""

    def cut(data: bytes) -> list[bytes]:
        inside = [at for at in range(len(data)) if data[at] & 0xC0 == 0x80]
        return [data[start:end] for start, end in itertools.pairwise(sorted({0, 1, *inside, len(data)}))]

    understood_in_pieces(*_ready_beyond_ascii(relay, "tunnel_info"), cut)


@requirement("CB-MSG-009")
def test_half_after_a_whole(relay: RelayUnderTest) -> None:
    """Send a heartbeat and the first half of another in one TLS record, and the second half in the next."""
    session = with_tunnel_and_heartbeat(relay)
    with relay.control("two whole heartbeats in one TLS record"):
        all_answered(session, [_BEAT] * 2)
    first, second = session.note(_BEAT), session.note(_BEAT)
    half = len(second[1]) // 2
    exchange = session.together([first[0], second[0]], first[1] + second[1][:half], second[1][half:])
    judge.all_answered(judge.with_room(exchange), ["heartbeat_response"] * 2)


def _ready_beyond_ascii(relay: RelayUnderTest, kind: str) -> tuple[ProbeSession, dict[str, Any]]:
    """Return a session and a valid request, with characters beyond ASCII in a tunnel_id."""
    session, request = ready(relay, kind)
    if kind == "tunnel_info":
        request["tunnel_id"] += relay.facts.odd_letters
    return session, request


@requirement("CB-MSG-010")
@pytest.mark.parametrize(
    "kinds",
    [["heartbeat"] * 2, ["heartbeat"] * 10, ["tunnel_info", "heartbeat", "tunnel_info"]],
    ids=["2 heartbeats", "10 heartbeats", "tunnels"],
)
def test_pipelined_requests(relay: RelayUnderTest, kinds: list[str]) -> None:
    """Send several heartbeats, or a heartbeat between two tunnel_infos, in one TLS record; expect an answer to each."""
    rate = relay.tenant.rate
    if rate is not None and "tunnel_info" not in kinds and rate.burst < 2 * len(kinds):
        raise NotExercised(f"tenants.rate of {relay.tenant.id} leaves no room for {len(kinds)} requests at once")
    if "tunnel_info" in kinds:
        _room_for_three(relay)
    session = with_tunnel_and_heartbeat(relay)
    for _ in range(min(len(kinds), 3)):  # a relay that doesn't answer single heartbeats breaks another requirement
        relay.beat(session)
    all_answered(session, [relay.request(kind) for kind in kinds])


@requirement("CB-MSG-010")
def test_many_requests_over_4_kib(relay: RelayUnderTest) -> None:
    """Send 64 heartbeats and tunnel_infos of more than 4 KiB in one TLS record; expect an answer to each."""
    _room_for_three(relay)
    if relay.tenant.rate is not None:
        raise NotExercised(f"{relay.tenant.id} has tenants.rate: no room for {_MERGED} requests at once")
    session = with_tunnel_and_heartbeat(relay)
    with relay.control("a heartbeat with white space in it"):
        judge.accepted(session.ask(_BEAT, encode=_padded))
    with relay.control("heartbeats that arrive together"):
        all_answered(session, [_BEAT] * 3)
    requests: list[dict[str, Any]] = [_BEAT] * _MERGED
    requests[_MERGED // 3] = relay.tunnel_info(session.tenant)
    requests[-1] = relay.tunnel_info(session.tenant)
    try:
        all_answered(session, requests, encode=_padded)
    except RateLimited:
        raise NotExercised(f"the relay has a rate without room for {_MERGED} requests: give tenants.rate") from None


@requirement("CB-MSG-010")
def test_request_after_a_refused_one(relay: RelayUnderTest) -> None:
    """Send an invalid tunnel_info and a heartbeat in one TLS record; a relay that doesn't close answers both."""
    session = with_tunnel_and_heartbeat(relay)
    invalid = relay.tunnel_info(session.tenant, remote_port=0)
    with relay.control("a heartbeat after an invalid tunnel_info"):
        judge.refused(session.ask(invalid, invalid="remote_port is 0"))
        if session.ended:
            raise NotExercised("the relay closes the connection after an error")
        relay.beat(session)
    exchange = send_together(session, [invalid, _BEAT], invalid="remote_port is 0")
    if not any(answer.type == "heartbeat_response" for answer in exchange.answers):
        seen = ", ".join(judge.describe(answer) for answer in exchange.answers) or judge.silence(exchange)
        raise Broken("a heartbeat_response after the error", seen, exchange)


@provokes("transfer_failed")
@requirement("CB-MSG-010")
def test_request_after_a_dialled_tunnel(relay: RelayUnderTest) -> None:
    """Send a tunnel_info whose remote end the relay dials, and a heartbeat, in one TLS record; expect both answers."""
    with dialling(relay) as (at, _):
        session = relay.authenticated(at=at)
        with relay.control("a heartbeat after a tunnel"):
            judge.accepted(session.ask(relay.tunnel_info(session.tenant)))
            relay.beat(session)
        all_answered(session, [relay.tunnel_info(session.tenant), _BEAT])


@requirement("CB-MSG-010")
def test_whole_session_at_once(relay: RelayUnderTest) -> None:
    """Send hello, auth and a tunnel_info in one TLS record; expect three answers."""
    with_tunnel_and_heartbeat(relay).close()
    session = relay.connect()
    session.assume(tenant=relay.tenant.id)
    all_answered(session, [relay.request(kind) for kind in ("hello", "auth", "tunnel_info")])


@requirement("CB-MSG-011")
def test_pipelined_answers_keep_order(relay: RelayUnderTest) -> None:
    """Send tunnel_infos and heartbeats in one TLS record; expect the answers in the order of the requests."""
    _room_for_three(relay)
    session = with_tunnel_and_heartbeat(relay)
    requests = [relay.tunnel_info(session.tenant), _BEAT, relay.tunnel_info(session.tenant), _BEAT]
    exchange = send_together(session, requests)
    seen = [answer.member("tunnel_id") or answer.type for answer in exchange.answers]
    wanted = [request.get("tunnel_id") or "heartbeat_response" for request in requests]
    if sorted(map(str, seen)) != sorted(wanted):
        raise Inconclusive("not all were answered (see CB-MSG-010)")
    if seen != wanted:
        raise Broken("answers in the order of the requests", ", ".join(map(str, seen)), exchange)


def _room_for_three(relay: RelayUnderTest) -> None:
    if relay.room.tunnels(3) < 3:
        raise NotExercised(f"no room for three tunnels of {relay.tenant.id} on one connection")


def _padded(request: object) -> bytes:
    return json.dumps(request, separators=("," + " " * _PADDING, ": " + " " * _PADDING)).encode()


# ------------------------------------------------------------------ open points, which are recorded and never judged


_REACTIONS = {"CB-MSG-101": _NOT_OBJECTS, "CB-MSG-102": {"": b"\xef\xbb\xbf" + BEAT}}


@requirements("CB-MSG-101", "CB-MSG-102")
def test_reaction_to_invalid_input(relay: RelayUnderTest, identifier: str) -> None:
    """After auth, send lines that are no message, or a heartbeat after the three bytes of a byte order mark."""
    relay.beat(relay.authenticated())
    for name, text in _REACTIONS[identifier].items():
        exchange = relay.authenticated().ask_text(text, meant=name or "after a byte order mark")
        relay.log.saw(reaction(exchange), of=name)


@requirement("CB-MSG-103")
def test_several_objects_on_a_line(relay: RelayUnderTest) -> None:
    """Send two heartbeats on one line (over WebSocket: in one message), and a tunnel_info on the next."""
    for name, between in (("with a space between", b" "), ("with nothing between", b"")):
        session = relay.authenticated()
        relay.beat(session)
        relay.room.for_tunnel(session.tenant)
        beat, _ = session.note({"type": "heartbeat"})
        tunnel, data = session.note(relay.tunnel_info(session.tenant))
        session.send_unanswered(session.framer.encode(BEAT + between + BEAT) + data)
        relay.log.saw(_counted(_until_tunnel(relay, session, beat, tunnel), session), of=name)


@requirement("CB-MSG-104")
def test_members_twice(relay: RelayUnderTest) -> None:
    """Send a heartbeat with two types, and a tunnel_info with two tunnel_ids; its answer shows which one counts."""
    session = relay.authenticated()
    relay.beat(session)
    text = b'{"type":"heartbeat","type":"heartbeat"}'
    relay.log.saw(reaction(session.ask_text(text, meant="type given twice", like="heartbeat")), of="a type")
    session = relay.authenticated()
    relay.room.for_tunnel(session.tenant)
    request = relay.tunnel_info(session.tenant)
    first, second = request["tunnel_id"], relay.tunnel_info()["tunnel_id"]
    twice = json.dumps(request)[:-1] + f', "tunnel_id": "{second}"}}'
    exchange = session.ask_text(twice.encode(), meant="two tunnel_ids", like="tunnel_info")
    seen = reaction(exchange)
    if seen == ACCEPTED and exchange.answer is not None:
        which = {first: "the first counts", second: "the second counts"}
        seen = which.get(exchange.answer.member("tunnel_id"), "neither counts")
    relay.log.saw(seen, of="a tunnel_id")


@requirement("CB-MSG-105")
def test_unknown_members(relay: RelayUnderTest) -> None:
    """Send each request with an additional member of unknown name."""
    with_tunnel(relay)
    for kind in TYPES:
        session, request = ready(relay, kind)
        relay.room.for_tunnel(session.tenant)
        record_reaction(relay, session, {**request, "cbspec_extra": {"note": [1, None]}}, of=kind)


@requirement("CB-MSG-106")
def test_members_of_answers(relay: RelayUnderTest) -> None:
    """Record the names of additional members in each kind of answer."""
    answers = [*relay.connect().hello().answers, *relay.authenticate(relay.greeted(), relay.tenant).answers]
    session = relay.authenticated()
    answers += relay.open_tunnel(session).answers
    answers += session.heartbeat().answers
    answers += session.ask(UNKNOWN, invalid="of unknown type").answers
    for answer in answers:
        if isinstance(answer.value, dict) and answer.type in RULES:
            extra = sorted(str(name)[:40] for name in set(answer.value) - {"type", *RULES[answer.type].members})
            relay.log.saw(", ".join(extra) or "none", of=answer.type)


@requirement("CB-MSG-107")
def test_line_feeds(relay: RelayUnderTest) -> None:
    """On a plain stream, send a heartbeat without its line feed, and a tunnel_info after an empty line."""
    relay.needs.stream()
    session = relay.authenticated()
    relay.beat(session)
    session.note({"type": "heartbeat"})
    session.send_unanswered(BEAT)
    at_once = session.answers(1, session.tempo.patience)
    session.send_unanswered(b"\n")
    answers = at_once or session.answers(1)
    if not answers:
        raise Inconclusive("a heartbeat whose line feed was sent later had no answer")
    relay.log.saw(f"{answered(answers[0])}{'' if at_once else ', after the line feed'}", of="no line feed")
    session = relay.authenticated()
    relay.room.for_tunnel(session.tenant)
    tunnel, data = session.note(relay.tunnel_info(session.tenant))
    session.send_unanswered(b"\n" + data)
    found = _until_tunnel(relay, session, tunnel, tunnel)
    errors = [answered(answer) for answer in found if answer.type == "error"]
    relay.log.saw(errors[0] if errors else IGNORED if found else CLOSED, of="an empty line")


@requirement("CB-MSG-108")
def test_names_of_members_in_the_other_case(relay: RelayUnderTest) -> None:
    """Send tunnel_infos with Tunnel_ID or Remote_Host, and a heartbeat with Type, in place of the proper names."""
    with_tunnel(relay)
    for name, other in (("tunnel_id", "Tunnel_ID"), ("remote_host", "Remote_Host")):
        session = relay.authenticated()
        relay.room.for_tunnel(session.tenant)
        request = {other if old == name else old: value for old, value in relay.tunnel_info(session.tenant).items()}
        record_reaction(relay, session, request, of=name, invalid=f"{other} for {name}")
        session.close()
    session = relay.authenticated()
    relay.beat(session)
    record_reaction(relay, session, {"Type": "heartbeat"}, of="type", invalid="Type for type")


def _until_tunnel(relay: RelayUnderTest, session: ProbeSession, beat: Message, tunnel: Message) -> list[Message]:
    """Return the answers up to the tunnel_response or the end, and check each against the invariants."""
    found: list[Message] = []
    while not (found and found[-1].type == "tunnel_response") and not session.ended:
        answers = session.answers(1)
        if not answers and not session.ended:
            raise Inconclusive("no answer to the tunnel_info on the next line")
        found += answers
        for answer in answers:
            request = tunnel if answer.type == "tunnel_response" else beat
            relay.log.observe(Exchange(request, (answer,), tenant=session.tenant))
    return found


def _counted(found: list[Message], session: ProbeSession) -> str:
    beats = sum(answer.type == "heartbeat_response" for answer in found)
    errors = [answered(answer) for answer in found if answer.type == "error"]
    if not found or (session.ended and not errors and not beats):
        return CLOSED
    how = {0: "", 1: "the first is answered", 2: "each is answered"}.get(beats, "more answers than objects")
    return ", ".join(part for part in (how, errors[0] if errors else "") if part) or IGNORED
