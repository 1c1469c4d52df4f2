"""Arrangements for the cases about refusals: fill a limit or provoke a condition, attempt to be served, and judge."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from cbspec.profile.profile import Endpoint, Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.observing import CLOSED, OPEN, reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.waits import at_once
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.relay.requests import UNKNOWN
from cbspec_conformance.target.capacity import FULL, LARGEST, LimitKey, occupies
from cbspec_conformance.target.connector import WebSocketRefused
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.room import assigned

_NOT_NOW = (429, 503)  # HTTP statuses of a server that could serve the request at another time
_NO_CONNECTION = "no connection, or none with TLS"


def fillable(limit: int, key: str) -> int:
    """Return the limit that the profile declares by `key`. Raises NotExercised if it is too large to fill."""
    if limit > LARGEST:
        raise NotExercised(f"{key} is {limit}: more than the {LARGEST} that the suite fills; give a smaller one")
    return limit


def limited_tenant(relay: RelayUnderTest, key: LimitKey) -> tuple[Tenant, int]:
    """Return a tenant with a limit, and the limit."""
    relay.needs.served("tunnel_info")  # each attempt could cost a time-out
    for tenant in assigned(relay.profile, key, relay.case):
        return tenant, fillable(getattr(tenant, key), f"tenants.{key}")
    raise NotExercised(f"give tenants.{key} (for a tenant of its own)")


def shared_tunnel_limit(relay: RelayUnderTest, least: int = 1) -> tuple[Tenant, int]:
    """Return a tenant that may have two connections, and its tunnel limit of at least `least`.

    A control: the limit holds on one connection.
    """
    tenant, limit = limited_tenant(relay, "tunnel_limit")
    if tenant.connection_limit is not None and tenant.connection_limit < 2:
        raise NotExercised("a tenant with tenants.tunnel_limit and room for 2 connections is needed")
    if limit < least:
        raise NotExercised(f"tenants.tunnel_limit of {least} or more is needed to share it between two connections")
    limit_holds(relay, tenant, limit)
    return tenant, limit


def active_tenants(relay: RelayUnderTest) -> list[Tenant]:
    """Return the main tenant, and the second one if the profile has it."""
    return [tenant for tenant in (relay.tenant, relay.profile.second_tenant) if tenant is not None]


def other_tenant(relay: RelayUnderTest, tenant: Tenant) -> Tenant:
    """Return an active tenant other than `tenant`."""
    for other in active_tenants(relay):
        if other.id != tenant.id:
            return other
    raise NotExercised("give tenants (a second active one)")


def other_source(relay: RelayUnderTest, tenant: Tenant) -> str:
    """Return a second address from which the suite connects and the relay serves a tenant. Raises NotExercised."""
    host = relay.facts.address or relay.endpoint.host
    sources: list[str] = [*relay.profile.target.source_addresses[1:]]
    for source in sources + ["127.0.0.2"] * host.startswith("127."):  # every Linux has it
        with contextlib.suppress(Inconclusive, NotExercised, Unreachable):
            relay.authenticated(tenant, source=source).close()
            return source
    raise NotExercised(f"give target.source_addresses: two, from which the relay serves {tenant.id}")


def fill_tunnels(relay: RelayUnderTest, session: ProbeSession, count: int) -> ProbeSession:
    """Open tunnels up to `count` on one connection and return it. A control.

    The relay may release the tunnels of earlier cases late and one by one. If it closes the connection after a refusal,
    a new connection takes its place.
    """
    tenant = relay.profile.tenant(session.tenant)

    def fill() -> None:
        nonlocal session
        if session.ended:
            session = relay.authenticated(tenant)
        if relay.facts.pipelines and count - session.tunnels > 1:
            wanted = [relay.tunnel_info(session.tenant) for _ in range(count - session.tunnels)]
            session.count_tunnels(sum(map(judge.is_success, session.ask_together(wanted).answers)))
        while session.tunnels < count:
            relay.open_tunnel(session)

    with relay.control(f"{count} tunnels"):
        relay.soon(fill)
    return session


def served_tunnels(relay: RelayUnderTest, tenant: Tenant, count: int, at: Endpoint | None = None) -> None:
    """Check that a new connection of a tenant opens `count` tunnels, and close it."""
    with contextlib.closing(relay.authenticated(tenant, at=at)) as session:
        for number in range(count):
            judge.accepted(session.ask(relay.tunnel_info(tenant.id), fence=number == count - 1), FULL)


def tunnels_work(relay: RelayUnderTest, tenant: Tenant, limit: int, *, at: Endpoint | None = None) -> None:
    """Check that a tenant can open all tunnels of its limit. A control."""
    if at is None:
        fill_tunnels(relay, relay.authenticated(tenant), limit).close()
        return
    with relay.control(f"{limit} tunnels"):
        relay.soon(lambda: served_tunnels(relay, tenant, limit, at))


def limit_holds(relay: RelayUnderTest, tenant: Tenant, limit: int) -> None:
    """Check that a tenant's tunnel limit holds on one connection, and close it. A control for two connections."""
    session = relay.authenticated(tenant)
    with relay.control(f"a limit of {limit} tunnels on one connection"):
        session = fill_tunnels(relay, session, limit)
        tunnel_refused(relay, session)
    session.close()


