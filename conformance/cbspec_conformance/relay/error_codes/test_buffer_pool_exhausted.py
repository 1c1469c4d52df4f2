"""Source: Error Codes / buffer_pool_exhausted: one buffer for each open tunnel, from a pool of the relay's."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from cbspec.profile.profile import Endpoint
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.relay.error_codes.limits import come_back, tunnels_had
from cbspec_conformance.relay.error_codes.refusals import limited
from cbspec_conformance.runner.marks import alone, last, requirement
from cbspec_conformance.target.relay import RelayUnderTest


@alone
@requirement("CB-BUF-001")
def test_all_buffers_of_the_pool(relay: RelayUnderTest) -> None:
    """As many tunnels are opened as the pool has room for."""
    with _pool(relay) as (at, size):
        relay.soon(lambda: _fill(relay, at, size).close())


@alone
@requirement("CB-BUF-002")
def test_one_tunnel_more(relay: RelayUnderTest) -> None:
    """With the pool used up, another tunnel is asked for."""
    with _pool(relay) as (at, size):
        with relay.control(f"{size} tunnels"):
            session = _filled(relay, at, size)
        for _ in range(2):
            if not session.ended:
                judge.refused_with(session.ask(relay.tunnel_info(session.tenant)), "buffer_pool_exhausted")


@alone
@requirement("CB-BUF-002")
@pytest.mark.parametrize("whose", ["same", "second"])
def test_one_tunnel_more_elsewhere(relay: RelayUnderTest, whose: str) -> None:
    """With the pool used up, another connection asks for a tunnel: of the same tenant, or of another."""
    other = relay.tenant if whose == "same" else relay.second_tenant
    with _pool(relay) as (at, size):
        with relay.control(f"{size} tunnels"):
            _filled(relay, at, size)
        session = relay.authenticated(other, at=at)
        judge.refused_with(session.ask(relay.tunnel_info(other.id)), "buffer_pool_exhausted")


@alone
@requirement("CB-BUF-002")
def test_another_connections_end_gives_nothing_back(relay: RelayUnderTest) -> None:
    """With the pool used up by one connection, another without a tunnel comes and goes; still there is no buffer."""
    with _pool(relay) as (at, size):
        with relay.control(f"{size} tunnels"):
            session = _filled(relay, at, size)
            relay.authenticated(at=at).close()
        judge.refused_with(session.ask(relay.tunnel_info(session.tenant)), "buffer_pool_exhausted")


@alone
@requirement("CB-BUF-001")
def test_refused_tunnels_take_no_buffer(relay: RelayUnderTest) -> None:
    """As many tunnels as the pool has room for are refused for an invalid port; then the whole pool is still there."""
    with _pool(relay) as (at, size):
        with relay.control(f"{size} tunnels, and as many refused"):
            relay.soon(lambda: _fill(relay, at, size).close())
            session = relay.authenticated(at=at)
            for _ in range(size):
                session = relay.authenticated(at=at) if session.ended else session
                judge.refused(session.ask(relay.tunnel_info(remote_port=0), invalid="remote_port is 0"))
        relay.soon(lambda: _fill(relay, at, size).close())


@alone
@requirement("CB-BUF-003")
def test_buffers_come_back(relay: RelayUnderTest) -> None:
    """The pool is used up, the connection closed, and the whole pool asked for again within a few seconds."""
    with _pool(relay) as (at, size):
        relay.needs.served("tunnel_info")
        come_back(relay, lambda: tunnels_had(relay, relay.authenticated(at=at), size + 1), "tunnels")


@alone
@last
@requirement("CB-BUF-003")
def test_buffers_come_back_after_a_reset(relay: RelayUnderTest) -> None:
    """The pool is used up, the connection reset, and the whole pool asked for again within a few seconds."""
    with _pool(relay) as (at, size):
        relay.needs.served("tunnel_info")
        come_back(relay, lambda: tunnels_had(relay, relay.authenticated(at=at), size + 1, "reset"), "tunnels", "reset")


@alone
@requirement("CB-BUF-101")
def test_pool_or_validation_first(relay: RelayUnderTest) -> None:
    """With the pool used up, a tunnel_info with a negative port is sent."""
    with _pool(relay) as (at, size):
        with relay.control(f"{size} tunnels"):
            session = _filled(relay, at, size)
        request = relay.tunnel_info(session.tenant, local_port=-1)
        relay.log.saw(reaction(session.ask(request, invalid="local_port is negative"), "buffer_pool_exhausted"))


def _pool(relay: RelayUnderTest) -> AbstractContextManager[tuple[Endpoint | None, int]]:
    return limited(relay, "buffer_pool", relay.profile.relay.buffer_pool)


def _fill(relay: RelayUnderTest, at: Endpoint | None, size: int) -> ProbeSession:
    tenant = relay.tenant
    if tenant.tunnel_limit is not None and tenant.tunnel_limit <= size:
        raise NotExercised(f"tenants.tunnel_limit of {tenant.id} is not above the pool's {size}")
    session = relay.authenticated(at=at)
    try:
        for _ in range(size):
            judge.accepted(session.ask(relay.tunnel_info(tenant.id)), "buffer_pool_exhausted")
    except Exception:
        session.close()
        raise
    return session


def _filled(relay: RelayUnderTest, at: Endpoint | None, size: int) -> ProbeSession:
    """Fill the pool; what the case before left behind may still be counted for a moment."""
    return relay.soon(lambda: _fill(relay, at, size))
