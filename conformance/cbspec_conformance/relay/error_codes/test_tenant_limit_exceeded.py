"""Source: Error Codes / tenant_limit_exceeded: the tunnel limit and the connection limit of a tenant."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cbspec.profile.profile import Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, NotExercised
from cbspec_conformance.judging.observing import ACCEPTED, reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes import refusals
from cbspec_conformance.relay.requests import UNREAD, needs_transport, reading_little, request_tunnel
from cbspec_conformance.runner.marks import all_limits, last, limits, provokes, requirement, requirements
from cbspec_conformance.target.capacity import FULL, REFUSED_TUNNELS, LimitKey
from cbspec_conformance.target.relay import RelayUnderTest

_ROUNDS = 2
_EXCESS = 2
_KEYS: dict[str, LimitKey] = {
    **dict.fromkeys(("CB-LIM-001", "CB-LIM-004", "CB-LIM-006"), "tunnel_limit"),
    **dict.fromkeys(("CB-LIM-011", "CB-LIM-013", "CB-LIM-014"), "connection_limit"),
}


@limits("tunnel_limit", "connection_limit")
@requirements("CB-LIM-001", "CB-LIM-011")
def test_whole_limit_is_served(relay: RelayUnderTest, identifier: str) -> None:
    """Use as much as the profile declares: tunnels on one connection, or connections at the same time."""
    _whole_limit_served(relay, _KEYS[identifier])


@limits("tunnel_limit")
@requirement("CB-LIM-002")
def test_one_tunnel_more(relay: RelayUnderTest) -> None:
    """Use up the tenant's limit, then request another tunnel three times."""
    tenant, limit = refusals.limited_tenant(relay, "tunnel_limit")
    session = refusals.fill_tunnels(relay, relay.authenticated(tenant), limit)
    for _ in range(3):
        if not session.ended:
            refusals.tunnel_refused(relay, session)


@limits("tunnel_limit")
@requirement("CB-LIM-003")
@pytest.mark.parametrize("kind", [*REFUSED_TUNNELS, pytest.param("failed transfer", marks=provokes("transfer_failed"))])
def test_refused_tunnels_do_not_count(relay: RelayUnderTest, kind: str) -> None:
    """Request as many invalid or unreachable tunnels as the limit allows, then use up the whole limit."""
    tenant, limit = refusals.limited_tenant(relay, "tunnel_limit")
    make, invalid = REFUSED_TUNNELS.get(kind, (None, ""))
    with contextlib.ExitStack() as stack:
        at, request = stack.enter_context(refusals.dialling(relay)) if make is None else (None, {})
        for _ in range(2):  # the second time, the limit was released
            refusals.tunnels_work(relay, tenant, limit, at=at)
        session = relay.authenticated(tenant, at=at)
        end = {name: value for name, value in request.items() if name.startswith("remote_")}

        def fail() -> None:
            nonlocal session
            session = relay.authenticated(tenant, at=at) if session.ended else session
            asked = relay.tunnel_info(tenant.id, **end) if make is None else make(relay, tenant)
            exchange = session.ask(asked, invalid=invalid)
            judge.refused_with(exchange, "data_transfer_failed") if make is None else judge.refused(exchange)

        def open_one() -> None:
            if session.ended:  # after an error; all tunnels can be opened on a new connection
                refusals.served_tunnels(relay, tenant, limit, at)
            else:
                judge.accepted(session.ask(relay.tunnel_info(tenant.id)), FULL)

        with relay.control(f"tunnels that are refused: {kind}"):
            for _ in range(limit):
                relay.soon(fail) if make is None else fail()  # an accepted tunnel would fill the limit
        for _ in range(limit):  # the tunnels of the control may still be counted for a while
            relay.soon(open_one)
            if session.ended:
                return


@limits("tunnel_limit")
@requirement("CB-LIM-003")
def test_tunnels_refused_before_auth_do_not_count(relay: RelayUnderTest) -> None:
    """Request as many tunnels before auth as the limit allows, then use up the whole limit after auth."""
    tenant, limit = refusals.limited_tenant(relay, "tunnel_limit")
    refusals.tunnels_work(relay, tenant, limit)
    relay.room.use(tenant)
    session = relay.greeted()
    with relay.control("tunnels that are refused before auth, and an auth after them"):
        for _ in range(limit):
            judge.refused(session.ask(relay.tunnel_info(tenant.id)))
            if session.ended:
                raise NotExercised("the relay closes the connection after an error")
        judge.accepted(relay.authenticate(session, tenant))
    for _ in range(limit):
        relay.soon(lambda: judge.accepted(session.ask(relay.tunnel_info(tenant.id)), FULL))


