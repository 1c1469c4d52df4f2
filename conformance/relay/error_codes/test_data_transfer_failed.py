"""Source: Error Codes / data_transfer_failed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from cbspec.profile import Endpoint
from conformance import judge
from conformance.errors import Inconclusive, NotExercised
from conformance.marks import alone, requirement
from conformance.observing import CLOSED, OPEN
from conformance.relay.error_codes.limits import served_tunnels, tunnel_tenant
from conformance.target import Target


@alone
@requirement("CB-TRF-001")
def test_failed_transfer(relay: Target) -> None:
    """A tunnel is asked for whose data can't be transferred."""
    relay.authenticated()
    with _failing(relay) as (at, request):
        session = relay.authenticated(at=at)
        judge.refused_with(session.ask(request), "data_transfer_failed")


@alone
@requirement("CB-TRF-002")
def test_works_again(relay: Target) -> None:
    """After a failed transfer a tunnel to a reachable end is asked for, on the same connection where it is open."""
    condition = relay.profile.conditions.get("transfer_failed")
    with _failing(relay) as (at, request):
        session = relay.authenticated(at=at)
        with relay.control("a failed transfer"):
            judge.refused_with(session.ask(request), "data_transfer_failed")
        if _dials(relay, at):
            exchange = session.ask(relay.tunnel_info(session.tenant))
            if not exchange.answers and exchange.ended is not None:  # closed behind the error
                session = relay.authenticated(at=at)
                exchange = session.ask(relay.tunnel_info(session.tenant))
            judge.accepted(exchange)
            return
    if condition is None or condition.end is None:
        raise NotExercised("give remote.unreachable with remote.dialled, or conditions.transfer_failed.begin and end")
    relay.close()
    judge.accepted(relay.authenticated().ask(relay.tunnel_info()))


@alone
@requirement("CB-LIM-003")
def test_failed_transfers_do_not_count(relay: Target) -> None:
    """As many tunnels as a tenant's limit has fail for want of an end to reach; then the whole limit is still there."""
    tenant, limit = tunnel_tenant(relay)
    with _failing(relay) as (at, request):
        if not _dials(relay, at):
            raise NotExercised("give remote.unreachable with remote.dialled, or conditions.transfer_failed.dialled")
        with relay.control(f"{limit} tunnels"):
            relay.soon(lambda: served_tunnels(relay, tenant, limit, at))
            relay.soon(lambda: served_tunnels(relay, tenant, limit, at))  # and all of them given back
        session = relay.authenticated(tenant, at=at)
        end = {name: request[name] for name in ("remote_host", "remote_port")}
        with relay.control("failed transfers"):
            for _ in range(limit):
                session = relay.authenticated(tenant, at=at) if session.ended else session
                judge.refused_with(session.ask(relay.tunnel_info(tenant.id, **end)), "data_transfer_failed")
        if session.ended:
            relay.soon(lambda: served_tunnels(relay, tenant, limit, at))
            return
        for _ in range(limit):  # what the control held may be counted for a while yet
            relay.soon(lambda: judge.accepted(session.ask(relay.tunnel_info(tenant.id)), "tenant_limit_exceeded"))


@alone
@requirement("CB-TRF-101")
def test_behind_a_failed_transfer(relay: Target) -> None:
    """A tunnel is asked for whose data can't be transferred; a message of unknown type follows."""
    relay.authenticated()
    with _failing(relay) as (at, request):
        session = relay.authenticated(at=at)
        with relay.control("a failed transfer"):
            judge.refused_with(session.ask(request), "data_transfer_failed")
        exchange = session.ask({"type": "cbspec_behind_an_error"}, invalid="of unknown type", fence=False)
        if not exchange.answers and exchange.ended is None:
            raise Inconclusive("neither an answer nor an end behind the error")
        relay.saw(OPEN if exchange.answers else CLOSED)


def _dials(relay: Target, at: Endpoint | None) -> bool:
    """Whether it is only for the remote end that transfers fail there."""
    condition = relay.profile.conditions.get("transfer_failed")
    return relay.profile.remote.dialled if at is None else bool(condition and condition.dialled)


@contextlib.contextmanager
def _failing(relay: Target) -> Iterator[tuple[Endpoint | None, dict[str, Any]]]:
    """Yield where to ask, and a tunnel_info that fails there."""
    remote = relay.profile.remote
    end = remote.unreachable or remote.reachable
    request = relay.tunnel_info(remote_host=end.host, remote_port=end.port)
    if remote.dialled and remote.unreachable is not None:
        yield None, request
        return
    if "transfer_failed" not in relay.profile.conditions:
        raise NotExercised("give remote.unreachable with remote.dialled = true, or conditions.transfer_failed")
    with relay.provoked("transfer_failed") as (_, at):
        yield at, request
