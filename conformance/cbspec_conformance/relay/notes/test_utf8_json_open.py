"""Source: Notes / valid UTF-8 JSON, where it is silent: what the relay does is recorded and never judged."""

from __future__ import annotations

import json
from typing import Any

from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.judging.observing import ACCEPTED, CLOSED, IGNORED, answered, reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_BEAT = b'{"type":"heartbeat"}'
_NOT_OBJECTS = {
    "plain words": b"hello relay",
    "an array": b"[1,2,3]",
    "an array of a heartbeat": b'[{"type":"heartbeat"}]',
    "a string": b'"heartbeat"',
    "a number": b"42",
    "null": b"null",
    "single quotes": b"{'type':'heartbeat'}",
}
_MEMBERS = {
    "hello_response": {"type", "version", "features"},
    "auth_response": {"type", "status", "client_id", "tenant_id"},
    "tunnel_response": {"type", "status", "tunnel_id"},
    "heartbeat_response": {"type"},
    "error": {"type", "code", "message"},
}


@requirement("CB-MSG-101")
def test_how_bad_input_is_met(relay: RelayUnderTest) -> None:
    """Lines that are no message are sent after auth, each on a connection of its own."""
    relay.beat(relay.authenticated())
    for name, text in _NOT_OBJECTS.items():
        relay.log.saw(reaction(relay.authenticated().ask_text(text, meant=name)), of=name)


@requirement("CB-MSG-102")
def test_byte_order_mark(relay: RelayUnderTest) -> None:
    """A heartbeat is sent behind the three bytes of a byte order mark."""
    session = relay.authenticated()
    relay.beat(session)
    relay.log.saw(
        reaction(session.ask_text(b"\xef\xbb\xbf" + _BEAT, meant="behind a byte order mark", like="heartbeat"))
    )


@requirement("CB-MSG-103")
def test_several_objects_on_a_line(relay: RelayUnderTest) -> None:
    """Two heartbeats stand on one line (over WebSocket: in one message), a tunnel_info on the next."""
    for name, between in (("with a space between", b" "), ("with nothing between", b"")):
        session = relay.authenticated()
        relay.beat(session)
        relay.room.for_tunnel(session.tenant)
        beat, _ = session.note({"type": "heartbeat"})
        last, behind = session.note(relay.tunnel_info(session.tenant))
        session.send_unanswered(session.framer.encode(_BEAT + between + _BEAT) + behind)
        relay.log.saw(_counted(_until_tunnel(relay, session, beat, last), session), of=name)


@requirement("CB-MSG-104")
def test_members_twice(relay: RelayUnderTest) -> None:
    """A heartbeat has its type twice; a tunnel_info has two tunnel_ids, and the answer shows which one counts."""
    session = relay.authenticated()
    relay.beat(session)
    text = b'{"type":"heartbeat","type":"heartbeat"}'
    relay.log.saw(reaction(session.ask_text(text, meant="type given twice", like="heartbeat")), of="a type")
    session = relay.authenticated()
    relay.room.for_tunnel(session.tenant)
    request = relay.tunnel_info(session.tenant)
    first, second = request["tunnel_id"], relay.tunnel_info()["tunnel_id"]
    spelt = json.dumps(request)[:-1] + f', "tunnel_id": "{second}"}}'
    exchange = session.ask_text(spelt.encode(), meant="two tunnel_ids", like="tunnel_info")
    seen = reaction(exchange)
    if seen == ACCEPTED and exchange.answer is not None:
        which = {first: "the first counts", second: "the second counts"}
        seen = which.get(exchange.answer.member("tunnel_id"), "neither counts")
    relay.log.saw(seen, of="a tunnel_id")


@requirement("CB-MSG-105")
def test_unknown_members(relay: RelayUnderTest) -> None:
    """Each request is sent with a member that the page doesn't name, and else as it was accepted."""
    relay.open_tunnel(relay.authenticated())
    extra: dict[str, Any] = {"cbspec_extra": {"note": [1, None]}}
    relay.log.saw(reaction(relay.connect().hello(**extra)), of="hello")
    session = relay.greeted()
    exchange = session.ask({"type": "auth", "token": relay.tokens.valid(relay.tenant), **extra})
    relay.log.saw(reaction(exchange), of="auth")
    session = relay.authenticated()
    relay.room.for_tunnel(session.tenant)
    relay.log.saw(reaction(session.ask(relay.tunnel_info(session.tenant, **extra))), of="tunnel_info")
    session = relay.authenticated()
    relay.log.saw(reaction(session.ask({"type": "heartbeat", **extra})), of="heartbeat")