@all_limits("tunnel_limit")
@requirement("CB-LIM-003")
def test_tunnels_refused_for_the_rate_do_not_count(relay: RelayUnderTest) -> None:
    """Request tunnels above a tenant's rate, then as many below it as the tenant's limit still allows."""
    both = [tenant for tenant in relay.profile.tenants_with("tunnel_limit") if tenant.rate is not None]
    if not both or both[0].rate is None or both[0].tunnel_limit is None:
        raise NotExercised("give tenants.tunnel_limit and tenants.rate (of one tenant)")
    tenant, rate = both[0], both[0].rate
    limit = refusals.fillable(both[0].tunnel_limit, "tenants.tunnel_limit")
    refusals.tunnels_work(relay, tenant, limit)
    session = relay.authenticated(tenant)
    session.expect_rate_limit(unpaced=True)
    beats = int(2 * rate.burst + rate.per_second / 10)
    requests = [*[{"type": "heartbeat"}] * beats, *(relay.tunnel_info(tenant.id) for _ in range(limit))]
    data = [session.note(request)[1] for request in requests]
    session.send_unanswered(b"".join(data), messages=len(data))
    answers = session.answers(len(data))[-limit:]
    if session.ended or all(answer.member("code") != "rate_limit_exceeded" for answer in answers):
        raise NotExercised("no tunnel was refused for the rate, or the connection was closed")
    session.count_tunnels(sum(map(judge.is_success, answers)))
    relay.clock.sleep(1 + rate.burst / rate.per_second)  # until the rate allows as many requests again
    while session.tunnels < limit:
        relay.soon(lambda: judge.accepted(session.ask(relay.tunnel_info(tenant.id)), FULL))


@limits("tunnel_limit")
@requirement("CB-LIM-004")
def test_tunnel_limit_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """Use up one tenant's limit; another tenant opens one tunnel more than that, as far as its own limit allows."""
    tenant, limit = refusals.limited_tenant(relay, "tunnel_limit")
    other = refusals.other_tenant(relay, tenant)
    mine, theirs = relay.authenticated(tenant), relay.authenticated(other)
    refusals.fill_tunnels(relay, mine, limit)
    wanted = min(limit + 1, other.tunnel_limit or limit + 1)

    def open_theirs() -> None:
        nonlocal theirs
        theirs = relay.authenticated(other) if theirs.ended else theirs
        while theirs.tunnels < wanted:
            relay.room.for_tunnel(other.id)
            judge.accepted(theirs.ask(relay.tunnel_info(other.id)), FULL)

    relay.soon(open_theirs)


@limits("tunnel_limit")
@requirement("CB-LIM-004")
def test_refused_tunnels_count_for_no_other_tenant(relay: RelayUnderTest) -> None:
    """Request a tunnel in the name of a tenant with a limit as another tenant, then use up the whole limit."""
    tenant, limit = refusals.limited_tenant(relay, "tunnel_limit")
    refusals.tunnels_work(relay, tenant, limit)
    theirs = relay.authenticated(refusals.other_tenant(relay, tenant))
    with relay.control("refusing a tunnel for another tenant"):
        judge.refused(theirs.ask(relay.tunnel_info(tenant.id)))
    if theirs.ended:
        raise NotExercised("the relay closes the connection after an error")
    relay.soon(lambda: refusals.served_tunnels(relay, tenant, limit))


@limits("tunnel_limit", "connection_limit")
@requirements("CB-LIM-004", "CB-LIM-013")
def test_others_do_not_count(relay: RelayUnderTest, identifier: str) -> None:
    """Another tenant takes as much as the limit, as far as its own allows; then use up the first tenant's limit."""
    key = _KEYS[identifier]
    tenant, limit = refusals.limited_tenant(relay, key)
    other = refusals.other_tenant(relay, tenant)
    with relay.control(f"the whole limit of {limit}"):
        _whole_limit_served(relay, key)
    if key == "tunnel_limit":
        refusals.fill_tunnels(relay, relay.authenticated(other), relay.room.tunnels(limit))
    else:
        refusals.fill_connections(relay, other, min(limit, other.connection_limit or limit))
    _whole_limit_served(relay, key)


