"""The room of a case: sessions and tunnels stay within the declared limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from cbspec.profile.profile import Profile, RelayCapabilities, TargetSettings, Tenant
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.room import Room

FULL = Profile(tenants=(Tenant("one"), Tenant("two"), Tenant("limited", tunnel_limit=3, connection_limit=2)))


class CountingLocks(Locks):
    """Counts how often the limits are held."""

    def __init__(self) -> None:
        super().__init__(None)
        self.held = 0

    def limits(self) -> AbstractContextManager[object]:
        @contextmanager
        def hold() -> Iterator[None]:
            self.held += 1
            yield
            self.held -= 1

        return hold()


def room(profile: Profile = FULL, *sessions: ProbeSession, locks: Locks | None = None) -> Room:
    made = Room(profile, locks or Locks(None), Pacer(profile))
    for each in sessions:
        made.add(each)
    return made


def session(tenant: str, *, tunnels: int = 0, ended: bool = False) -> ProbeSession:
    wire = SimpleNamespace(closed=False)
    double = SimpleNamespace(tenant=tenant, tunnels=tunnels, ended=ended or None, wire=wire, close=lambda: None)
    return cast(ProbeSession, double)


def test_limited_tenant_is_reserved_once() -> None:
    locks = CountingLocks()
    case = room(locks=locks)
    case.use(FULL.tenants[0], connections=1)
    assert locks.held == 0
    for _ in range(2):
        case.use(FULL.tenants[2], connections=1)
        case.add(session("limited"))
    assert locks.held == 1
    with pytest.raises(NotExercised, match=r"tenants\.connection_limit of limited leaves no room for 3"):
        case.use(FULL.tenants[2], connections=1)
    case.close()
    assert locks.held == 0


def test_tunnels_count_while_their_session_is_open() -> None:
    held = session("limited", tunnels=2), session("one", tunnels=50), session("limited", tunnels=1, ended=True)
    case = room(FULL, *held)
    for tenant in ("limited", "one", "unknown"):
        case.for_tunnel(tenant)
    case.add(session("limited", tunnels=1))
    with pytest.raises(NotExercised, match=r"tenants\.tunnel_limit of limited leaves no room for 4"):
        case.for_tunnel("limited")


def test_relay_limits_count_all_tenants() -> None:
    case = room(
        Profile(relay=RelayCapabilities(connection_limit=2, buffer_pool=3)),
        session("one", tunnels=1),
        session("two", tunnels=1),
    )
    case.for_tunnel("two")
    with pytest.raises(NotExercised, match=r"relay\.connection_limit leaves no room for 3"):
        case.for_connection()
    case.add(session("three", tunnels=1))
    with pytest.raises(NotExercised, match=r"relay\.buffer_pool leaves no room for 4"):
        case.for_tunnel("two")


def test_connections_at_once_are_bounded() -> None:
    case = room(Profile(target=TargetSettings(connections_at_once=1)))
    case.take_connection()
    case.add(session("one"))
    with pytest.raises(NotExercised, match=r"target\.connections_at_once leaves no room for 2"):
        case.take_connection()


def test_tunnels_of_a_session_stay_within_the_limits() -> None:
    for limit, pool, most in [(None, None, 5), (3, None, 3), (None, 2, 2), (9, 9, 5), (1, 4, 1)]:
        profile = Profile(tenants=(Tenant("one", tunnel_limit=limit),), relay=RelayCapabilities(buffer_pool=pool))
        assert room(profile).tunnels(5) == most
