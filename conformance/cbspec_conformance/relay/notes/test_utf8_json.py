"""Source: Notes / all messages must be valid UTF-8 JSON; Message Types (one answer to one request)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.probe.session import HELLO, ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes.causes import CAUSES
from cbspec_conformance.relay.error_codes.refusals import dials, failing
from cbspec_conformance.runner.marks import alone, last, requirement
from cbspec_conformance.target.relay import RelayUnderTest

_TUNNEL = "cbspec-tunnel"
_MERGED = 64
_PADDING = 64  # bytes of white space: sixty-four messages are more than 4 KiB then
_MOMENT = 0.02  # seconds: whoever answers twice does it at once


@requirement("CB-MSG-001")
def test_output_is_utf8(relay: RelayUnderTest) -> None:
    """One of each exchange is made, with identifiers beyond ASCII; the bytes of each answer are decoded strictly."""
    _one_of_each(relay)
    relay.log.judge_invariant("CB-MSG-001")


@requirement("CB-MSG-002")
def test_output_is_one_object(relay: RelayUnderTest) -> None:
    """One of each exchange is made; each answer is read strictly and must be one object, nothing beside it."""
    _one_of_each(relay)
    relay.log.judge_invariant("CB-MSG-002")


@requirement("CB-MSG-003")
def test_output_is_of_a_known_type(relay: RelayUnderTest) -> None:
    """One of each exchange is made; the type of each answer is one that relays send."""
    _one_of_each(relay)
    relay.log.judge_invariant("CB-MSG-003")


@last
@alone
@requirement("CB-MSG-003")
@pytest.mark.parametrize("cause", list(CAUSES))
def test_output_is_of_a_known_type_whatever_the_cause(relay: RelayUnderTest, cause: str) -> None:
    """What the profile declares is filled up, exceeded or provoked; what this draws is of a known type."""
    CAUSES[cause](relay)
    relay.log.judge_invariant("CB-MSG-003")


@requirement("CB-MSG-004")
def test_one_answer_to_a_request(relay: RelayUnderTest) -> None:
    """One of each exchange is made, each followed by a moment: nothing more may come in it."""
    _one_of_each(relay, _MOMENT)
    relay.log.judge_invariant("CB-MSG-004")


def _nearly_json(text: str) -> dict[str, bytes]:
    """Return texts that are nearly `text`, a JSON object on one line that begins with its type.

    None of them begins with a whole object: a relay that reads a stream of objects may answer such a one at once, and
    take only what follows for broken.
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


_NEAR = list(_nearly_json('{"type":"heartbeat"}'))


@requirement("CB-MSG-005")
@pytest.mark.parametrize("kind", _NEAR)
@pytest.mark.parametrize("request_type", ["tunnel_info", "heartbeat"])
def test_nearly_json(relay: RelayUnderTest, request_type: str, kind: str) -> None:
    """A tunnel_info or heartbeat is spelled in a way that is nearly JSON; the same one in JSON was accepted."""
    _not_accepted(relay, request_type, lambda text: _nearly_json(text)[kind], kind)


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
@pytest.mark.parametrize("kind", list(_BAD_UTF8))
@pytest.mark.parametrize("where", ["value", "extra"])
def test_not_utf8(relay: RelayUnderTest, kind: str, where: str) -> None:
    """A tunnel_info holds bytes that are not UTF-8: in its tunnel_id, or in a member beside, else valid."""

    def spoil(text: str) -> bytes:
        if where == "value":
            return text.encode().replace(b'"cbspec-', b'"' + _BAD_UTF8[kind] + b"cbspec-", 1)
        return text[:-1].encode() + b',"x":"' + _BAD_UTF8[kind] + b'"}'

    _not_accepted(relay, "tunnel_info", spoil, kind)


@requirement("CB-MSG-006")
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_other_encodings(relay: RelayUnderTest, encoding: str) -> None:
    """A tunnel_info is encoded in UTF-16 or UTF-32."""
    _not_accepted(relay, "tunnel_info", lambda text: text.encode(encoding), encoding)


@requirement("CB-MSG-006")
@pytest.mark.parametrize("request_type", ["tunnel_info", "heartbeat"])
def test_line_in_utf16(relay: RelayUnderTest, request_type: str) -> None:
    """On a plain stream a request comes in UTF-16, the line feed behind it too: a reader by lines has it whole."""
    relay.needs.stream()
    # The line feed's second byte is the one that ends every message on a stream.
    _not_accepted(relay, request_type, lambda text: f"{text}\n".encode("utf-16-be")[:-1], "a line in UTF-16")


