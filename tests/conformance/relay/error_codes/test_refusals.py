"""Attempts to be served, their refusals, and the limits that a case reserves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from cbspec.profile.profile import Profile, Tenant
from cbspec_conformance.judging.errors import Broken, Inconclusive, KitError, NotExercised
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.relay.error_codes.refusals import (
    attempt,
    attempt_for_code,
    fill_tunnels,
    limited_tenant,
    served_tunnel,
    step_of_refusal,
    tunnel_refused,
)
from cbspec_conformance.target.connector import WebSocketRefused
from tests.conformance.conftest import MakeTarget

CODE = "server_unavailable"
NO_CONNECTION = "no connection, or none with TLS"


@pytest.mark.parametrize(
    ("error", "raised", "reason", "step"),
    [
        (WebSocketRefused("busy", 429), NotExercised, "HTTP status 429", "opening handshake: status 429"),
        (WebSocketRefused("busy", 503), NotExercised, "HTTP status 503", "opening handshake: status 503"),
        (WebSocketRefused("other", 404), Broken, "no WebSocket was opened: other", "opening handshake: status 404"),
        (WebSocketRefused("none", None), Broken, "no WebSocket was opened: none", "opening handshake: none"),
        (Unreachable("refused"), Broken, f"{NO_CONNECTION}: .*refused", NO_CONNECTION),
    ],
)
def test_a_relay_without_connections_sends_no_code(
    error: Exception, raised: type[Exception], reason: str, step: str
) -> None:
    relay: Any = Mock(**{"connect.side_effect": error})
    with pytest.raises(raised, match=reason):
        attempt_for_code(relay, None, CODE)
    assert step_of_refusal(relay, None, CODE) == step
    assert attempt(relay, None, insist=True) == []


def test_an_unclear_attempt_has_no_exchanges() -> None:
    assert attempt(Mock(**{"connect.side_effect": Inconclusive("slow")}), None) == []


def test_an_attempt_on_a_serving_relay_opens_a_tunnel(simulated: Profile, make_target: MakeTarget) -> None:
    exchanges = attempt(make_target(simulated), None)
    assert [served_tunnel(exchange) for exchange in exchanges] == [False, False, True]
    assert step_of_refusal(make_target(simulated), None, CODE) == "tunnel_info: accepted"


def test_a_tunnel_beyond_the_limit_is_named(simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(replace(simulated, tenants=(Tenant("tenant-001", tunnel_limit=2),)))
    session = fill_tunnels(target, target.authenticated(), 2)
    with pytest.raises(Broken) as caught:
        tunnel_refused(target, session)
    (seen,) = caught.value.exchanges
    assert seen.request is not None
    assert seen.request.meant == "tunnel 3 of 2"


def test_a_limit_without_a_reservation_is_an_error_of_the_kit(simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(simulated)
    tenant, _ = limited_tenant(target, "tunnel_limit")
    target.room.reserved = frozenset({tenant.id})
    target.authenticated(tenant)
    target.room.reserved = frozenset({"another"})
    with pytest.raises(KitError, match=tenant.id):
        target.authenticated(tenant)
