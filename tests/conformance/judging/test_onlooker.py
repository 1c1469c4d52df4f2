"""Invariants applied to exchanges that another client recorded."""

from __future__ import annotations

import json

from cbspec_conformance.judging.onlooker import Received, look
from tests.conformance.build import AUTH, AUTH_RESPONSE, HEARTBEAT, HEARTBEAT_RESPONSE, TUNNEL, TUNNEL_RESPONSE, error


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def blamed(
    request: object, *answers: bytes, binary: bool = False, padded: bool = False, tenant: str = "tenant-001"
) -> list[str]:
    sent = None if request is None else text(request)
    received = [Received(answer, binary, padded) for answer in answers]
    return [breach.requirement for breach in look(sent, received, tenant=tenant, secrets=("tenant-002",))]


def test_breaches_name_their_requirement() -> None:
    assert blamed(TUNNEL, text({**TUNNEL_RESPONSE, "tunnel_id": "another"})) == ["CB-TUN-002"]
    assert blamed(AUTH, text(AUTH_RESPONSE), tenant="tenant-003") == ["CB-AUT-003"]
    assert blamed(HEARTBEAT, text(HEARTBEAT_RESPONSE), text(HEARTBEAT_RESPONSE)) == ["CB-MSG-004"]
    assert blamed(None, text(HEARTBEAT_RESPONSE)) == ["CB-MSG-004"]
    assert blamed(HEARTBEAT, b"\xff{}") == ["CB-MSG-001"]
    assert blamed(HEARTBEAT, text(HEARTBEAT_RESPONSE), binary=True) == ["CB-WSK-005"]
    assert blamed(HEARTBEAT, text(HEARTBEAT_RESPONSE), padded=True) == ["CB-WSK-002"]
    assert blamed(TUNNEL, text(error(message="tenant-002 owns it"))) == ["CB-ERR-004"]