_NOT_MESSAGES = {
    "plain words": b"hello relay",
    "an array": b"[1,2,3]",
    "a string": b'"heartbeat"',
    "a number": b"42",
    "null": b"null",
    "an array of a heartbeat": b'[{"type":"heartbeat"}]',
    "single quotes": b"{'type':'heartbeat'}",
    "not UTF-8": b'{"type":"heartbeat","x":"\xff"}',
    "backslash before a tab": b'{"type":"heartbeat","x":"\\\t"}',
}


@requirement("CB-MSG-007")
@pytest.mark.parametrize("kind", list(_NOT_MESSAGES))
def test_bad_input_is_not_met_by_silence(relay: RelayUnderTest, kind: str) -> None:
    """A line that is no message is sent after auth: an error or a close follows, in time."""
    session = _controlled(relay)
    judge.noticed(session.ask_text(_NOT_MESSAGES[kind], meant=kind))


@requirement("CB-MSG-008")
@pytest.mark.parametrize("ending", [b"\r\n", b" \n", b"\t\r\n"], ids=["CRLF", "space", "tab"])
def test_white_space_between_messages(relay: RelayUnderTest, ending: bytes) -> None:
    """On a plain stream a heartbeat ends with more white space than a line feed; the next one follows."""
    relay.needs.stream()
    session = relay.authenticated()
    request, data = session.note({"type": "heartbeat"})
    judge.accepted(session.exchange(request, data.rstrip(b"\n") + ending))
    judge.accepted(session.heartbeat())


@requirement("CB-MSG-008")
def test_line_feeds_inside(relay: RelayUnderTest) -> None:
    """Over WebSocket, where a message has its own bounds, a heartbeat goes over several lines."""
    relay.needs.websocket()
    session = relay.authenticated(transport="websocket")
    relay.beat(session)
    judge.accepted(session.ask_text(b'{\n  "type":\r\n "heartbeat"\n}\n', meant="over several lines", like="heartbeat"))


@requirement("CB-MSG-009")
@pytest.mark.parametrize("request_type", ["hello", "auth", "tunnel_info", "heartbeat"])
def test_byte_by_byte(relay: RelayUnderTest, request_type: str) -> None:
    """Each byte of a request travels in a TLS record of its own."""
    session, request = _ready_for(relay, request_type)
    _understood_in_pieces(session, request, lambda data: [bytes([byte]) for byte in data])


@requirement("CB-MSG-009")
def test_pieces_that_are_read_apart(relay: RelayUnderTest) -> None:
    """A tunnel_info is cut inside each character of several bytes, and behind its first byte."""
    session, request = _ready_for(relay, "tunnel_info")

    def cut(data: bytes) -> list[bytes]:
        inside = [at for at in range(len(data)) if data[at] & 0xC0 == 0x80]
        return [data[start:end] for start, end in itertools.pairwise(sorted({0, 1, *inside, len(data)}))]

    _understood_in_pieces(session, request, cut)


@requirement("CB-MSG-009")
def test_half_behind_a_whole(relay: RelayUnderTest) -> None:
    """One heartbeat and the first half of another travel in one TLS record, the second half in the next."""
    session = _controlled(relay)
    first, second = session.note({"type": "heartbeat"}), session.note({"type": "heartbeat"})
    half = len(second[1]) // 2
    for _ in range(2):
        session.keep_pace()
    session.send_unanswered(first[1] + second[1][:half], cut=True)
    answers = session.answers(1)
    session.send_unanswered(second[1][half:])
    answers += session.answers(1)
    judge.all_answered(judge.with_room(session.gathered(first[0], answers)), ["heartbeat_response"] * 2)


@requirement("CB-MSG-010")
@pytest.mark.parametrize("count", [2, 10])
def test_pipelined_heartbeats(relay: RelayUnderTest, count: int) -> None:
    """Several heartbeats arrive in one TLS record; as many heartbeat_responses come back."""
    rate = relay.tenant.rate
    if rate is not None and rate.burst < 2 * count:
        raise NotExercised(f"tenants.rate of {relay.tenant.id} leaves no room for {count} requests at once")
    session = _controlled(relay)
    for _ in range(min(count, 3)):  # what isn't answered one by one isn't lost by coming together
        relay.beat(session)
    _all_answered(session, [{"type": "heartbeat"}] * count)