@limits("tunnel_limit")
@requirement("CB-LIM-005")
@pytest.mark.parametrize("second", ["plain", "websocket", "address", "closed"])
def test_tunnel_limit_counts_over_connections(relay: RelayUnderTest, second: str) -> None:
    """Use up the limit on one connection; another one of the same tenant gets no tunnel, and frees none if it closes.

    The second connection has another subject; it uses the suite's transport or WebSocket, or has another address.
    """
    if second == "websocket":
        _needs_both_transports(relay)
    tenant, limit = refusals.shared_tunnel_limit(relay)
    source = refusals.other_source(relay, tenant) if second == "address" else None
    first = relay.authenticated(tenant)
    transport = "websocket" if second == "websocket" else ""
    other = relay.authenticated(tenant, subject=relay.tokens.subject("second"), transport=transport, source=source)
    first = refusals.fill_tunnels(relay, first, limit)
    if second == "closed":
        other.close()
    refusals.tunnel_refused(relay, first if second == "closed" else other)


@limits("tunnel_limit")
@requirement("CB-LIM-005")
@pytest.mark.parametrize("event", ["none", "close"])
def test_tunnels_of_two_connections_add_up(relay: RelayUnderTest, event: str) -> None:
    """Use up the limit with two connections together, also after one of them was replaced; then request another."""
    tenant, limit = refusals.shared_tunnel_limit(relay, least=2)
    first, second = relay.authenticated(tenant), relay.authenticated(tenant)
    share = limit // 2 if event == "none" else limit - 1
    refusals.fill_tunnels(relay, first, limit - share)
    second = refusals.fill_tunnels(relay, second, share)
    if event == "close":
        second.close()
        with relay.control("as many tunnels after a close"):
            second = refusals.fill_tunnels(relay, relay.authenticated(tenant), share)
    # One request only: a relay may close a connection after an error, which releases its tunnels.
    refusals.tunnel_refused(relay, second)


_EVENTS = {
    "close": "after another connection was closed and replaced",
    "refusal": "after a tunnel_info on another connection was refused",
    "bad auth": "after a bad auth on another connection, which can still open tunnels",
    "second auth": "after a second auth on another connection, which can still open tunnels",
}


@limits("connection_limit")
@requirement("CB-LIM-012")
@pytest.mark.parametrize("event", ["none", *_EVENTS, "websocket", "address"])
def test_one_connection_more(relay: RelayUnderTest, event: str) -> None:
    """Use up the tenant's limit, then authenticate on another connection, and request a tunnel if auth is accepted.

    Before that, one of the connections is closed and replaced, or a tunnel_info on it is refused, or it authenticates
    again and can still open a tunnel. The other connection uses the same transport, or WebSocket next to plain streams,
    or has another address.
    """
    if event == "websocket":
        _needs_both_transports(relay)
    tenant, limit = refusals.limited_tenant(relay, "connection_limit")
    others: dict[str, list[dict[str, str]]] = {"websocket": [{"transport": "websocket"}]}
    if event == "address":
        others[event] = [{"source": refusals.other_source(relay, tenant)}]
    sessions = refusals.fill_connections(relay, tenant, limit)
    if event == "close":
        if limit < 2:
            raise NotExercised("tenants.connection_limit of 2 or more is needed to close one of two connections")
        with relay.control("another connection after a close"):
            sessions[0].close()
            relay.soon(lambda: relay.beat(refusals.fill_connections(relay, tenant, 1)[0]))
    elif event == "refusal":
        with relay.control("refusing a tunnel to port 0"):
            request = relay.tunnel_info(tenant.id, remote_port=0)
            judge.refused(sessions[0].ask(request, invalid="remote_port is 0"))
        if sessions[0].ended:
            raise NotExercised("the relay closes the connection after an error")
    elif event in ("bad auth", "second auth"):
        token = relay.tokens.spoiled(tenant) if event == "bad auth" else relay.tokens.valid(tenant)
        sessions[0].assume(authenticated=False, tenant="")  # the connection's tenant is unknown from here on
        sessions[0].ask({"type": "auth", "token": token})
        if sessions[0].ended or not judge.served(sessions[0].ask(relay.tunnel_info(tenant.id))):
            raise NotExercised(f"a connection of the relay does not stay authenticated after a {event}")
    for how in others.get(event, [{}, {"subject": relay.tokens.subject("second")}, {}]):
        exchange = _attempt(relay, tenant, **how)
        try:
            judge.refused_with(exchange, FULL)
        except Broken as broken:
            broken.seen += f" ({_EVENTS[event]})" if event in _EVENTS else ""
            raise


