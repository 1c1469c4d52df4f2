"""Source: Error Codes / unknown_message_type."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import judge
from conformance.marks import requirement
from conformance.target import Target

_UNKNOWN = ["cbspec_unknown", "tunnel", "tunnel_infos", "ping", "", "hello_request", "x" * 300, "héartbeat"]
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
@pytest.mark.parametrize("name", _UNKNOWN, ids=[name[:20] or "empty" for name in _UNKNOWN])
def test_unknown_type(relay: Target, name: str) -> None:
    """After auth, where a heartbeat was answered, an object of a type that the page doesn't know is sent."""
    _refused(relay, {"type": name})


@requirement("CB-UNK-001")
def test_unknown_type_before_auth(relay: Target) -> None:
    """After hello an object of a type that the page doesn't know is sent; it may be refused for want of a token."""
    judge.refused(relay.greeted().ask({"type": "cbspec_unknown"}, invalid="of unknown type"))


@requirement("CB-UNK-002")
@pytest.mark.parametrize("members", list(_NO_TYPE.values()), ids=list(_NO_TYPE))
def test_no_type(relay: Target, members: dict[str, Any]) -> None:
    """After auth, where a heartbeat was answered, an object without a type, or with one that is no string, is sent."""
    _refused(relay, members)


@requirement("CB-UNK-003")
@pytest.mark.parametrize("name", list(_RELAYS_OWN))
def test_relays_own_types(relay: Target, name: str) -> None:
    """After auth, where a heartbeat was answered, a message is sent that only relays send."""
    _refused(relay, {"type": name, **_RELAYS_OWN[name]})


def _refused(relay: Target, message: dict[str, Any]) -> None:
    session = relay.authenticated()
    with relay.control("a heartbeat"):
        judge.accepted(session.heartbeat())
    judge.refused_with(session.ask(message, invalid="of no type that a client may send"), "unknown_message_type")
