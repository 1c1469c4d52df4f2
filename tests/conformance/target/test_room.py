"""The room of a case: sessions and tunnels stay within the declared limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast
from unittest.mock import MagicMock, Mock

import pytest

from cbspec.profile.profile import Profile, RelayCapabilities, TargetSettings, Tenant
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.room import Room

FULL = Profile(tenants=(Tenant("one"), Tenant("two"), Tenant("limited", tunnel_limit=3, connection_limit=2)))


def room(profile: Profile, *sessions: ProbeSession, locks: Locks | None = None) -> Room:
    made = Room(profile, locks or Locks(None), Pacer(profile))
    for each in sessions:
        made.add(each)
    return made


def session(tenant: str, *, tunnels: int = 0, ended: bool = False) -> ProbeSession:
    wire = SimpleNamespace(closed=False)
    double = SimpleNamespace(tenant=tenant, tunnels=tunnels, ended=ended or None, wire=wire, close=lambda: None)
    return cast(ProbeSession, double)


def test_limited_tenant_is_reserved_once() -> None:
    held = MagicMock()
    case = room(FULL, locks=Mock(limits=Mock(return_value=held)))
    case.use(FULL.tenants[0], connections=1)
    assert not held.__enter__.called
    for _ in range(2):
        case.use(FULL.tenants[2], connections=1)
        case.add(session("limited"))
    with pytest.raises(NotExercised, match=r"tenants\.connection_limit of limited leaves no room for 3"):
        case.use(FULL.tenants[2], connections=1)
    assert (held.__enter__.call_count, held.__exit__.call_count) == (1, 0)
    case.close()
    assert held.__exit__.call_count == 1


def test_tunnels_count_while_their_session_is_open() -> None:
    held = session("limited", tunnels=2), session("one", tunnels=50), session("limited", tunnels=1, ended=True)
    case = room(FULL, *held)
    for tenant in ("limited", "one", "unknown"):
        case.for_tunnel(tenant)
    case.add(session("limited", tunnels=1))
    with pytest.raises(NotExercised, match=r"tenants\.tunnel_limit of limited leaves no room for 4"):
        case.for_tunnel("limited")


def test_relay_limits_count_all_tenants() -> None:
    limits, target = RelayCapabilities(connection_limit=2, buffer_pool=3), TargetSettings(connections_at_once=2)
    case = room(Profile(target, relay=limits), session("one", tunnels=1), session("two", tunnels=1))
    case.for_tunnel("two")
    with pytest.raises(NotExercised, match=r"target\.connections_at_once leaves no room for 3"):
        case.take_connection()
    with pytest.raises(NotExercised, match=r"relay\.connection_limit leaves no room for 3"):
        case.for_connection()
    case.add(session("three", tunnels=1))
    with pytest.raises(NotExercised, match=r"relay\.buffer_pool leaves no room for 4"):
        case.for_tunnel("two")


def test_tunnels_of_a_session_stay_within_the_limits() -> None:
    for limit, pool, most in [(None, None, 5), (3, None, 3), (None, 2, 2), (9, 9, 5), (1, 4, 1)]:
        profile = Profile(tenants=(Tenant("one", tunnel_limit=limit),), relay=RelayCapabilities(buffer_pool=pool))
        assert room(profile).tunnels(5) == most
