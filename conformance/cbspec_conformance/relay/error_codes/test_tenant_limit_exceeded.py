"""Source: Error Codes / tenant_limit_exceeded: the tunnel limit and the connection limit of a tenant."""

from __future__ import annotations

import contextlib

import pytest

from cbspec.profile.profile import Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.judging.observing import ACCEPTED, reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes import limits
from cbspec_conformance.relay.error_codes.refusals import dialling
from cbspec_conformance.runner.marks import alone, last, requirement, requirements
from cbspec_conformance.target.relay import RelayUnderTest

_RELEASED: dict[str, tuple[str, limits.LimitKey]] = {
    "CB-LIM-006": ("tunnels", "tunnel_limit"),
    "CB-LIM-014": ("connections", "connection_limit"),
}


@requirements("CB-LIM-001", "CB-LIM-011")
def test_whole_limit_is_served(relay: RelayUnderTest, identifier: str) -> None:
    """Use as much as the profile declares: tunnels on one connection, or connections at the same time."""
    if identifier == "CB-LIM-001":
        tenant, limit = limits.limited_tenant(relay, "tunnel_limit")
        relay.soon(lambda: limits.served_tunnels(relay, tenant, limit))
    else:
        _connections_work(relay, *limits.limited_tenant(relay, "connection_limit"))


@requirement("CB-LIM-002")
def test_one_tunnel_more(relay: RelayUnderTest) -> None:
    """Use up the tenant's limit, then request another tunnel three times."""
    tenant, limit = limits.limited_tenant(relay, "tunnel_limit")
    session = limits.fill_tunnels(relay, relay.authenticated(tenant), limit)
    for _ in range(3):
        if not session.ended:
            limits.tunnel_refused(relay, session)


@requirement("CB-LIM-003")
@pytest.mark.parametrize("kind", ["refused", pytest.param("failed transfer", marks=alone)])
def test_refused_tunnels_do_not_count(relay: RelayUnderTest, kind: str) -> None:
    """Request as many tunnels to port 0 or to an unreachable end as the limit allows, then use up the whole limit."""
    tenant, limit = limits.limited_tenant(relay, "tunnel_limit")
    with contextlib.ExitStack() as stack:
        at, request = stack.enter_context(dialling(relay)) if kind == "failed transfer" else (None, {"remote_port": 0})
        for _ in range(2):  # the second time, the limit was released
            limits.tunnels_work(relay, tenant, limit, at=at)
        session = relay.authenticated(tenant, at=at)
        end = {name: value for name, value in request.items() if name.startswith("remote_")}

        def fail() -> None:
            nonlocal session
            session = relay.authenticated(tenant, at=at) if session.ended else session
            if kind == "refused":
                judge.refused(session.ask(relay.tunnel_info(tenant.id, **end), invalid="remote_port is 0"))
            else:
                judge.refused_with(session.ask(relay.tunnel_info(tenant.id, **end)), "data_transfer_failed")

        def open_one() -> None:
            if session.ended:  # after an error; all tunnels can be opened on a new connection
                limits.served_tunnels(relay, tenant, limit, at)
            else:
                judge.accepted(session.ask(relay.tunnel_info(tenant.id)), limits.FULL)

        with relay.control(f"tunnels that are refused: {kind}"):
            for _ in range(limit):
                relay.soon(fail)
        for _ in range(limit):  # the tunnels of the control may still be counted for a while
            relay.soon(open_one)
            if session.ended:
                return


@requirement("CB-LIM-004")
def test_tunnel_limit_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """Use up one tenant's limit; another tenant opens one tunnel more than that, as far as its own limit allows."""
    tenant, limit = limits.limited_tenant(relay, "tunnel_limit")
    other = limits.other_tenant(relay, tenant)
    mine, theirs = relay.authenticated(tenant), relay.authenticated(other)
    limits.fill_tunnels(relay, mine, limit)
    wanted = min(limit + 1, other.tunnel_limit or limit + 1)

    def open_theirs() -> None:
        nonlocal theirs
        theirs = relay.authenticated(other) if theirs.ended else theirs
        while theirs.tunnels < wanted:
            relay.room.for_tunnel(other.id)
            judge.accepted(theirs.ask(relay.tunnel_info(other.id)), limits.FULL)

    relay.soon(open_theirs)


@requirement("CB-LIM-004")
def test_others_tunnels_do_not_count(relay: RelayUnderTest) -> None:
    """Another tenant opens as many tunnels as its limit allows; then use up the whole limit of the first tenant."""
    tenant, limit = limits.limited_tenant(relay, "tunnel_limit")
    other = limits.other_tenant(relay, tenant)
    limits.tunnels_work(relay, tenant, limit)
    limits.fill_tunnels(relay, relay.authenticated(other), relay.room.tunnels(limit))
    relay.soon(lambda: limits.served_tunnels(relay, tenant, limit))


