"""Source: Error Codes / tenant_limit_exceeded: a limit also holds for requests that arrive at the same time.

A relay that checks its count before it increases it may allow too many. The cases of single requests judge whether all
below the limit are served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cbspec.profile.profile import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes import limits
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_ROUNDS = 2
_EXCESS = 2


@requirement("CB-LIM-002")
def test_tunnels_at_once(relay: RelayUnderTest) -> None:
    """Request two tunnels more than the limit in one TLS record; at most the limit may be opened."""
    tenant, limit = limits.limited_tenant(relay, "tunnel_limit")
    _no_rate(tenant)
    limits.tunnels_work(relay, tenant, limit)
    for _ in range(_ROUNDS):
        _one_connection(relay, tenant, limit)


@requirement("CB-LIM-005")
def test_tunnels_at_once_on_two_connections(relay: RelayUnderTest) -> None:
    """Request more tunnels than the limit on two connections at once; together they may open at most the limit."""
    tenant, limit = limits.shared_tunnel_limit(relay)
    _no_rate(tenant)
    for _ in range(_ROUNDS):
        with relay.control(f"a limit of {limit} tunnels, requested at once on one connection"):
            _one_connection(relay, tenant, limit)
        sessions = [relay.authenticated(tenant) for _ in range(2)]
        exchanges = _tunnels_at_once(relay, sessions, (limit + _EXCESS + 1) // 2)
        for exchange in exchanges:
            _at_most(limit, "tunnels", [exchange])
        _at_most(limit, "tunnels", still_held(sessions, exchanges))
        for session in sessions:
            session.close()


@requirement("CB-LIM-012")
def test_connections_at_once(relay: RelayUnderTest) -> None:
    """Authenticate two connections more than the limit at once, then request a tunnel on those that were accepted.

    At most the limit may open one: the specification doesn't say at which step the limit applies.
    """
    tenant, limit = limits.limited_tenant(relay, "connection_limit")
    _no_rate(tenant)
    if tenant.tunnel_limit is not None and tenant.tunnel_limit <= limit:
        raise NotExercised(f"tenants.tunnel_limit of {tenant.id} is not above its tenants.connection_limit")
    for _ in range(_ROUNDS):
        relay.room.use(tenant)
        with relay.control(f"{limit} connections"):
            relay.soon(lambda: limits.served_connections(relay, tenant, limit))
        sessions = [relay.greeted() for _ in range(limit + _EXCESS)]
        for session in sessions:
            session.assume(tenant=tenant.id)
        auths = _at_once(relay, sessions, [[{"type": "auth", "token": relay.tokens.valid(tenant)}] for _ in sessions])
        for session, exchange in zip(sessions, auths, strict=True):
            session.assume(authenticated=judge.served(exchange))
        _no_other_limit(auths)
        _at_most(limit, "connections", _tunnels_at_once(relay, [each for each in sessions if each.authenticated], 1))
        for session in sessions:
            session.close()


def _one_connection(relay: RelayUnderTest, tenant: Tenant, limit: int) -> None:
    session = relay.authenticated(tenant)
    _at_most(limit, "tunnels", _tunnels_at_once(relay, [session], limit + _EXCESS))
    session.close()


def _tunnels_at_once(relay: RelayUnderTest, sessions: list[ProbeSession], count: int) -> list[Exchange]:
    """Request `count` tunnels on each session before any answer is read."""
    return _at_once(relay, sessions, [[relay.tunnel_info(each.tenant) for _ in range(count)] for each in sessions])


def _at_once(
    relay: RelayUnderTest, sessions: list[ProbeSession], requests: list[list[Mapping[str, Any]]]
) -> list[Exchange]:
    """Send each session's requests in one piece, and read answers only after the last piece."""
    noted = [[session.note(request) for request in theirs] for session, theirs in zip(sessions, requests, strict=True)]
    for session, messages in zip(sessions, noted, strict=True):
        session.send_unanswered(b"".join(data for _, data in messages), messages=len(messages))
    exchanges = []
    for session, messages in zip(sessions, noted, strict=True):
        exchange = session.gathered(messages[0][0], session.answers(len(messages)))
        if len(messages) == 1:
            exchange = relay.log.observe(exchange)
        session.count_tunnels(_opened([exchange]))
        exchanges.append(exchange)
    return exchanges


def _opened(exchanges: Iterable[Exchange]) -> int:
    """Return the number of opened tunnels, by their ids: a repeated answer opens nothing."""
    answers = [answer for exchange in exchanges for answer in exchange.answers if answer.type == "tunnel_response"]
    return len({str(answer.member("tunnel_id")) for answer in answers if judge.is_success(answer)})


def _at_most(limit: int, what: str, exchanges: list[Exchange]) -> None:
    """Check that no more tunnels were opened than the limit allows."""
    opened = _opened(exchanges)
    if opened > limit:
        raise Broken(f"at most {limit} {what}, however many are requested at once", f"{opened} tunnels", *exchanges)
    _no_other_limit(exchanges)


def still_held(sessions: Iterable[ProbeSession], exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Return the exchanges of the sessions that are still open.

    A session that the relay closed after a refusal has released its tunnels, and another may have taken them.
    """
    both = zip(sessions, exchanges, strict=True)
    return [exchange for session, exchange in both if not session.ended and judge.served(session.heartbeat())]


def _no_other_limit(exchanges: list[Exchange]) -> None:
    """Raise Inconclusive if another limit refused a request: it may have hidden the breach."""
    for answer in (answer for exchange in exchanges for answer in exchange.answers):
        code = answer.member("code") if answer.type == "error" else None
        if code in judge.OUT_OF_ROOM and code != ErrorCode.TENANT_LIMIT_EXCEEDED:
            raise judge.no_room(code, see=" elsewhere")


def _no_rate(tenant: Tenant) -> None:
    if tenant.rate is not None:
        raise NotExercised(f"{tenant.id} has a rate, which may refuse requests that are sent at once")
