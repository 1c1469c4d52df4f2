"""Source: Error Codes / buffer_pool_exhausted: one buffer for each open tunnel, from a pool of the relay."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from cbspec.profile.profile import Endpoint
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.relay.error_codes.refusals import closed_on_failure, count_tunnels, limited, released
from cbspec_conformance.runner.marks import last, provokes, requirement
from cbspec_conformance.target.relay import RelayUnderTest

pytestmark = provokes("buffer_pool")

_FULL = "buffer_pool_exhausted"


@requirement("CB-BUF-001")
@pytest.mark.parametrize("before", ["nothing", "refusals"])
def test_all_buffers_of_the_pool(relay: RelayUnderTest, before: str) -> None:
    """Open as many tunnels as the pool has buffers; before that, request as many with an invalid port."""
    with _pool(relay) as (at, size):
        if before == "refusals":
            _use_up(relay, at, size).close()
            session = relay.authenticated(at=at)
            with relay.control("refusing tunnels to port 0"):
                for _ in range(size):
                    session = relay.authenticated(at=at) if session.ended else session
                    judge.refused(session.ask(relay.tunnel_info(remote_port=0), invalid="remote_port is 0"))
        relay.soon(lambda: _open_tunnels(relay, at, size).close())


@requirement("CB-BUF-002")
@pytest.mark.parametrize("where", ["same connection", "same tenant", "second tenant", "after a close"])
def test_one_tunnel_more(relay: RelayUnderTest, where: str) -> None:
    """Use up the pool, then request tunnels on the same connection, also after another closed, or on another one."""
    other = relay.second_tenant if where == "second tenant" else relay.tenant
    with _pool(relay) as (at, size):
        session = _use_up(relay, at, size)
        if where != "same connection":
            another = relay.authenticated(other, at=at, subject=relay.tokens.subject("second"))
            if where == "after a close":
                another.close()
            else:
                session = another
        for _ in range(2):
            if not session.ended:
                judge.refused_with(session.ask(relay.tunnel_info(session.tenant)), _FULL)


@requirement("CB-BUF-003")
@pytest.mark.parametrize("end", ["closed", pytest.param("reset", marks=last)])
def test_buffers_come_back(relay: RelayUnderTest, end: str) -> None:
    """Use up the pool, close or reset the connection, then use up the pool again within a few seconds."""
    with _pool(relay) as (at, size):
        relay.needs.served("tunnel_info")
        released(relay, lambda: count_tunnels(relay, relay.authenticated(at=at), size + 1, end), "tunnels", end)


@requirement("CB-BUF-101")
def test_pool_or_validation_first(relay: RelayUnderTest) -> None:
    """Use up the pool, then send a tunnel_info with a negative port."""
    with _pool(relay) as (at, size):
        session = _use_up(relay, at, size)
        request = relay.tunnel_info(session.tenant, local_port=-1)
        relay.log.saw(reaction(session.ask(request, invalid="local_port is negative"), _FULL))


def _pool(relay: RelayUnderTest) -> AbstractContextManager[tuple[Endpoint | None, int]]:
    return limited(relay, "buffer_pool", relay.profile.relay.buffer_pool)


def _use_up(relay: RelayUnderTest, at: Endpoint | None, size: int) -> ProbeSession:
    """Use up the pool; the relay may release the buffers of an earlier case late. A control."""
    with relay.control(f"{size} tunnels"):
        return relay.soon(lambda: _open_tunnels(relay, at, size))


def _open_tunnels(relay: RelayUnderTest, at: Endpoint | None, size: int) -> ProbeSession:
    tenant = relay.tenant
    if tenant.tunnel_limit is not None and tenant.tunnel_limit <= size:
        raise NotExercised(f"tenants.tunnel_limit of {tenant.id} is not above the pool's {size}")
    with closed_on_failure(relay.authenticated(at=at)) as session:
        for _ in range(size):
            judge.accepted(session.ask(relay.tunnel_info(tenant.id)), _FULL)
    return session
