"""Source: Error Codes / connection_limit_reached: the relay's own limit of connections."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from cbspec.profile import Endpoint
from conformance import judge
from conformance.errors import Broken, Inconclusive, NotExercised
from conformance.marks import alone, last, requirement
from conformance.observing import reaction
from conformance.relay.error_codes.limits import come_back, ending
from conformance.relay.error_codes.refusals import attempt, code_if_any, code_is_sent, limited, not_served
from conformance.session import Session
from conformance.target import Target
from conformance.wire import HandshakeFailure, Unreachable


@alone
@requirement("CB-CON-001")
def test_all_connections_of_the_limit(relay: Target) -> None:
    """As many connections as the relay's limit say hello, authenticate and are served side by side."""
    with _limited(relay) as (at, limit):
        relay.soon(lambda: _fill(relay, at, limit))


@alone
@requirement("CB-CON-001")
def test_a_second_hello_is_no_second_connection(relay: Target) -> None:
    """One connection says hello twice; beside it there is room for the rest of the relay's limit, on others."""
    with _limited(relay) as (at, limit):
        relay.soon(lambda: _fill(relay, at, limit, greet_again=True))


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
        come_back(relay, lambda: _served(relay, at, limit + 1), "connections")


@alone
@last
@requirement("CB-CON-005")
def test_room_after_a_reset(relay: Target) -> None:
    """The limit is used up, the connections reset, and as many asked for again within a few seconds."""
    with _limited(relay) as (at, limit):
        relay.needs("hello")
        come_back(relay, lambda: _served(relay, at, limit + 1, "reset"), "connections", "reset")


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
            relay.soon(lambda: _fill(relay, at, limit))
        yield at, limit


def _fill(relay: Target, at: Endpoint | None, limit: int, *, greet_again: bool = False) -> None:
    """Have as many connections as the limit served side by side; where one isn't, close them all and raise Broken.

    With `greet_again` the first says hello a second time before the others are made.
    """
    with contextlib.ExitStack() as stack:
        for number in range(limit):
            session = stack.enter_context(contextlib.closing(_join(relay, at)))
            if greet_again and number == 0:
                _greet_again(session)
        stack.pop_all()


def _greet_again(session: Session) -> None:
    exchange = session.hello()
    if not judge.served(exchange) and judge.error_code(exchange) != "connection_limit_reached":
        raise NotExercised("the relay doesn't answer a second hello")
    judge.accepted(exchange, "connection_limit_reached")


def _served(relay: Target, at: Endpoint | None, most: int, end: str = "closed") -> int:
    """Return how many connections are served side by side, up to `most`, and end them."""
    with contextlib.ExitStack() as stack:
        for number in range(most):
            try:
                stack.enter_context(ending(_join(relay, at), end))
            except Broken:
                return number
    return most


def _join(relay: Target, at: Endpoint | None) -> Session:
    """Return a connection that counts: the page doesn't say at which step, so it opens a tunnel where it can."""
    session = _connect(relay, at)
    try:
        judge.accepted(session.hello(), "connection_limit_reached")
        judge.accepted(relay.authenticate(session, relay.tenant), "connection_limit_reached")
        exchange = session.ask(relay.tunnel_info(session.tenant))
        if judge.error_code(exchange) == "connection_limit_reached":
            judge.accepted(exchange, "connection_limit_reached")
    except BaseException:
        session.close()
        raise
    return session


def _connect(relay: Target, at: Endpoint | None) -> Session:
    try:
        return relay.connect(at=at)
    except (Unreachable, HandshakeFailure, Inconclusive) as error:
        raise Broken("a connection that is served", str(error)) from None