def tunnel_refused(relay: RelayUnderTest, session: ProbeSession) -> None:
    """Check that the tenant's limit refuses another tunnel, even with another local_port."""
    tenant = relay.profile.tenant(session.tenant)
    number = 1 + sum(each.tunnels for each in relay.room.open_sessions if each.tenant == session.tenant)
    place = f"tunnel {number} of {tenant.tunnel_limit if tenant else 'no limit'}"
    judge.refused_with(session.ask(relay.tunnel_info(session.tenant, local_port=3390), place=place), FULL)


def count_tunnels(relay: RelayUnderTest, session: ProbeSession, most: int, end: str = "closed") -> int:
    """Open tunnels until one is refused, at most `most`; end the session and return the number of tunnels."""
    with ending(session, end):
        for count in range(most):
            if session.ended or not judge.served(session.ask(relay.tunnel_info(session.tenant))):
                return count
    return most


def served_connections(relay: RelayUnderTest, tenant: Tenant, count: int) -> None:
    """Check that `count` connections of a tenant are served at the same time, and close them."""
    sessions = hold(count, lambda: _occupy(relay, tenant))
    try:
        if not relay.facts.heartbeat:  # otherwise, the tunnel that each has opened must do
            at_once([partial(_beats, each) for each in sessions])
    finally:
        close_all(sessions)


def fill_connections(relay: RelayUnderTest, tenant: Tenant, count: int) -> list[ProbeSession]:
    """Return `count` connections of a tenant that are open at the same time. A control."""
    relay.room.use(tenant)
    with relay.control(f"{count} connections"):
        return relay.soon(lambda: hold(count, lambda: _occupy(relay, tenant, control=True)))


def _occupy(relay: RelayUnderTest, tenant: Tenant, *, control: bool = False) -> ProbeSession:
    """Open a connection that counts against the tenant's limit; a `control` takes the short cuts.

    It opens a tunnel if there is room for one: the specification doesn't say at which step a connection counts.
    """
    entered = relay.entered_at_once(tenant) if control else None
    with closed_on_failure(entered or relay.greeted()) as session:
        if entered is None:
            judge.accepted(relay.authenticate(session, tenant), FULL)
        if occupies(relay, tenant):
            judge.accepted(session.ask(relay.tunnel_info(tenant.id), fence=not control), FULL)
    return session


def hold(count: int, join: Callable[[], ProbeSession]) -> list[ProbeSession]:
    """Return `count` sessions that are open at the same time; if one can't be opened, all are closed."""
    opened: list[ProbeSession] = []

    def add() -> ProbeSession:
        opened.append(join())
        return opened[-1]

    try:
        return at_once([add] * count)
    except BaseException:
        close_all(opened)
        raise


def _beats(session: ProbeSession) -> None:
    judge.accepted(session.heartbeat(), FULL)