@limits("connection_limit")
@requirement("CB-LIM-013")
def test_connection_limit_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """Use up one tenant's limit; a connection of another tenant authenticates and opens a tunnel."""
    tenant, limit = refusals.limited_tenant(relay, "connection_limit")
    other = refusals.other_tenant(relay, tenant)
    refusals.fill_connections(relay, tenant, limit)
    judge.accepted(request_tunnel(relay, relay.greeted(), other), FULL)


@limits("tunnel_limit", "connection_limit")
@requirements("CB-LIM-006", "CB-LIM-014")
@pytest.mark.parametrize("end", ["closed", pytest.param("reset", marks=last)])
def test_limit_is_released(relay: RelayUnderTest, identifier: str, end: str) -> None:
    """Use up the limit, close or reset the connections, then use it up again within a few seconds."""
    key = _KEYS[identifier]
    tenant, limit = refusals.limited_tenant(relay, key)

    def open_tunnels() -> int:
        session = relay.greeted()
        judge.accepted(relay.authenticate(session, tenant), FULL)
        return refusals.count_tunnels(relay, session, limit + 1, end)

    def join() -> ProbeSession:
        with refusals.closed_on_failure(relay.greeted()) as session:
            if not judge.served(request_tunnel(relay, session, tenant)):
                raise Broken("a tunnel", "a refusal")
        return session

    relay.needs.served("tunnel_info")
    relay.room.use(tenant)
    use = open_tunnels if key == "tunnel_limit" else lambda: refusals.count_joined(limit + 1, join, end)
    refusals.released(relay, use, key.removesuffix("_limit") + "s", end)


# ------------------------------------------------------------------ requests that arrive at the same time

# A relay that checks its count before it increases it may allow too many. The cases of single requests judge whether
# all below the limit are served.


@limits("tunnel_limit")
@requirement("CB-LIM-002")
def test_tunnels_at_once(relay: RelayUnderTest) -> None:
    """Request two tunnels more than the limit in one TLS record; at most the limit may be opened."""
    tenant, limit = _without_rate(refusals.limited_tenant(relay, "tunnel_limit"))
    refusals.tunnels_work(relay, tenant, limit)
    for _ in range(_ROUNDS):
        _one_connection(relay, tenant, limit)