@requirement("CB-MSG-010")
def test_pipelined_requests(relay: RelayUnderTest) -> None:
    """A tunnel, a heartbeat and another tunnel arrive in one TLS record; all three are answered."""
    _room_for_three(relay)
    session = _controlled(relay)
    requests = [relay.tunnel_info(session.tenant), {"type": "heartbeat"}, relay.tunnel_info(session.tenant)]
    _all_answered(session, requests)


@requirement("CB-MSG-010")
def test_many_requests_over_4_kib(relay: RelayUnderTest) -> None:
    """Sixty-four heartbeats and tunnels of more than 4 KiB together arrive in one TLS record; all are answered."""
    _room_for_three(relay)
    if relay.tenant.rate is not None:
        raise NotExercised(f"{relay.tenant.id} has tenants.rate: no room for {_MERGED} requests at once")
    session = _controlled(relay)
    with relay.control("a heartbeat with white space in it"):
        judge.accepted(session.ask({"type": "heartbeat"}, encode=_padded))
    with relay.control("heartbeats that arrive together"):
        _all_answered(session, [{"type": "heartbeat"}] * 3)
    requests: list[dict[str, Any]] = [{"type": "heartbeat"} for _ in range(_MERGED)]
    requests[_MERGED // 3] = relay.tunnel_info(session.tenant)
    requests[-1] = relay.tunnel_info(session.tenant)
    try:
        _all_answered(session, requests, encode=_padded)
    except RateLimited:
        raise NotExercised(f"the relay has a rate without room for {_MERGED} requests: give tenants.rate") from None


@requirement("CB-MSG-010")
def test_request_behind_a_refused_one(relay: RelayUnderTest) -> None:
    """A bad tunnel_info and a heartbeat arrive in one TLS record; a relay that doesn't close answers both."""
    session = _controlled(relay)
    bad, beat = relay.tunnel_info(session.tenant, remote_port=0), {"type": "heartbeat"}
    with relay.control("a heartbeat behind a bad tunnel_info"):
        judge.refused(session.ask(bad, invalid="remote_port is 0"))
        if session.ended:
            raise NotExercised("the relay closes the connection behind an error")
        relay.beat(session)
    exchange = _together(session, [bad, beat], invalid="remote_port is 0")
    if not any(answer.type == "heartbeat_response" for answer in exchange.answers):
        seen = ", ".join(judge.describe(answer) for answer in exchange.answers) or judge.silence(exchange)
        raise Broken("a heartbeat_response behind the error", seen, exchange)


@alone
@requirement("CB-MSG-010")
def test_request_behind_a_dialled_tunnel(relay: RelayUnderTest) -> None:
    """A tunnel whose remote end the relay tries and a heartbeat arrive in one TLS record; both are answered."""
    with failing(relay) as (at, _):
        if not dials(relay, at):
            raise NotExercised("give remote.unreachable with remote.dialled, or conditions.transfer_failed.dialled")
        session = relay.authenticated(at=at)
        with relay.control("a heartbeat behind a tunnel"):
            judge.accepted(session.ask(relay.tunnel_info(session.tenant)))
            relay.beat(session)
        _all_answered(session, [relay.tunnel_info(session.tenant), {"type": "heartbeat"}])


@requirement("CB-MSG-010")
def test_whole_session_at_once(relay: RelayUnderTest) -> None:
    """hello, auth and a tunnel_info arrive in one TLS record; all three are answered."""
    _controlled(relay).close()
    session = relay.connect()
    session.assume(tenant=relay.tenant.id)
    _all_answered(
        session, [dict(HELLO), {"type": "auth", "token": relay.tokens.valid(relay.tenant)}, relay.tunnel_info()]
    )


@requirement("CB-MSG-011")
def test_pipelined_answers_keep_order(relay: RelayUnderTest) -> None:
    """Tunnels and heartbeats arrive together; the answers come in the order of the requests."""
    _room_for_three(relay)
    session = _controlled(relay)
    requests = [relay.tunnel_info(session.tenant), {"type": "heartbeat"}] * 2
    requests[2] = relay.tunnel_info(session.tenant)
    exchange = _together(session, requests)
    seen = [answer.member("tunnel_id") or answer.type for answer in exchange.answers]
    wanted = [request.get("tunnel_id") or "heartbeat_response" for request in requests]
    if sorted(map(str, seen)) != sorted(wanted):
        raise Inconclusive("not all were answered (see CB-MSG-010)")
    if seen != wanted:
        raise Broken("answers in the order of the requests", ", ".join(map(str, seen)), exchange)


def _one_of_each(relay: RelayUnderTest, moment: float = 0.0) -> None:
    """Make one of each exchange; what comes unasked is looked for behind each, for so many seconds."""
    opening = relay.connect()
    opening.hello()
    opening.unasked(moment)
    opening.close()
    session = relay.authenticated()
    session.ask(relay.tunnel_info(session.tenant, tunnel_id=relay.tunnel_info()["tunnel_id"] + relay.facts.odd_letters))
    session.unasked(moment)
    session.heartbeat()
    session.unasked(moment)
    for request, why in (
        (relay.tunnel_info(session.tenant, local_port=-1), "local_port is negative"),
        ({"type": "cbspec_unknown"}, "of unknown type"),
    ):
        if not session.ended:
            session.ask(request, invalid=why)
            session.unasked(moment)
    session.close()
    refused = relay.greeted()
    refused.ask({"type": "auth", "token": relay.tokens.spoiled(relay.tenant)})
    refused.unasked(moment)


def _controlled(relay: RelayUnderTest) -> ProbeSession:
    session = relay.authenticated()
    relay.open_tunnel(session)
    relay.beat(session)
    return session


def _ready_for(relay: RelayUnderTest, request_type: str) -> tuple[ProbeSession, dict[str, Any]]:
    """Return a session on which a request of a type is in order, and the request."""
    if request_type == "hello":
        return relay.connect(), dict(HELLO)
    if request_type == "auth":
        relay.authenticated().close()
        session = relay.greeted()
        session.assume(tenant=relay.tenant.id)
        return session, {"type": "auth", "token": relay.tokens.valid(relay.tenant)}
    session = relay.authenticated()
    if request_type == "heartbeat":
        return session, {"type": "heartbeat"}
    request = relay.tunnel_info(session.tenant)
    request["tunnel_id"] += relay.facts.odd_letters
    return session, request


def _not_accepted(relay: RelayUnderTest, request_type: str, spoil: Any, meant: str) -> None:  # noqa: ANN401 - str -> bytes
    session = _controlled(relay)
    request = relay.tunnel_info(session.tenant) if request_type == "tunnel_info" else {"type": "heartbeat"}
    text = spoil(json.dumps(request, separators=(",", ":")))
    exchange = session.ask_text(text, meant=meant, like=request_type)
    judge.not_accepted(exchange, "no success answer to what isn't valid")


def _room_for_three(relay: RelayUnderTest) -> None:
    if relay.room.tunnels(3) < 3:
        raise NotExercised(f"no room for three tunnels of {relay.tenant.id} on one connection")


def _padded(request: object) -> bytes:
    return json.dumps(request, separators=("," + " " * _PADDING, ": " + " " * _PADDING)).encode()


def _all_answered(
    session: ProbeSession, requests: list[dict[str, Any]], *, encode: Callable[[object], bytes] | None = None
) -> None:
    """See that requests sent in one piece draw an answer each, by type; what comes besides is CB-MSG-004's."""
    exchange = _together(session, requests, encode=encode)
    judge.all_answered(exchange, [SUCCESS_TYPES[request["type"]] for request in requests])


def _together(
    session: ProbeSession,
    requests: list[dict[str, Any]],
    *,
    invalid: str = "",
    encode: Callable[[object], bytes] | None = None,
) -> Exchange:
    """Send requests in one piece and return all their answers as one exchange; `invalid` is what is wrong with one."""
    noted = [session.note(request, meant=invalid, encode=encode) for request in requests]
    return judge.with_room(session.together([message for message, _ in noted], b"".join(data for _, data in noted)))


def _understood_in_pieces(session: ProbeSession, request: dict[str, Any], cut: Callable[[bytes], list[bytes]]) -> None:
    """See that a request which arrives in pieces is served, and its tunnel named as when it arrives whole."""
    exchange = session.ask_in_pieces(request, cut)
    judge.accepted(exchange)
    told, asked = exchange.answers[0].member("tunnel_id"), request.get("tunnel_id")
    if asked is None or told == asked:
        return
    whole = session.ask(request) if not session.ended else exchange
    if any(answer.member("tunnel_id") == asked for answer in whole.answers):
        raise Broken(f"tunnel_id {asked[:80]!r}, as asked in pieces", f"tunnel_id {str(told)[:80]!r}", exchange)