def close_all(sessions: Sequence[ProbeSession]) -> None:
    """Close sessions at the same time."""
    at_once([session.close for session in sessions])


def count_joined(most: int, join: Callable[[], ProbeSession], end: str) -> int:
    """Return the number of sessions that can be open at the same time, at most `most`, and end them."""
    opened: list[ProbeSession] = []

    def attempt() -> None:
        with contextlib.suppress(Broken):
            opened.append(join())

    try:
        at_once([attempt] * most)
    finally:
        at_once([partial(_end, session, end) for session in opened])
    return len(opened)


def released(relay: RelayUnderTest, use: Callable[[], int], what: str, end: str) -> None:
    """Check that a limit is available again soon after its connections were "closed" or "reset" (`end`).

    `use` takes as much of the limit as it gets, ends its connections in this way, and returns the amount.
    """

    def at_least(wanted: int, since: str) -> int:
        got = use()
        if got < wanted:
            raise Broken(f"room for {wanted} {what} {since}", f"room for {got}, {relay.tempo.soon:.0f} s later")
        return got

    found = relay.soon(lambda: at_least(1, "while the suite holds none"))
    relay.soon(lambda: at_least(found, f"after their connection was {end}"), late=False)


@contextlib.contextmanager
def ending(session: ProbeSession, end: str) -> Iterator[ProbeSession]:
    """Yield a session and end it: "closed" in order, or "reset" without a close_notify."""
    try:
        yield session
    finally:
        _end(session, end)


def _end(session: ProbeSession, how: str) -> None:
    if how == "reset":
        session.wire.reset()
    session.close()


@contextlib.contextmanager
def closed_on_failure(session: ProbeSession) -> Iterator[ProbeSession]:
    """Yield a session, and close it after an exception: the relay may count it otherwise during the next attempt."""
    try:
        yield session
    except BaseException:
        session.close()
        raise


# ------------------------------------------------------------------ conditions and attempts


@contextlib.contextmanager
def limited(relay: RelayUnderTest, condition: str, declared: int | None) -> Iterator[tuple[Endpoint | None, int]]:
    """Yield the address at which the relay's own limit can be filled (None: the target's), and the limit."""
    if condition not in relay.profile.conditions and declared is not None and relay.profile.target.exclusive:
        yield None, fillable(declared, f"relay.{condition}")
        return
    with relay.provoked(condition) as (found, at):
        if found.limit is None:
            raise NotExercised(f"give conditions.{condition}.limit")
        yield at, found.limit


def attempt(
    relay: RelayUnderTest, at: Endpoint | None, *, insist: bool = False, tenant: Tenant | None = None
) -> list[Exchange]:
    """Send hello, auth (of the main tenant, or `tenant`) and a tunnel_info on a new connection.

    Returns the exchanges, up to the first request that isn't served; without a connection there are none. With
    `insist`, the requests after a refusal are sent too, although they may be refused for another reason.
    """
    try:
        return _attempt(relay, at, tenant or relay.tenant, insist=insist)
    except (Unreachable, HandshakeFailure, Inconclusive):
        return []


def attempt_for_code(relay: RelayUnderTest, at: Endpoint | None, code: str) -> list[Exchange]:
    """Attempt as `attempt` does. Raises Broken if there is no connection on which `code` could be sent.

    Raises NotExercised if the WebSocket's opening handshake is refused with a status of the same meaning.
    """
    try:
        return _attempt(relay, at, relay.tenant)
    except WebSocketRefused as refused:
        if refused.status in _NOT_NOW:
            raise NotExercised(f"HTTP status {refused.status} refuses the WebSocket, before any code is sent") from None
        raise Broken(f"an error with code {code}", str(refused)) from None
    except (Unreachable, HandshakeFailure) as error:
        raise Broken(f"an error with code {code}", f"{_NO_CONNECTION}: {error}") from None


