"""Source: Error Codes / connection_limit_reached: the relay's own limit of connections."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from cbspec.profile import Endpoint
from conformance import judge
from conformance.errors import Broken, Inconclusive, NotExercised
from conformance.marks import alone, requirement
from conformance.observing import reaction
from conformance.relay.error_codes.limits import come_back
from conformance.relay.error_codes.refusals import attempt, code_if_any, code_is_sent, limited, not_served
from conformance.session import Session
from conformance.target import Target
from conformance.wire import HandshakeFailure, Unreachable


@alone
@requirement("CB-CON-001")
def test_all_connections_of_the_limit(relay: Target) -> None:
    """As many connections as the relay's limit say hello, and each is then served."""
    with _limited(relay) as (at, limit):
        relay.soon(lambda: _room(relay, at, limit))
        for session in [_greet(relay, at) for _ in range(limit)]:
            judge.accepted(relay.authenticate(session, relay.tenant), "connection_limit_reached")


@alone
@requirement("CB-CON-002")
def test_one_connection_more(relay: Target) -> None:
    """With the limit used up, another connection is made: it is refused by an error or a close, at any step."""
    with _full(relay) as (at, limit):
        for tenant in (relay.tenant, relay.profile.second_tenant, relay.tenant):
            if tenant is not None:
                not_served(attempt(relay, at, insist=True, tenant=tenant), f"no tunnel on connection {limit + 1}")


@alone
@requirement("CB-CON-003")
def test_code_if_any(relay: Target) -> None:
    """With the limit used up, another connection is made; if an error is sent, its code is read."""
    with _full(relay) as (at, _):
        code_if_any(attempt(relay, at), "connection_limit_reached")


@alone
@requirement("CB-CON-004")
def test_code_is_sent(relay: Target) -> None:
    """With the limit used up, another connection is made; it is told connection_limit_reached."""
    with _full(relay) as (at, _):
        code_is_sent(attempt(relay, at), "connection_limit_reached")


@alone
@requirement("CB-CON-005")
def test_room_after_a_close(relay: Target) -> None:
    """The limit is used up, the connections closed, and as many asked for again within a few seconds."""
    with _limited(relay) as (at, limit):
        relay.needs("hello")
        come_back(relay, lambda: _served(relay, at, limit), "connections")


@alone
@requirement("CB-CON-101")
def test_step_of_the_limit(relay: Target) -> None:
    """With the limit used up, another connection says hello, authenticates, asks for a tunnel, until it is refused."""
    with _full(relay) as (at, _):
        exchanges = attempt(relay, at)
        seen = [(e.request.type if e.request else "", reaction(e, "connection_limit_reached")) for e in exchanges]
        relay.saw(": ".join(seen[-1]) if seen else "no connection, or none with TLS")


def _limited(relay: Target) -> AbstractContextManager[tuple[Endpoint | None, int]]:
    if relay.tenant.connection_limit is not None:
        raise NotExercised("give tenants (an active one without tenants.connection_limit)")
    return limited(relay, "connection_limit", relay.profile.relay.connection_limit)


@contextlib.contextmanager
def _full(relay: Target) -> Iterator[tuple[Endpoint | None, int]]:
    """Yield where the limit is used up, and the limit. A control: Inconclusive where it can't be used up."""
    with _limited(relay) as (at, limit):
        with relay.control(f"{limit} connections"):
            _fill(relay, at, limit)
        yield at, limit


def _fill(relay: Target, at: Endpoint | None, limit: int) -> None:
    """Have as many connections as the limit served side by side, once what the case before left behind is gone.

    Each says hello, authenticates and opens a tunnel where it can: the page doesn't say at which step it counts.
    """
    relay.soon(lambda: _room(relay, at, limit))
    sessions = [_greet(relay, at) for _ in range(limit)]
    for session in sessions:
        judge.accepted(relay.authenticate(session, relay.tenant), "connection_limit_reached")
        session.ask(relay.tunnel_info(session.tenant))


def _served(relay: Target, at: Endpoint | None, most: int) -> int:
    """Return how many connections say hello side by side, up to `most`, and close them."""
    with contextlib.ExitStack() as stack:
        for number in range(most):
            try:
                stack.enter_context(contextlib.closing(_greet(relay, at)))
            except Broken:
                return number
    return most


def _room(relay: Target, at: Endpoint | None, limit: int) -> None:
    """See that the whole limit is free: a connection closed a moment ago may still be counted."""
    sessions = []
    try:
        for _ in range(limit):
            sessions.append(_greet(relay, at))  # noqa: PERF401 - what is open must be closed where one fails
    finally:
        for session in sessions:
            session.close()


def _greet(relay: Target, at: Endpoint | None) -> Session:
    session = _connect(relay, at)
    judge.accepted(session.hello(), "connection_limit_reached")
    return session


def _connect(relay: Target, at: Endpoint | None) -> Session:
    try:
        return relay.connect(at=at)
    except (Unreachable, HandshakeFailure, Inconclusive) as error:
        raise Broken("a connection that is served", str(error)) from None
