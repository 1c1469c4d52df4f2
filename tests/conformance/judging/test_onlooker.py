"""Invariants applied to exchanges that another client recorded."""

from __future__ import annotations

from cbspec_conformance.judging.onlooker import Received, look


def test_breaches_name_their_requirement() -> None:
    tunnel, beat = b'{"type":"tunnel_info","tunnel_id":"a"}', b'{"type":"heartbeat_response"}'
    error = b'{"type":"error","code":"tenant_not_found","message":"tenant-002 owns it"}'
    for request, answers, requirement in (
        (tunnel, [Received(b'{"type":"tunnel_response","status":"ok","tunnel_id":"b"}')], "CB-TUN-002"),
        (None, [Received(beat)], "CB-MSG-004"),
        (b'{"type":"heartbeat"}', [Received(beat, binary=True)], "CB-WSK-005"),
        (b'{"type":"heartbeat"}', [Received(beat, padded=True)], "CB-WSK-002"),
        (tunnel, [Received(error)], "CB-ERR-004"),
    ):
        breaches = look(request, answers, tenant="tenant-001", secrets=("tenant-002",))
        assert [breach.requirement for breach in breaches] == [requirement]