def step_of_refusal(relay: RelayUnderTest, at: Endpoint | None, code: str) -> str:
    """Return the step at which a client is refused, and the reaction; `code` is the expected one."""
    try:
        exchange = _attempt(relay, at, relay.tenant)[-1]
    except WebSocketRefused as refused:
        return f"opening handshake: status {refused.status}" if refused.status else "opening handshake: none"
    except (Unreachable, HandshakeFailure):
        return _NO_CONNECTION
    return f"{exchange.request.type if exchange.request else ''}: {reaction(exchange, code)}"


def _attempt(relay: RelayUnderTest, at: Endpoint | None, tenant: Tenant, *, insist: bool = False) -> list[Exchange]:
    session = relay.connect(at=at)
    exchanges = [session.hello()]
    if insist and not session.ended and not judge.served(exchanges[-1]):
        exchanges.append(session.hello())  # a relay may refuse only the first hello
    steps: tuple[Callable[[], Exchange], ...] = (
        lambda: relay.authenticate(session, tenant),
        lambda: session.ask(relay.tunnel_info(tenant.id)),
    )
    for step in steps:
        if session.ended or not (insist or judge.served(exchanges[-1])):
            break
        exchanges.append(step())
    return exchanges


def not_served(exchanges: list[Exchange], expected: str) -> None:
    """Check that no tunnel was opened."""
    for exchange in exchanges:
        if is_for_tunnel(exchange):
            judge.not_accepted(exchange, expected)


def served_tunnel(exchange: Exchange) -> bool:
    """Whether a tunnel was opened."""
    return is_for_tunnel(exchange) and judge.served(exchange)


def is_for_tunnel(exchange: Exchange) -> bool:
    """Whether the request was a tunnel_info."""
    return exchange.request is not None and exchange.request.type == "tunnel_info"


def code_if_any(exchanges: list[Exchange], expected: str) -> None:
    """Check that an error, if one was sent, has the code `expected`."""
    for exchange in exchanges:
        codes = [*judge.error_codes(exchange.answers)]  # another error may come unasked
        for answer in exchange.answers:
            judge.legible(answer)
        if codes and expected not in codes:
            raise Broken(f"{expected}, if any code", f"an error with code {quoted(codes[0])}", exchange)


def code_is_sent(exchanges: list[Exchange], expected: str) -> None:
    """Check that the refusal was an error with the code `expected`."""
    if not any(expected in judge.error_codes(exchange.answers) for exchange in exchanges):
        for exchange in exchanges:
            if exchange.answer is not None:
                judge.legible(exchange.answer)
        raise Broken(f"an error with code {expected}", "; ".join(map(seen, exchanges)), *exchanges)


def seen(exchange: Exchange) -> str:
    """Return a short description of an exchange's first answer, or of the silence."""
    return judge.describe(exchange.answers[0]) if exchange.answers else judge.silence(exchange)


def connection_after_error(session: ProbeSession, request: dict[str, Any] | None = None) -> str:
    """Return whether the relay keeps a connection open after an error: whether it answers one more request."""
    exchange = session.ask(request or UNKNOWN, invalid="" if request else "of unknown type", fence=False)
    if not exchange.answers and exchange.ended is None:
        raise Inconclusive("neither an answer nor a close after the error")
    return OPEN if exchange.answers else CLOSED


def dials(relay: RelayUnderTest, at: Endpoint | None) -> bool:
    """Whether transfers at this address fail only if the remote end can't be reached."""
    condition = relay.profile.conditions.get("transfer_failed")
    return relay.profile.remote.dialled if at is None else bool(condition and condition.dialled)


@contextlib.contextmanager
def failing(relay: RelayUnderTest) -> Iterator[tuple[Endpoint | None, dict[str, Any]]]:
    """Yield an address (None: the target's) and a tunnel_info whose transfer fails there."""
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


@contextlib.contextmanager
def dialling(relay: RelayUnderTest) -> Iterator[tuple[Endpoint | None, dict[str, Any]]]:
    """Yield as `failing` does. Raises NotExercised unless transfers fail only for an unreachable remote end."""
    with failing(relay) as (at, request):
        if not dials(relay, at):
            raise NotExercised("give remote.unreachable with remote.dialled, or conditions.transfer_failed.dialled")
        yield at, request
