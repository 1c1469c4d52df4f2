"""Source: Error Codes / tenant_limit_exceeded: a tenant's limits of tunnels and of connections."""

from __future__ import annotations

import contextlib

from cbspec.profile.profile import Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.judging.observing import ACCEPTED, reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.relay.error_codes.limits import (
    come_back,
    connection_tenant,
    ending,
    fill_connections,
    fill_tunnels,
    limit_holds,
    room_for,
    served_connections,
    served_tunnels,
    tunnel_tenant,
    tunnels_had,
)
from cbspec_conformance.relay.error_codes.refusals import dials, failing
from cbspec_conformance.runner.marks import alone, last, requirement
from cbspec_conformance.target.relay import RelayUnderTest


@requirement("CB-LIM-001")
def test_all_tunnels_of_the_limit(relay: RelayUnderTest) -> None:
    """As many tunnels as the profile declares are opened on one connection of the tenant."""
    tenant, limit = tunnel_tenant(relay)
    relay.soon(lambda: served_tunnels(relay, tenant, limit))


@requirement("CB-LIM-002")
def test_one_tunnel_more(relay: RelayUnderTest) -> None:
    """With the tenant at its limit, another tunnel is asked for, twice."""
    tenant, limit = tunnel_tenant(relay)
    session = relay.authenticated(tenant)
    with relay.control(f"{limit} tunnels"):
        session = fill_tunnels(relay, session, limit)
    for _ in range(3):
        if not session.ended:
            judge.refused_with(session.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")


@requirement("CB-LIM-003")
def test_refused_tunnels_do_not_count(relay: RelayUnderTest) -> None:
    """As many tunnels as the limit has are refused for an invalid port; then the whole limit is still there."""
    tenant, limit = tunnel_tenant(relay)
    with relay.control(f"{limit} tunnels"):
        relay.soon(lambda: served_tunnels(relay, tenant, limit))
        relay.soon(lambda: served_tunnels(relay, tenant, limit))  # and all of them given back
    session = relay.authenticated(tenant)
    with relay.control("refusing a tunnel without a port to reach"):
        for _ in range(limit):
            if session.ended:
                session = relay.authenticated(tenant)
            judge.refused(session.ask(relay.tunnel_info(tenant.id, remote_port=0), invalid="remote_port is 0"))
    for _ in range(limit):  # what the control held may be counted for a while yet
        relay.soon(lambda: _one_more(relay, session, tenant, limit))
        if session.ended:
            return


@alone
@requirement("CB-LIM-003")
def test_failed_transfers_do_not_count(relay: RelayUnderTest) -> None:
    """As many tunnels as a tenant's limit has fail for want of an end to reach; then the whole limit is still there."""
    tenant, limit = tunnel_tenant(relay)
    with failing(relay) as (at, request):
        if not dials(relay, at):
            raise NotExercised("give remote.unreachable with remote.dialled, or conditions.transfer_failed.dialled")
        with relay.control(f"{limit} tunnels"):
            relay.soon(lambda: served_tunnels(relay, tenant, limit, at))
            relay.soon(lambda: served_tunnels(relay, tenant, limit, at))  # and all of them given back
        session = relay.authenticated(tenant, at=at)
        end = {name: request[name] for name in ("remote_host", "remote_port")}

        def fail() -> None:
            nonlocal session
            session = relay.authenticated(tenant, at=at) if session.ended else session
            judge.refused_with(session.ask(relay.tunnel_info(tenant.id, **end)), "data_transfer_failed")

        with relay.control("failed transfers"):
            for _ in range(limit):
                relay.soon(fail)
        if session.ended:
            relay.soon(lambda: served_tunnels(relay, tenant, limit, at))
            return
        for _ in range(limit):  # what the control held may be counted for a while yet
            relay.soon(lambda: judge.accepted(session.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded"))


@requirement("CB-LIM-004")
def test_tunnel_limit_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """With one tenant at its limit, another opens as many tunnels and one more, as far as its own limit lets it."""
    tenant, limit = tunnel_tenant(relay)
    other = _other(relay, tenant)
    mine, theirs = relay.authenticated(tenant), relay.authenticated(other)
    with relay.control(f"{limit} tunnels"):
        mine = fill_tunnels(relay, mine, limit)
    wanted = min(limit + 1, other.tunnel_limit or limit + 1)

    def open_theirs() -> None:
        nonlocal theirs
        theirs = relay.authenticated(other) if theirs.ended else theirs
        while theirs.tunnels < wanted:
            relay.room.for_tunnel(other.id)
            judge.accepted(theirs.ask(relay.tunnel_info(other.id)), "tenant_limit_exceeded")

    relay.soon(open_theirs)


@requirement("CB-LIM-004")
def test_others_tunnels_do_not_count(relay: RelayUnderTest) -> None:
    """Another tenant opens as many tunnels as the limit has, or as its own lets it; then the whole limit is there."""
    tenant, limit = tunnel_tenant(relay)
    other = _other(relay, tenant)
    with relay.control(f"{limit} tunnels"):
        relay.soon(lambda: served_tunnels(relay, tenant, limit))
        fill_tunnels(relay, relay.authenticated(other), relay.room.tunnels(limit))
    relay.soon(lambda: served_tunnels(relay, tenant, limit))


@requirement("CB-LIM-005")
def test_tunnel_limit_counts_over_connections(relay: RelayUnderTest) -> None:
    """The limit is used up on one connection, and another tunnel is asked for on a second one of the same tenant."""
    tenant, limit = tunnel_tenant(relay)
    room_for(tenant, 2)
    limit_holds(relay, tenant, limit)
    first, second = relay.authenticated(tenant), relay.authenticated(tenant, subject="cbspec-second")
    with relay.control(f"{limit} tunnels"):
        first = fill_tunnels(relay, first, limit)
    judge.refused_with(second.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")


@requirement("CB-LIM-005")
def test_tunnel_limit_counts_over_transports(relay: RelayUnderTest) -> None:
    """The limit is used up on a plain stream, and another tunnel is asked for over WebSocket."""
    relay.needs.stream()
    relay.needs.websocket()
    tenant, limit = tunnel_tenant(relay)
    room_for(tenant, 2)
    limit_holds(relay, tenant, limit)
    first, second = relay.authenticated(tenant), relay.authenticated(tenant, transport="websocket")
    with relay.control(f"{limit} tunnels"):
        first = fill_tunnels(relay, first, limit)
    judge.refused_with(second.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")


@requirement("CB-LIM-005")
def test_another_connections_end_gives_nothing_back(relay: RelayUnderTest) -> None:
    """The limit is used up on one connection; another of the same tenant, without a tunnel, comes and goes."""
    tenant, limit = tunnel_tenant(relay)
    room_for(tenant, 2)
    limit_holds(relay, tenant, limit)
    first, second = relay.authenticated(tenant), relay.authenticated(tenant)
    with relay.control(f"{limit} tunnels"):
        first = fill_tunnels(relay, first, limit)
    second.close()
    judge.refused_with(first.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")


@requirement("CB-LIM-005")
def test_tunnels_of_two_connections_add_up(relay: RelayUnderTest) -> None:
    """The limit is used up by two connections of one tenant together; then the second opens no more."""
    tenant, limit = tunnel_tenant(relay)
    room_for(tenant, 2)
    if limit < 2:
        raise NotExercised("tenants.tunnel_limit of 2 or more is needed to share it between two connections")
    limit_holds(relay, tenant, limit)
    first, second = relay.authenticated(tenant), relay.authenticated(tenant)
    with relay.control(f"{limit} tunnels on two connections"):
        first = fill_tunnels(relay, first, limit - limit // 2)
        second = fill_tunnels(relay, second, limit // 2)
    # Only one of the two is asked: a relay may close a connection behind an error, and its tunnels are free then.
    judge.refused_with(second.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")


@requirement("CB-LIM-005")
def test_a_close_frees_no_others_tunnels(relay: RelayUnderTest) -> None:
    """A connection with all tunnels of the limit but one closes, another opens as many; then one more is too many."""
    tenant, limit = tunnel_tenant(relay)
    room_for(tenant, 2)
    if limit < 2:
        raise NotExercised("tenants.tunnel_limit of 2 or more is needed to share it between two connections")
    limit_holds(relay, tenant, limit)
    staying, leaving = relay.authenticated(tenant), relay.authenticated(tenant)
    with relay.control(f"{limit} tunnels on two connections, and again after one of them closed"):
        fill_tunnels(relay, staying, 1)
        leaving = fill_tunnels(relay, leaving, limit - 1)
        leaving.close()
        another = fill_tunnels(relay, relay.authenticated(tenant), limit - 1)
    judge.refused_with(another.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")


@requirement("CB-LIM-006")
def test_tunnels_end_with_their_connection(relay: RelayUnderTest) -> None:
    """The limit is used up, the connection closed, and all of it asked for again within a few seconds."""
    _tunnels_come_back(relay, "closed")


@last
@requirement("CB-LIM-006")
def test_tunnels_end_with_a_reset(relay: RelayUnderTest) -> None:
    """The limit is used up, the connection reset, and all of it asked for again within a few seconds."""
    _tunnels_come_back(relay, "reset")


@requirement("CB-LIM-011")
def test_all_connections_of_the_limit(relay: RelayUnderTest) -> None:
    """As many connections as the profile declares authenticate for the tenant and are served side by side."""
    tenant, limit = connection_tenant(relay)
    relay.room.use(tenant)
    relay.soon(lambda: served_connections(relay, tenant, limit))


@requirement("CB-LIM-012")
def test_one_connection_more(relay: RelayUnderTest) -> None:
    """With the tenant at its limit, another connection authenticates, or asks for a tunnel where auth still passed."""
    tenant, limit = connection_tenant(relay)
    with relay.control(f"{limit} connections"):
        fill_connections(relay, tenant, limit)
    for subject in (None, "cbspec-second", None):
        _one_too_many(relay, tenant, subject=subject)


@requirement("CB-LIM-012")
def test_one_connection_more_over_websocket(relay: RelayUnderTest) -> None:
    """With the tenant at its limit on plain streams, another connection comes over WebSocket."""
    relay.needs.stream()
    relay.needs.websocket()
    tenant, limit = connection_tenant(relay)
    with relay.control(f"{limit} connections"):
        fill_connections(relay, tenant, limit)
    _one_too_many(relay, tenant, transport="websocket")


@requirement("CB-LIM-012")
def test_one_connection_more_after_a_close(relay: RelayUnderTest) -> None:
    """One of the tenant's connections closes and another takes its place; then one more is one too many again."""
    tenant, limit = connection_tenant(relay)
    if limit < 2:
        raise NotExercised("tenants.connection_limit of 2 or more is needed to close one beside another")
    with relay.control(f"{limit} connections"):
        sessions = fill_connections(relay, tenant, limit)
        sessions[0].close()
        relay.soon(lambda: relay.beat(fill_connections(relay, tenant, 1)[0]))
    _one_too_many(relay, tenant)


@requirement("CB-LIM-012")
def test_a_refusal_frees_no_connection(relay: RelayUnderTest) -> None:
    """With the tenant at its limit, one connection is refused a tunnel and stays; another is still one too many."""
    tenant, limit = connection_tenant(relay)
    with relay.control(f"{limit} connections"):
        sessions = fill_connections(relay, tenant, limit)
        judge.refused(sessions[0].ask(relay.tunnel_info(tenant.id, remote_port=0), invalid="remote_port is 0"))
    if sessions[0].ended:
        raise NotExercised("the relay closes the connection behind an error")
    _one_too_many(relay, tenant)


@requirement("CB-LIM-013")
def test_connection_limit_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """With one tenant at its limit, another tenant's connection authenticates and opens a tunnel."""
    tenant, limit = connection_tenant(relay)
    other = _other(relay, tenant)
    with relay.control(f"{limit} connections"):
        fill_connections(relay, tenant, limit)
    session = relay.greeted()
    judge.accepted(relay.authenticate(session, other), "tenant_limit_exceeded")
    judge.accepted(session.ask(relay.tunnel_info(other.id)), "tenant_limit_exceeded")


@requirement("CB-LIM-013")
def test_others_connections_do_not_count(relay: RelayUnderTest) -> None:
    """Another tenant has as many connections as the limit; then the whole limit is there."""
    tenant, limit = connection_tenant(relay)
    other = _other(relay, tenant)
    relay.room.use(tenant)
    with relay.control(f"{limit} connections"):
        relay.soon(lambda: served_connections(relay, tenant, limit))
        fill_connections(relay, other, min(limit, other.connection_limit or limit))
    relay.soon(lambda: served_connections(relay, tenant, limit))


@requirement("CB-LIM-014")
def test_room_after_a_close(relay: RelayUnderTest) -> None:
    """The tenant's limit is used up, the connections closed, and all asked for again within a few seconds."""
    _connections_come_back(relay, "closed")


@last
@requirement("CB-LIM-014")
def test_room_after_a_reset(relay: RelayUnderTest) -> None:
    """The tenant's limit is used up, the connections reset, and all asked for again within a few seconds."""
    _connections_come_back(relay, "reset")


@requirement("CB-LIM-101")
def test_step_of_the_connection_limit(relay: RelayUnderTest) -> None:
    """With the tenant at its limit, another connection says hello, authenticates and asks for a tunnel."""
    tenant, limit = connection_tenant(relay)
    relay.room.use(tenant)
    relay.soon(lambda: served_connections(relay, tenant, limit))
    with relay.control(f"{limit} connections"):
        fill_connections(relay, tenant, limit)
    session = relay.greeted()
    seen = f"auth: {reaction(relay.authenticate(session, tenant), 'tenant_limit_exceeded')}"
    if session.authenticated:
        seen = f"tunnel_info: {reaction(session.ask(relay.tunnel_info(tenant.id)), 'tenant_limit_exceeded')}"
    relay.log.saw(seen)


@requirement("CB-LIM-102")
def test_refused_auths_and_the_connection_limit(relay: RelayUnderTest) -> None:
    """As many auths with a spoiled signature as the limit has are refused; then a good one follows on a new connection.

    Those that stay open are kept.
    """
    tenant, limit = connection_tenant(relay)
    relay.room.use(tenant)
    relay.soon(lambda: served_connections(relay, tenant, limit))
    sessions = [relay.greeted() for _ in range(limit)]
    with relay.control("auths that are refused"):
        for session in sessions:
            judge.refused(session.ask({"type": "auth", "token": relay.tokens.spoiled(tenant)}))
    if all(session.ended for session in sessions):
        raise NotExercised("the relay closes a connection behind a refused auth, so that it counts nowhere")
    seen = reaction(relay.authenticate(relay.greeted(), tenant), "tenant_limit_exceeded")
    relay.log.saw("not counted" if seen == ACCEPTED else f"counted: {seen}")


@requirement("CB-LIM-103")
def test_limit_or_validation_first(relay: RelayUnderTest) -> None:
    """With the tenant at its limit, a tunnel_info with a negative port is sent."""
    tenant, limit = tunnel_tenant(relay)
    session = relay.authenticated(tenant)
    with relay.control(f"{limit} tunnels"):
        session = fill_tunnels(relay, session, limit)
    exchange = session.ask(relay.tunnel_info(tenant.id, local_port=-1), invalid="local_port is negative")
    relay.log.saw(reaction(exchange, "tenant_limit_exceeded"))


@requirement("CB-LIM-104")
def test_identifier_twice_and_the_tunnel_limit(relay: RelayUnderTest) -> None:
    """A tunnel_id is asked for twice; then as many other tunnels as the limit leaves beside one."""
    tenant, limit = tunnel_tenant(relay)
    relay.soon(lambda: served_tunnels(relay, tenant, limit))
    session = relay.authenticated(tenant)
    with relay.control("a valid tunnel_info"):
        session = fill_tunnels(relay, session, 1)
        request = relay.tunnel_info(tenant.id)
        judge.accepted(session.ask(request))
    again = reaction(session.ask(request), "tenant_limit_exceeded")
    if again != ACCEPTED:
        relay.log.saw(f"the second is {again}")
        return
    left = [reaction(session.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded") for _ in range(limit - 2)]
    relay.log.saw("counted once" if left == [ACCEPTED] * (limit - 2) else "counted twice")


def _one_more(relay: RelayUnderTest, session: ProbeSession, tenant: Tenant, limit: int) -> None:
    """See that a session opens a tunnel, or a new one all of the limit where the relay closes it behind errors."""
    if session.ended:
        served_tunnels(relay, tenant, limit)
    else:
        judge.accepted(session.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")


def _tunnels_come_back(relay: RelayUnderTest, end: str) -> None:
    tenant, limit = tunnel_tenant(relay)

    def use() -> int:
        session = relay.greeted()
        judge.accepted(relay.authenticate(session, tenant), "tenant_limit_exceeded")
        return tunnels_had(relay, session, limit + 1, end)

    relay.needs.served("tunnel_info")
    relay.room.use(tenant)
    come_back(relay, use, "tunnels", end)


def _connections_come_back(relay: RelayUnderTest, end: str) -> None:
    tenant, limit = connection_tenant(relay)

    def use() -> int:
        with contextlib.ExitStack() as stack:
            for number in range(limit + 1):
                session = stack.enter_context(ending(relay.greeted(), end))
                exchange = relay.authenticate(session, tenant)
                if session.authenticated:
                    exchange = session.ask(relay.tunnel_info(tenant.id))
                if not judge.served(exchange):
                    return number
        return limit

    relay.needs.served("tunnel_info")
    relay.room.use(tenant)
    come_back(relay, use, "connections", end)


def _one_too_many(relay: RelayUnderTest, tenant: Tenant, *, subject: str | None = None, transport: str = "") -> None:
    """See that a connection more is refused, at auth or at its tunnel: the page doesn't say where the limit strikes."""
    session = relay.greeted(transport=transport)
    exchange = relay.authenticate(session, tenant, token=relay.tokens.valid(tenant, subject))
    if session.authenticated:
        exchange = session.ask(relay.tunnel_info(tenant.id))
    judge.refused_with(exchange, "tenant_limit_exceeded")
    session.close()


def _other(relay: RelayUnderTest, tenant: Tenant) -> Tenant:
    for other in (relay.tenant, relay.profile.second_tenant):
        if other is not None and other.id != tenant.id:
            return other
    raise NotExercised("give tenants (a second active one)")
