"""Source: Error Codes / unknown_message_type."""

from __future__ import annotations

from typing import Any

from cbspec_conformance.judging import judge
from cbspec_conformance.probe.session import HELLO
from cbspec_conformance.relay.requests import UNKNOWN, record_reaction
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.kinds import each
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

_UNKNOWN = ["cbspec_unknown", "tunnel", "tunnel_infos", "ping", "", "hello_request", "x" * 300, "héartbeat"]
_UNKNOWN += ["heartbeat ", "heartbeat\0", "heartbeats", "heart", "tunnel-info"]
_MESSAGES: dict[str, dict[str, dict[str, Any]]] = {
    "CB-UNK-001": {name[:20] or "empty": {"type": name} for name in _UNKNOWN},
    "CB-UNK-002": {
        "missing": {},
        "null": {"type": None},
        "number": {"type": 1},
        "array": {"type": ["heartbeat"]},
        "object": {"type": {"heartbeat": 1}},
    },
    "CB-UNK-003": {
        "hello_response": {"type": "hello_response", "version": "1.0", "features": ["tls"]},
        "auth_response": {"type": "auth_response", "status": "ok", "client_id": "user123", "tenant_id": "tenant-001"},
        "tunnel_response": {"type": "tunnel_response", "status": "ok", "tunnel_id": "tunnel_001"},
        "heartbeat_response": {"type": "heartbeat_response"},
        "error": {"type": "error", "code": "server_unavailable", "message": "sent by a client"},
    },
}


@requirements("CB-UNK-001", "CB-UNK-002", "CB-UNK-003")
def test_unknown_type(relay: RelayUnderTest, identifier: str) -> None:
    """After auth and an accepted tunnel, send objects whose type is unknown, missing, no string, or a relay's own."""
    sessions = Sessions(relay)

    def check(message: dict[str, Any]) -> None:
        exchange = sessions.next().ask(message, invalid="of a type that no client may send")
        judge.refused_with(exchange, "unknown_message_type")

    each(_MESSAGES[identifier], check)


@requirement("CB-UNK-001")
def test_unknown_type_before_auth(relay: RelayUnderTest) -> None:
    """After hello, send an object of unknown type; any code is right, since the client is not authenticated."""
    judge.refused(relay.greeted().ask(UNKNOWN, invalid="of unknown type"))


@requirement("CB-UNK-101")
def test_types_in_capitals(relay: RelayUnderTest) -> None:
    """Send otherwise valid requests with their type in capital letters."""
    relay.beat(relay.authenticated())
    for kind in ("HEARTBEAT", "Heartbeat", "HELLO"):
        session, request = (relay.connect(), HELLO) if kind == "HELLO" else (relay.authenticated(), {})
        record_reaction(relay, session, {**request, "type": kind}, of=kind, invalid="its type is in capitals")


@requirement("CB-UNK-102")
def test_reaction_to_an_unknown_type_before_auth(relay: RelayUnderTest) -> None:
    """After hello, send an object of unknown type."""
    record_reaction(relay, relay.greeted(), UNKNOWN, invalid="of unknown type")