@requirement("CB-LIM-005")
@pytest.mark.parametrize("second", ["plain", "websocket", "closed"])
def test_tunnel_limit_counts_over_connections(relay: RelayUnderTest, second: str) -> None:
    """Use up the limit on one connection; another one of the same tenant gets no tunnel, and frees none if it closes.

    The second connection has another subject, and the suite's transport or WebSocket.
    """
    if second == "websocket":
        relay.needs.stream()
        relay.needs.websocket()
    tenant, limit = limits.shared_tunnel_limit(relay)
    first = relay.authenticated(tenant)
    transport = "websocket" if second == "websocket" else ""
    other = relay.authenticated(tenant, subject="cbspec-second", transport=transport)
    first = limits.fill_tunnels(relay, first, limit)
    if second == "closed":
        other.close()
    limits.tunnel_refused(relay, first if second == "closed" else other)


@requirement("CB-LIM-005")
@pytest.mark.parametrize("event", ["none", "close"])
def test_tunnels_of_two_connections_add_up(relay: RelayUnderTest, event: str) -> None:
    """Use up the limit with two connections together, also after one of them was replaced; then request another."""
    tenant, limit = limits.shared_tunnel_limit(relay, least=2)
    first, second = relay.authenticated(tenant), relay.authenticated(tenant)
    share = limit // 2 if event == "none" else limit - 1
    limits.fill_tunnels(relay, first, limit - share)
    second = limits.fill_tunnels(relay, second, share)
    if event == "close":
        second.close()
        with relay.control("as many tunnels after a close"):
            second = limits.fill_tunnels(relay, relay.authenticated(tenant), share)
    # One request only: a relay may close a connection after an error, which releases its tunnels.
    limits.tunnel_refused(relay, second)


@requirement("CB-LIM-012")
@pytest.mark.parametrize("event", ["none", "close", "refusal"])
def test_one_connection_more(relay: RelayUnderTest, event: str) -> None:
    """Use up the tenant's limit, then authenticate on another connection, and request a tunnel if auth is accepted.

    Before that, one of the connections is closed and replaced, or a tunnel_info on it is refused.
    """
    tenant, limit = limits.limited_tenant(relay, "connection_limit")
    sessions = limits.fill_connections(relay, tenant, limit)
    if event == "close":
        if limit < 2:
            raise NotExercised("tenants.connection_limit of 2 or more is needed to close one of two connections")
        with relay.control("another connection after a close"):
            sessions[0].close()
            relay.soon(lambda: relay.beat(limits.fill_connections(relay, tenant, 1)[0]))
    elif event == "refusal":
        with relay.control("refusing a tunnel to port 0"):
            request = relay.tunnel_info(tenant.id, remote_port=0)
            judge.refused(sessions[0].ask(request, invalid="remote_port is 0"))
        if sessions[0].ended:
            raise NotExercised("the relay closes the connection after an error")
    for subject in (None, "cbspec-second", None):
        judge.refused_with(_attempt(relay, tenant, subject=subject), limits.FULL)


@requirement("CB-LIM-012")
def test_one_connection_more_over_websocket(relay: RelayUnderTest) -> None:
    """Use up the tenant's limit over plain streams, then open another connection over WebSocket."""
    relay.needs.stream()
    relay.needs.websocket()
    tenant, limit = limits.limited_tenant(relay, "connection_limit")
    limits.fill_connections(relay, tenant, limit)
    judge.refused_with(_attempt(relay, tenant, transport="websocket"), limits.FULL)


@requirement("CB-LIM-013")
def test_connection_limit_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """Use up one tenant's limit; a connection of another tenant authenticates and opens a tunnel."""
    tenant, limit = limits.limited_tenant(relay, "connection_limit")
    other = limits.other_tenant(relay, tenant)
    limits.fill_connections(relay, tenant, limit)
    session = relay.greeted()
    judge.accepted(relay.authenticate(session, other), limits.FULL)
    judge.accepted(session.ask(relay.tunnel_info(other.id)), limits.FULL)


@requirement("CB-LIM-013")
def test_others_connections_do_not_count(relay: RelayUnderTest) -> None:
    """Another tenant opens as many connections as the limit; then use up the whole limit of the first tenant."""
    tenant, limit = limits.limited_tenant(relay, "connection_limit")
    other = limits.other_tenant(relay, tenant)
    with relay.control(f"{limit} connections"):
        _connections_work(relay, tenant, limit)
    limits.fill_connections(relay, other, min(limit, other.connection_limit or limit))
    _connections_work(relay, tenant, limit)