@limits("tunnel_limit")
@requirement("CB-LIM-005")
def test_tunnels_at_once_on_two_connections(relay: RelayUnderTest) -> None:
    """Request more tunnels than the limit on two connections at once; together they may open at most the limit."""
    tenant, limit = _without_rate(refusals.shared_tunnel_limit(relay))
    for _ in range(_ROUNDS):
        with relay.control(f"a limit of {limit} tunnels, requested at once on one connection"):
            _one_connection(relay, tenant, limit)
        sessions = [relay.authenticated(tenant) for _ in range(2)]
        exchanges = _tunnels_at_once(relay, sessions, (limit + _EXCESS + 1) // 2)
        _at_most_held(limit, sessions, exchanges)
        relay.room.close_sessions()


@limits("tunnel_limit")
@requirement("CB-LIM-005")
def test_tunnels_whose_answers_wait(relay: RelayUnderTest) -> None:
    """Request as many tunnels as the limit, read nothing, and request as many on another connection.

    The tunnel_ids are long and the receive window is small: the relay can't send all of the answers before the other
    connection's requests arrive. Together the connections may open at most the limit.
    """
    tenant, limit = _without_rate(refusals.shared_tunnel_limit(relay))
    first, other = reading_little(relay, tenant), relay.authenticated(tenant)
    requests = [relay.tunnel_info(tenant.id) for _ in range(limit)]
    noted = [first.note({**each, "tunnel_id": each["tunnel_id"].ljust(UNREAD // limit, "x")}) for each in requests]
    first.send_unanswered(b"".join(data for _, data in noted), messages=limit)
    first.wire.has_unread(relay.tempo.most)
    exchanges = _tunnels_at_once(relay, [other], limit)
    exchanges.append(first.gathered(noted[0][0], first.answers(limit)))
    first.count_tunnels(_opened(exchanges[1:]))
    if any(len(exchange.answers) < limit and not exchange.ended for exchange in exchanges):
        raise NotExercised("not all requests were answered in time while one connection read nothing")
    if not first.tunnels:
        raise NotExercised("the relay opened no tunnel with a long tunnel_id")
    _at_most_held(limit, [other, first], exchanges)


@limits("connection_limit")
@requirement("CB-LIM-012")
def test_connections_at_once(relay: RelayUnderTest) -> None:
    """Authenticate two connections more than the limit at once, then request a tunnel on those that were accepted.

    At most the limit may open one: the specification doesn't say at which step the limit applies.
    """
    tenant, limit = _without_rate(refusals.limited_tenant(relay, "connection_limit"))
    if tenant.tunnel_limit is not None and tenant.tunnel_limit <= limit:
        raise NotExercised(f"tenants.tunnel_limit of {tenant.id} is not above its tenants.connection_limit")
    for _ in range(_ROUNDS):
        with relay.control(f"{limit} connections"):
            _whole_limit_served(relay, "connection_limit")
        sessions = [relay.greeted() for _ in range(limit + _EXCESS)]
        for session in sessions:
            session.assume(tenant=tenant.id)
        auths = _at_once(relay, sessions, lambda _: [{"type": "auth", "token": relay.tokens.valid(tenant)}])
        for session, exchange in zip(sessions, auths, strict=True):
            session.assume(authenticated=judge.served(exchange))
        _at_most(0, "tunnels before any is requested", auths)
        _at_most(limit, "connections", _tunnels_at_once(relay, [each for each in sessions if each.authenticated], 1))
        relay.room.close_sessions()


def _one_connection(relay: RelayUnderTest, tenant: Tenant, limit: int) -> None:
    session = relay.authenticated(tenant)
    _at_most(limit, "tunnels", _tunnels_at_once(relay, [session], limit + _EXCESS))
    session.close()


def _tunnels_at_once(relay: RelayUnderTest, sessions: list[ProbeSession], count: int) -> list[Exchange]:
    """Request `count` tunnels on each session before any answer is read."""
    return _at_once(relay, sessions, lambda session: [relay.tunnel_info(session.tenant) for _ in range(count)])


def _at_once(
    relay: RelayUnderTest, sessions: list[ProbeSession], requests: Callable[[ProbeSession], list[dict[str, Any]]]
) -> list[Exchange]:
    """Send each session's requests in one piece, and read answers only after the last piece."""
    noted = [(session, [session.note(request) for request in requests(session)]) for session in sessions]
    for session, messages in noted:
        session.send_unanswered(b"".join(data for _, data in messages), messages=len(messages))
    exchanges = []
    for session, messages in noted:
        exchange = session.gathered(messages[0][0], session.answers(len(messages)))
        if len(messages) == 1:
            exchange = relay.log.observe(exchange)
        session.count_tunnels(_opened([exchange]))
        exchanges.append(exchange)
    return exchanges


def _opened(exchanges: Sequence[Exchange]) -> int:
    """Return the number of opened tunnels, by their ids: a repeated answer opens nothing."""
    answers = [answer for exchange in exchanges for answer in exchange.answers if answer.type == "tunnel_response"]
    return len({str(answer.member("tunnel_id")) for answer in answers if judge.is_success(answer)})


def _at_most(limit: int, what: str, exchanges: Sequence[Exchange]) -> None:
    """Check that no more tunnels were opened than the limit allows.

    Raises Inconclusive if another limit refused a request: it may have hidden the breach.
    """
    opened = _opened(exchanges)
    if opened > limit:
        raise Broken(f"at most {limit} {what}, however many are requested at once", f"{opened} tunnels", *exchanges)
    for answer in (answer for exchange in exchanges for answer in exchange.answers if answer.type == "error"):
        if (code := answer.member("code")) in judge.OUT_OF_ROOM and code != FULL:
            raise judge.no_room(code, see=" elsewhere")


def _at_most_held(limit: int, sessions: Sequence[ProbeSession], exchanges: Sequence[Exchange]) -> None:
    """Check that each session, and all open sessions together, opened at most as many tunnels as the limit allows."""
    for exchange in exchanges:
        _at_most(limit, "tunnels", [exchange])
    # A session that the relay closed after a refusal has released its tunnels, and another may have taken them.
    both = zip(sessions, exchanges, strict=True)
    held = [exchange for session, exchange in both if not session.ended and judge.served(session.heartbeat())]
    _at_most(limit, "tunnels", held)


def _without_rate(limited: tuple[Tenant, int]) -> tuple[Tenant, int]:
    """Return a tenant and its limit. Raises NotExercised if it has a rate as well."""
    if limited[0].rate is not None:
        raise NotExercised(f"{limited[0].id} has a rate, which may refuse requests that are sent at once")
    return limited


# ------------------------------------------------------------------ open points


@limits("connection_limit")
@requirement("CB-LIM-101")
def test_step_of_the_connection_limit(relay: RelayUnderTest) -> None:
    """Use up the tenant's limit, then send hello, auth and a tunnel_info on another connection."""
    tenant, limit = refusals.limited_tenant(relay, "connection_limit")
    _whole_limit_served(relay, "connection_limit")
    refusals.fill_connections(relay, tenant, limit)
    exchange = _attempt(relay, tenant)
    relay.log.saw(f"{exchange.request.type if exchange.request else ''}: {reaction(exchange, FULL)}")


@limits("connection_limit")
@requirement("CB-LIM-102")
def test_refused_auths_and_the_connection_limit(relay: RelayUnderTest) -> None:
    """Send auths with an invalid signature on as many connections as the limit, then a valid one on another.

    The refused connections are kept if the relay keeps them open.
    """
    tenant, limit = refusals.limited_tenant(relay, "connection_limit")
    _whole_limit_served(relay, "connection_limit")
    sessions = [relay.greeted() for _ in range(limit)]
    with relay.control("refused auths"):
        for session in sessions:
            judge.refused(session.ask({"type": "auth", "token": relay.tokens.spoiled(tenant)}))
    if all(session.ended for session in sessions):
        raise NotExercised("the relay closes a connection after a refused auth, so that it counts nowhere")
    seen = reaction(relay.authenticate(relay.greeted(), tenant), FULL)
    relay.log.saw("not counted" if seen == ACCEPTED else f"counted: {seen}")


@limits("tunnel_limit")
@requirement("CB-LIM-103")
def test_limit_or_validation_first(relay: RelayUnderTest) -> None:
    """Use up the tenant's limit, then send a tunnel_info with a negative port."""
    tenant, limit = refusals.limited_tenant(relay, "tunnel_limit")
    session = refusals.fill_tunnels(relay, relay.authenticated(tenant), limit)
    exchange = session.ask(relay.tunnel_info(tenant.id, local_port=-1), invalid="local_port is negative")
    relay.log.saw(reaction(exchange, FULL))


@limits("tunnel_limit")
@requirement("CB-LIM-104")
def test_identifier_twice_and_the_tunnel_limit(relay: RelayUnderTest) -> None:
    """Open a tunnel, send the same tunnel_info again, and count how many other tunnels the limit still allows."""
    tenant, limit = refusals.limited_tenant(relay, "tunnel_limit")
    _whole_limit_served(relay, "tunnel_limit")
    session = refusals.fill_tunnels(relay, relay.authenticated(tenant), 1)
    request = relay.tunnel_info(tenant.id)
    with relay.control("a valid tunnel_info"):
        judge.accepted(session.ask(request))
    second = reaction(session.ask(request), FULL)
    if second != ACCEPTED:
        relay.log.saw(f"the second is {second}")
        return
    left = [reaction(session.ask(relay.tunnel_info(tenant.id)), FULL) for _ in range(limit - 2)]
    relay.log.saw("counted once" if left == [ACCEPTED] * (limit - 2) else "counted twice")


def _whole_limit_served(relay: RelayUnderTest, key: LimitKey) -> None:
    """Check that a tenant can use its whole limit; the relay may release that of earlier cases late."""
    tenant, limit = refusals.limited_tenant(relay, key)
    serve = refusals.served_tunnels if key == "tunnel_limit" else refusals.served_connections
    relay.room.use(tenant)
    relay.soon(lambda: serve(relay, tenant, limit))


def _attempt(
    relay: RelayUnderTest,
    tenant: Tenant,
    *,
    subject: str | None = None,
    transport: str = "",
    source: str | None = None,
) -> Exchange:
    """Request a tunnel on a new connection, as far as its auth is accepted, and close it."""
    with contextlib.closing(relay.greeted(transport=transport, source=source)) as session:
        return request_tunnel(relay, session, tenant, relay.tokens.valid(tenant, subject))


def _needs_both_transports(relay: RelayUnderTest) -> None:
    for transport in ("tcp", "websocket"):
        needs_transport(relay, transport)
