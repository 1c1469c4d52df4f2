"""Source: Error Codes / unknown_message_type."""

from __future__ import annotations

from typing import Any

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.probe.session import HELLO
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.kinds import each
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

_UNKNOWN = ["cbspec_unknown", "tunnel", "tunnel_infos", "ping", "", "hello_request", "x" * 300, "héartbeat"]
_UNKNOWN += ["heartbeat ", "heartbeat\0", "heartbeats", "heart", "tunnel-info"]
_NO_TYPE: dict[str, dict[str, Any]] = {
    "missing": {},
    "null": {"type": None},
    "number": {"type": 1},
    "array": {"type": ["heartbeat"]},
    "object": {"type": {"heartbeat": 1}},
}
_RELAYS_OWN: dict[str, dict[str, Any]] = {
    "hello_response": {"version": "1.0", "features": ["tls"]},
    "auth_response": {"status": "ok", "client_id": "user123", "tenant_id": "tenant-001"},
    "tunnel_response": {"status": "ok", "tunnel_id": "tunnel_001"},
    "heartbeat_response": {},
    "error": {"code": "server_unavailable", "message": "not yours to say"},
}


@requirement("CB-UNK-001")
def test_unknown_type(relay: RelayUnderTest) -> None:
    """After auth, where a tunnel was accepted, an object of a type that the page doesn't know is sent."""
    _refused(relay, {name[:20] or "empty": {"type": name} for name in _UNKNOWN})


@requirement("CB-UNK-001")
def test_unknown_type_before_auth(relay: RelayUnderTest) -> None:
    """After hello an object of a type that the page doesn't know is sent; it may be refused for want of a token."""
    judge.refused(relay.greeted().ask({"type": "cbspec_unknown"}, invalid="of unknown type"))


@requirement("CB-UNK-002")
def test_no_type(relay: RelayUnderTest) -> None:
    """After auth, where a tunnel was accepted, an object without a type, or with one that is no string, is sent."""
    _refused(relay, _NO_TYPE)


@requirement("CB-UNK-003")
def test_relays_own_types(relay: RelayUnderTest) -> None:
    """After auth, where a tunnel was accepted, a message is sent that only relays send."""
    _refused(relay, {name: {"type": name, **members} for name, members in _RELAYS_OWN.items()})


@requirement("CB-UNK-101")
def test_types_in_capitals(relay: RelayUnderTest) -> None:
    """Requests are sent whose type is in capital letters, but else as those that were accepted."""
    relay.beat(relay.authenticated())
    for kind in ("HEARTBEAT", "Heartbeat"):
        session = relay.authenticated()
        relay.log.saw(reaction(session.ask({"type": kind}, invalid="its type is in capitals")), of=kind)
    exchange = relay.connect().ask({**HELLO, "type": "HELLO"}, invalid="its type is in capitals")
    relay.log.saw(reaction(exchange), of="HELLO")


@requirement("CB-UNK-102")
def test_how_an_unknown_type_before_auth_is_met(relay: RelayUnderTest) -> None:
    """After hello an object of a type that the page doesn't know is sent."""
    relay.log.saw(reaction(relay.greeted().ask({"type": "cbspec_unknown"}, invalid="of unknown type")))


def _refused(relay: RelayUnderTest, messages: dict[str, dict[str, Any]]) -> None:
    sessions = Sessions(relay)

    def check(message: dict[str, Any]) -> None:
        exchange = sessions.next().ask(message, invalid="of no type that a client may send")
        judge.refused_with(exchange, "unknown_message_type")

    each(messages, check)