@requirements("CB-LIM-006", "CB-LIM-014")
@pytest.mark.parametrize("end", ["closed", pytest.param("reset", marks=last)])
def test_limit_is_released(relay: RelayUnderTest, identifier: str, end: str) -> None:
    """Use up the limit, close or reset the connections, then use it up again within a few seconds."""
    what, key = _RELEASED[identifier]
    tenant, limit = limits.limited_tenant(relay, key)

    def open_tunnels() -> int:
        session = relay.greeted()
        judge.accepted(relay.authenticate(session, tenant), limits.FULL)
        return limits.count_tunnels(relay, session, limit + 1, end)

    def open_connections() -> int:
        with contextlib.ExitStack() as stack:
            for number in range(limit + 1):
                session = stack.enter_context(limits.ending(relay.greeted(), end))
                if not judge.served(_request_tunnel(relay, session, tenant)):
                    return number
        return limit

    relay.needs.served("tunnel_info")
    relay.room.use(tenant)
    limits.released(relay, open_tunnels if what == "tunnels" else open_connections, what, end)


# ------------------------------------------------------------------ open points


@requirement("CB-LIM-101")
def test_step_of_the_connection_limit(relay: RelayUnderTest) -> None:
    """Use up the tenant's limit, then send hello, auth and a tunnel_info on another connection."""
    tenant, limit = limits.limited_tenant(relay, "connection_limit")
    _connections_work(relay, tenant, limit)
    limits.fill_connections(relay, tenant, limit)
    exchange = _attempt(relay, tenant)
    relay.log.saw(f"{exchange.request.type if exchange.request else ''}: {reaction(exchange, limits.FULL)}")


@requirement("CB-LIM-102")
def test_refused_auths_and_the_connection_limit(relay: RelayUnderTest) -> None:
    """Send auths with an invalid signature on as many connections as the limit, then a valid one on another.

    The refused connections are kept if the relay keeps them open.
    """
    tenant, limit = limits.limited_tenant(relay, "connection_limit")
    _connections_work(relay, tenant, limit)
    sessions = [relay.greeted() for _ in range(limit)]
    with relay.control("refused auths"):
        for session in sessions:
            judge.refused(session.ask({"type": "auth", "token": relay.tokens.spoiled(tenant)}))
    if all(session.ended for session in sessions):
        raise NotExercised("the relay closes a connection after a refused auth, so that it counts nowhere")
    seen = reaction(relay.authenticate(relay.greeted(), tenant), limits.FULL)
    relay.log.saw("not counted" if seen == ACCEPTED else f"counted: {seen}")


@requirement("CB-LIM-103")
def test_limit_or_validation_first(relay: RelayUnderTest) -> None:
    """Use up the tenant's limit, then send a tunnel_info with a negative port."""
    tenant, limit = limits.limited_tenant(relay, "tunnel_limit")
    session = limits.fill_tunnels(relay, relay.authenticated(tenant), limit)
    exchange = session.ask(relay.tunnel_info(tenant.id, local_port=-1), invalid="local_port is negative")
    relay.log.saw(reaction(exchange, limits.FULL))


@requirement("CB-LIM-104")
def test_identifier_twice_and_the_tunnel_limit(relay: RelayUnderTest) -> None:
    """Open a tunnel, send the same tunnel_info again, and count how many other tunnels the limit still allows."""
    tenant, limit = limits.limited_tenant(relay, "tunnel_limit")
    relay.soon(lambda: limits.served_tunnels(relay, tenant, limit))
    session = limits.fill_tunnels(relay, relay.authenticated(tenant), 1)
    request = relay.tunnel_info(tenant.id)
    with relay.control("a valid tunnel_info"):
        judge.accepted(session.ask(request))
    second = reaction(session.ask(request), limits.FULL)
    if second != ACCEPTED:
        relay.log.saw(f"the second is {second}")
        return
    left = [reaction(session.ask(relay.tunnel_info(tenant.id)), limits.FULL) for _ in range(limit - 2)]
    relay.log.saw("counted once" if left == [ACCEPTED] * (limit - 2) else "counted twice")


def _connections_work(relay: RelayUnderTest, tenant: Tenant, limit: int) -> None:
    relay.room.use(tenant)
    relay.soon(lambda: limits.served_connections(relay, tenant, limit))


def _attempt(relay: RelayUnderTest, tenant: Tenant, *, subject: str | None = None, transport: str = "") -> Exchange:
    """Authenticate on a new connection, and request a tunnel if that was accepted; return the last exchange."""
    with contextlib.closing(relay.greeted(transport=transport)) as session:
        return _request_tunnel(relay, session, tenant, subject)


def _request_tunnel(
    relay: RelayUnderTest, session: ProbeSession, tenant: Tenant, subject: str | None = None
) -> Exchange:
    """Authenticate, and request a tunnel if accepted: the specification doesn't say which request draws the error."""
    exchange = relay.authenticate(session, tenant, token=relay.tokens.valid(tenant, subject))
    return session.ask(relay.tunnel_info(tenant.id)) if session.authenticated else exchange
