"""Source: Error Codes / tenant_limit_exceeded: a limit holds, too, when more than it allows is asked for at once.

A relay that looks at its count first and adds to it later lets too many in then. How many are served below the limit is
not judged here: what is asked for one by one tells that.
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
from cbspec_conformance.relay.error_codes.limits import (
    connection_tenant,
    limit_holds,
    room_for,
    served_connections,
    served_tunnels,
    tunnel_tenant,
)
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_ROUNDS = 2
_TOO_MANY = 2


@requirement("CB-LIM-002")
def test_tunnels_at_once(relay: RelayUnderTest) -> None:
    """Two tunnels more than the limit are asked for in one TLS record; no more than the limit may be opened."""
    tenant, limit = tunnel_tenant(relay)
    _no_rate(tenant)
    with relay.control(f"{limit} tunnels"):
        relay.soon(lambda: served_tunnels(relay, tenant, limit))
    for _ in range(_ROUNDS):
        session = relay.authenticated(tenant)
        _at_most(limit, "tunnels", _tunnels_at_once(relay, [session], limit + _TOO_MANY))
        session.close()


@requirement("CB-LIM-005")
def test_tunnels_at_once_on_two_connections(relay: RelayUnderTest) -> None:
    """Two connections ask at once for more tunnels than the limit, together; no more than it may be opened."""
    tenant, limit = tunnel_tenant(relay)
    room_for(tenant, 2)
    _no_rate(tenant)
    limit_holds(relay, tenant, limit)
    for _ in range(_ROUNDS):
        with relay.control(f"a limit of {limit} tunnels, asked for at once on one connection"):
            session = relay.authenticated(tenant)
            _at_most(limit, "tunnels", _tunnels_at_once(relay, [session], limit + _TOO_MANY))
            session.close()
        sessions = [relay.authenticated(tenant) for _ in range(2)]
        exchanges = _tunnels_at_once(relay, sessions, (limit + _TOO_MANY + 1) // 2)
        for exchange in exchanges:
            _at_most(limit, "tunnels", [exchange])
        _at_most(limit, "tunnels", still_held(sessions, exchanges))
        for session in sessions:
            session.close()


@requirement("CB-LIM-012")
def test_connections_at_once(relay: RelayUnderTest) -> None:
    """Two connections more than the limit authenticate at once, then ask for a tunnel each, where auth still passed.

    No more tunnels than the limit may be opened: the page doesn't say where the limit strikes.
    """
    tenant, limit = connection_tenant(relay)
    _no_rate(tenant)
    if tenant.tunnel_limit is not None and tenant.tunnel_limit <= limit:
        raise NotExercised(f"tenants.tunnel_limit of {tenant.id} is not above its tenants.connection_limit")
    for _ in range(_ROUNDS):
        relay.room.use(tenant)
        with relay.control(f"{limit} connections"):
            relay.soon(lambda: served_connections(relay, tenant, limit))
        sessions = [relay.greeted() for _ in range(limit + _TOO_MANY)]
        for session in sessions:
            session.assume(tenant=tenant.id)
        auths = _at_once(relay, sessions, [[{"type": "auth", "token": relay.tokens.valid(tenant)}] for _ in sessions])
        for session, exchange in zip(sessions, auths, strict=True):
            session.assume(authenticated=judge.served(exchange))
        _room_elsewhere(auths)
        _at_most(limit, "connections", _tunnels_at_once(relay, [each for each in sessions if each.authenticated], 1))
        for session in sessions:
            session.close()


def _tunnels_at_once(relay: RelayUnderTest, sessions: list[ProbeSession], count: int) -> list[Exchange]:
    """Ask for so many tunnels on each session, all of them before any answer is read."""
    return _at_once(relay, sessions, [[relay.tunnel_info(each.tenant) for _ in range(count)] for each in sessions])


def _at_once(
    relay: RelayUnderTest, sessions: list[ProbeSession], requests: list[list[Mapping[str, Any]]]
) -> list[Exchange]:
    """Send each session its requests in one piece, and read no answer before the last is sent."""
    ready = [
        (session, [session.note(request) for request in asked])
        for session, asked in zip(sessions, requests, strict=True)
    ]
    for session, noted in ready:
        session.send_unanswered(b"".join(data for _, data in noted), messages=len(noted))
    exchanges = []
    for session, noted in ready:
        exchange = session.gathered(noted[0][0], session.answers(len(noted)))
        if len(noted) == 1:
            exchange = relay.log.observe(exchange)
        session.count_tunnels(_opened([exchange]))
        exchanges.append(exchange)
    return exchanges


def _opened(exchanges: Iterable[Exchange]) -> int:
    """Return how many tunnels were opened, by their names: an answer that comes twice opens nothing."""
    answers = [answer for exchange in exchanges for answer in exchange.answers if answer.type == "tunnel_response"]
    return len({str(answer.member("tunnel_id")) for answer in answers if judge.is_success(answer)})


def _at_most(limit: int, what: str, exchanges: list[Exchange]) -> None:
    """See that no more tunnels were opened than the limit allows."""
    opened = _opened(exchanges)
    if opened > limit:
        raise Broken(f"at most {limit} {what}, however many are asked for at once", f"{opened} tunnels", *exchanges)
    _room_elsewhere(exchanges)


def still_held(sessions: Iterable[ProbeSession], exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Return the exchanges of those sessions that the relay left open.

    One that it closed behind a refusal gave back what it had opened, and another may have had that since.
    """
    both = zip(sessions, exchanges, strict=True)
    return [exchange for session, exchange in both if not session.ended and judge.served(session.heartbeat())]


def _room_elsewhere(exchanges: list[Exchange]) -> None:
    """See that no other limit refused anything. Raises Inconclusive where one did: it may have hidden the breach."""
    for answer in (answer for exchange in exchanges for answer in exchange.answers):
        code = answer.member("code") if answer.type == "error" else None
        if code in judge.OUT_OF_ROOM and code != ErrorCode.TENANT_LIMIT_EXCEEDED:
            raise judge.no_room(code, see=" elsewhere")


def _no_rate(tenant: Tenant) -> None:
    if tenant.rate is not None:
        raise NotExercised(f"{tenant.id} has a rate: what it asks at once may be refused for that")