@requirement("CB-MSG-106")
def test_members_of_answers(relay: RelayUnderTest) -> None:
    """One of each exchange is made; the names of the members that the page doesn't have are taken down."""
    opening = relay.greeted()
    answers = [*relay.connect().hello().answers, *relay.authenticate(opening, relay.tenant).answers]
    session = relay.authenticated()
    answers += relay.open_tunnel(session).answers
    answers += session.heartbeat().answers
    answers += session.ask({"type": "cbspec_unknown"}, invalid="of unknown type").answers
    for answer in answers:
        if isinstance(answer.value, dict) and answer.type in _MEMBERS:
            extra = sorted(str(name)[:40] for name in set(answer.value) - _MEMBERS[answer.type])
            relay.log.saw(", ".join(extra) or "none", of=answer.type)


@requirement("CB-MSG-107")
def test_line_feeds(relay: RelayUnderTest) -> None:
    """On a plain stream a heartbeat comes without its line feed, and a tunnel_info behind an empty line."""
    relay.needs.stream()
    session = relay.authenticated()
    relay.beat(session)
    session.note({"type": "heartbeat"})
    session.send_unanswered(_BEAT)
    at_once = session.answers(1, session.tempo.patience)
    session.send_unanswered(b"\n")
    answers = at_once or session.answers(1)
    if not answers:
        raise Inconclusive("a heartbeat whose line feed came late had no answer")
    relay.log.saw(f"{answered(answers[0])}{'' if at_once else ', behind the line feed'}", of="no line feed")
    session = relay.authenticated()
    relay.room.for_tunnel(session.tenant)
    last, behind = session.note(relay.tunnel_info(session.tenant))
    session.send_unanswered(b"\n" + behind)
    found = _until_tunnel(relay, session, last, last)
    errors = [answered(answer) for answer in found if answer.type == "error"]
    relay.log.saw(errors[0] if errors else IGNORED if found else CLOSED, of="an empty line")


@requirement("CB-MSG-108")
def test_names_of_members_in_the_other_case(relay: RelayUnderTest) -> None:
    """A tunnel_info spells tunnel_id, then remote_host, with capitals, a heartbeat its type; all else is right."""
    relay.open_tunnel(relay.authenticated())
    for name, spelt in (("tunnel_id", "Tunnel_ID"), ("remote_host", "Remote_Host")):
        session = relay.authenticated()
        relay.room.for_tunnel(session.tenant)
        request = {spelt if old == name else old: value for old, value in relay.tunnel_info(session.tenant).items()}
        relay.log.saw(reaction(session.ask(request, invalid=f"{spelt} for {name}")), of=name)
        session.close()
    session = relay.authenticated()
    relay.beat(session)
    relay.log.saw(reaction(session.ask({"Type": "heartbeat"}, invalid="Type for type")), of="type")


def _until_tunnel(relay: RelayUnderTest, session: ProbeSession, beat: Message, last: Message) -> list[Message]:
    """Return what came up to the tunnel_response, or up to the end; each answer is held against the invariants."""
    found: list[Message] = []
    while not (found and found[-1].type == "tunnel_response") and not session.ended:
        answers = session.answers(1)
        if not answers and not session.ended:
            raise Inconclusive("no answer behind two objects on one line")
        found += answers
        for answer in answers:
            request = last if answer.type == "tunnel_response" else beat
            relay.log.observe(Exchange(request, (answer,), tenant=session.tenant))
    return found


def _counted(found: list[Message], session: ProbeSession) -> str:
    beats = sum(answer.type == "heartbeat_response" for answer in found)
    errors = [answered(answer) for answer in found if answer.type == "error"]
    if not found or (session.ended and not errors and not beats):
        return CLOSED
    how = {0: "", 1: "the first is answered", 2: "each is answered"}.get(beats, "more answers than objects")
    return ", ".join(part for part in (how, errors[0] if errors else "") if part) or IGNORED
