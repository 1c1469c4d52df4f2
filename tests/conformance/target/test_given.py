"""What profile and preflight give a case; what is missing names its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from cbspec.profile.profile import Endpoint, Profile, Relay, Target, Tenant
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.session import Session
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.given import Given
from cbspec_conformance.target.locks import Locks

FULL = Profile(
    target=Target(address=Endpoint("127.0.0.1", 8080), server_name="relay.example", source_addresses=("127.0.0.1",)),
    tenants=(
        Tenant("one"),
        Tenant("two"),
        Tenant("limited", tunnel_limit=3, connection_limit=2),
        Tenant("gone", active=False),
    ),
)


class Counting(Locks):
    """Locks that take note of how often the limits are held."""

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


def given(profile: Profile = FULL, locks: Locks | None = None, **facts: object) -> Given:
    return Given(profile, Facts(**facts), locks or Locks(None))  # type: ignore[arg-type] # Facts' own members


def test_a_full_profile_gives_everything() -> None:
    all_of_it = given()
    assert str(all_of_it.endpoint) == "127.0.0.1:8080"
    assert (all_of_it.server_name, all_of_it.source) == ("relay.example", "127.0.0.1")
    assert (all_of_it.tenant.id, all_of_it.second_tenant.id) == ("one", "two")


@pytest.mark.parametrize(
    ("ask", "key"),
    [
        (lambda empty: empty.endpoint, r"target\.address"),
        (lambda empty: empty.tenant, "tenants"),
        (lambda empty: empty.second_tenant, "tenants"),
        (lambda empty: empty.needs_tenancy(), r"target\.multi_tenancy"),
        (lambda empty: empty.needs_websocket(), r"target\.transport"),
    ],
)
def test_what_is_missing_is_named(ask: Callable[[Given], object], key: str) -> None:
    with pytest.raises(NotExercised, match=key):
        ask(given(Profile()))


@pytest.mark.parametrize(
    ("declared", "offered", "applies"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False), (True, True, True)],
)
def test_tenancy_applies_where_it_is_declared_or_else_offered(declared: bool, offered: bool, applies: bool) -> None:
    profile = Profile(target=Target(multi_tenancy=declared))
    case = given(profile, features=("multi_tenancy",) if offered else ("tls",))
    if applies:
        case.needs_tenancy()
    else:
        with pytest.raises(NotExercised):
            case.needs_tenancy()


def test_transports_that_cases_need() -> None:
    given(websocket=True).needs_websocket()
    given(transport="tcp").needs_stream()
    with pytest.raises(NotExercised):
        given(transport="websocket").needs_stream()


def session(tenant: str, *, tunnels: int = 0, ended: bool = False) -> Session:
    """Stand in for a session: what is counted of one."""
    wire = SimpleNamespace(closed=False)
    return cast(Session, SimpleNamespace(tenant=tenant, tunnels=tunnels, ended=ended or None, wire=wire))


def test_a_limited_tenant_is_held_alone_and_once() -> None:
    locks = Counting()
    case = given(locks=locks)
    case.use(FULL.tenants[0], connections=1)
    assert locks.held == 0
    for _ in range(2):
        case.use(FULL.tenants[2], connections=1)
        case._sessions.append(session("limited"))
    assert locks.held == 1
    with pytest.raises(NotExercised, match=r"tenants\.connection_limit of limited leaves no room for 3"):
        case.use(FULL.tenants[2], connections=1)
    case._sessions[0] = session("limited", ended=True)
    case.use(FULL.tenants[2], connections=1)
    case.give_back()
    assert locks.held == 0


def test_tunnels_are_counted_as_long_as_their_session_is_open() -> None:
    case = given()
    case._sessions += [
        session("limited", tunnels=2),
        session("one", tunnels=50),
        session("limited", tunnels=1, ended=True),
    ]
    case.count_tunnel("limited")
    case.count_tunnel("one")
    case.count_tunnel("unknown")
    case._sessions.append(session("limited", tunnels=1))
    with pytest.raises(NotExercised, match=r"tenants\.tunnel_limit of limited leaves no room for 4"):
        case.count_tunnel("limited")


def test_the_relays_own_limits_are_counted_over_all_tenants() -> None:
    case = given(Profile(relay=Relay(connection_limit=2, buffer_pool=3)))
    case._sessions += [session("one", tunnels=1), session("two", tunnels=1)]
    case.count_tunnel("two")
    with pytest.raises(NotExercised, match=r"relay\.connection_limit leaves no room for 3"):
        case.count_connection()
    case._sessions.append(session("three", tunnels=1))
    with pytest.raises(NotExercised, match=r"relay\.buffer_pool leaves no room for 4"):
        case.count_tunnel("two")


@pytest.mark.parametrize(
    ("limit", "pool", "most", "room"),
    [(None, None, 5, 5), (3, None, 5, 3), (None, 2, 5, 2), (9, 9, 5, 5), (1, 4, 5, 1)],
)
def test_a_session_holds_what_is_declared_at_most(limit: int | None, pool: int | None, most: int, room: int) -> None:
    profile = Profile(tenants=(Tenant("one", tunnel_limit=limit),), relay=Relay(buffer_pool=pool))
    assert given(profile).tunnel_room(most) == room
