"""What the cases about limits share: filling them up, and trying again for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from cbspec.profile.profile import Endpoint, Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.target.relay import RelayUnderTest

MOST = 256
"""The largest limit that is filled."""


def fillable(limit: int, key: str) -> int:
    """Return the limit. Raises NotExercised where filling it would take more than a suite should ask of a relay."""
    if limit > MOST:
        raise NotExercised(f"{key} is {limit}: more than the {MOST} that the suite fills; give a smaller one")
    return limit


def tunnel_tenant(relay: RelayUnderTest) -> tuple[Tenant, int]:
    """Return a tenant with a limit of tunnels, and the limit."""
    tenants = relay.profile.tenants_with("tunnel_limit")
    if not tenants or tenants[0].tunnel_limit is None:
        raise NotExercised("give tenants.tunnel_limit (for a tenant of its own)")
    return tenants[0], fillable(tenants[0].tunnel_limit, "tenants.tunnel_limit")


def connection_tenant(relay: RelayUnderTest) -> tuple[Tenant, int]:
    """Return a tenant with a limit of connections, and the limit."""
    tenants = relay.profile.tenants_with("connection_limit")
    if not tenants or tenants[0].connection_limit is None:
        raise NotExercised("give tenants.connection_limit (for a tenant of its own)")
    return tenants[0], fillable(tenants[0].connection_limit, "tenants.connection_limit")


def room_for(tenant: Tenant, connections: int) -> None:
    """Say that the case needs a tenant which may have so many connections."""
    if tenant.connection_limit is not None and tenant.connection_limit < connections:
        raise NotExercised(f"a tenant with tenants.tunnel_limit and room for {connections} connections is needed")


def fill_tunnels(relay: RelayUnderTest, session: ProbeSession, count: int) -> ProbeSession:
    """Have `count` tunnels on one connection, and return it. Raises Inconclusive at the first that isn't opened.

    It waits at each for what the case before left behind: a relay may give room back late, and bit by bit. Where it
    closes the connection behind a refusal, a new one takes its place.
    """
    tenant = relay.profile.tenant(session.tenant)

    def fill() -> None:
        nonlocal session
        if session.ended:
            session = relay.authenticated(tenant)
        while session.tunnels < count:
            relay.open_tunnel(session)

    relay.soon(fill)
    return session


def served_tunnels(relay: RelayUnderTest, tenant: Tenant, count: int, at: Endpoint | None = None) -> None:
    """See that a new connection of a tenant opens `count` tunnels, and close it. Raises Broken where it doesn't."""
    session = relay.authenticated(tenant, at=at)
    try:
        for _ in range(count):
            judge.accepted(session.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")
    finally:
        session.close()


def limit_holds(relay: RelayUnderTest, tenant: Tenant, limit: int) -> None:
    """See that a tenant's limit of tunnels holds on one connection, and close it. A control for what it does on two."""
    session = relay.authenticated(tenant)
    with relay.control(f"a limit of {limit} tunnels on one connection"):
        session = fill_tunnels(relay, session, limit)
        judge.refused_with(session.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")
    session.close()


def served_connections(relay: RelayUnderTest, tenant: Tenant, count: int) -> None:
    """See that `count` connections of a tenant are served side by side, and close them. Raises Broken if not."""
    sessions: list[ProbeSession] = []
    try:
        for _ in range(count):
            sessions.append(relay.greeted())
            _occupy(relay, sessions[-1], tenant)
        for session in sessions:
            judge.accepted(session.heartbeat(), "tenant_limit_exceeded")
    finally:
        for session in sessions:
            session.close()


def fill_connections(relay: RelayUnderTest, tenant: Tenant, count: int) -> list[ProbeSession]:
    """Have `count` connections of a tenant served side by side. Raises Broken where they aren't, before long.

    Each opens a tunnel: the page doesn't say at which step a connection counts.
    """

    def fill() -> list[ProbeSession]:
        sessions: list[ProbeSession] = []
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                sessions.append(stack.enter_context(contextlib.closing(relay.greeted())))
                _occupy(relay, sessions[-1], tenant)
            stack.pop_all()
        return sessions

    relay.room.use(tenant)
    return relay.soon(fill)


def _occupy(relay: RelayUnderTest, session: ProbeSession, tenant: Tenant) -> None:
    judge.accepted(relay.authenticate(session, tenant), "tenant_limit_exceeded")
    pool = relay.profile.relay.buffer_pool
    if tenant.tunnel_limit is None and (pool is None or pool >= (tenant.connection_limit or 0)):
        judge.accepted(session.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded")


def come_back(relay: RelayUnderTest, use: Callable[[], int], what: str, end: str = "closed") -> None:
    """See that what `use` could have once, it can have again soon after it was closed, or as `end` says.

    `use` takes as much as it gets, ends its connections so, and returns how much that was.
    """
    found: list[int] = []

    def at_least(wanted: int, since: str) -> None:
        got = use()
        if got < wanted:
            raise Broken(f"room for {wanted} {what} {since}", f"room for {got}, {relay.tempo.soon:.0f} s later")
        found.append(got)

    relay.soon(lambda: at_least(1, "while the suite holds none"))
    relay.soon(lambda: at_least(found[0], f"after their connection was {end}"))


@contextlib.contextmanager
def ending(session: ProbeSession, end: str) -> Iterator[ProbeSession]:
    """Have a session for a while, and end it: "closed" or "reset", without a word."""
    try:
        yield session
    finally:
        if end == "reset":
            session.wire.reset()
        session.close()


def tunnels_had(relay: RelayUnderTest, session: ProbeSession, most: int, end: str = "closed") -> int:
    """Open up to `most` tunnels on a session, until one is refused; end it and return how many there were."""
    had = 0
    with ending(session, end):
        while had < most and not session.ended:
            exchange = session.ask(relay.tunnel_info(session.tenant))
            if not judge.served(exchange):
                break
            had += 1
    return had
