"""Source: Error Codes / connection_limit_reached: the relay's own limit of connections."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from cbspec.profile.profile import Endpoint
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.session import HELLO, ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes.limits import come_back, ending
from cbspec_conformance.relay.error_codes.refusals import (
    attempt,
    attempt_or_say,
    code_if_any,
    code_is_sent,
    limited,
    not_served,
    served_tunnel,
    step_of_refusal,
)
from cbspec_conformance.runner.marks import alone, last, requirement
from cbspec_conformance.target.relay import RelayUnderTest


@alone
@requirement("CB-CON-001")
def test_all_connections_of_the_limit(relay: RelayUnderTest) -> None:
    """As many connections as the relay's limit say hello, authenticate and are served side by side."""
    with _limited(relay) as (at, limit):
        relay.soon(lambda: _fill(relay, at, limit))


@alone
@requirement("CB-CON-001")
def test_a_second_hello_is_no_second_connection(relay: RelayUnderTest) -> None:
    """One connection says hello twice; beside it there is room for the rest of the relay's limit, on others."""
    with _limited(relay) as (at, limit):
        relay.soon(lambda: _fill(relay, at, limit, greet_again=True))


@alone
@requirement("CB-CON-002")
def test_one_connection_more(relay: RelayUnderTest) -> None:
    """With the limit used up, another connection is made: it is refused by an error or a close, at any step."""
    with _full(relay) as full:
        for tenant in (relay.tenant, relay.profile.second_tenant, relay.tenant):
            if tenant is None:
                continue
            exchanges = attempt(relay, full.at, insist=True, tenant=tenant)
            try:
                not_served(exchanges, f"no tunnel on connection {full.limit + 1}")
            except Broken:
                full.still_open()
                raise
            full.not_by_the_pool(exchanges)


@alone
@requirement("CB-CON-003")
def test_code_if_any(relay: RelayUnderTest) -> None:
    """With the limit used up, another connection is made; if an error is sent, its code is read."""
    with _full(relay) as full:
        exchanges = attempt(relay, full.at)
        full.not_by_the_pool(exchanges)
        code_if_any(exchanges, "connection_limit_reached")


@alone
@requirement("CB-CON-004")
def test_code_is_sent(relay: RelayUnderTest) -> None:
    """With the limit used up, another connection is made; it is told connection_limit_reached."""
    with _full(relay) as full:
        exchanges = attempt_or_say(relay, full.at, "connection_limit_reached")
        if any(served_tunnel(exchange) for exchange in exchanges):
            raise Inconclusive(f"connection {full.limit + 1} was served (see CB-CON-002)")
        full.not_by_the_pool(exchanges)
        code_is_sent(exchanges, "connection_limit_reached")


@alone
@requirement("CB-CON-005")
def test_room_after_a_close(relay: RelayUnderTest) -> None:
    """The limit is used up, the connections closed, and as many asked for again within a few seconds."""
    with _limited(relay) as (at, limit):
        relay.needs.served("hello")
        come_back(relay, lambda: _served(relay, at, limit + 1), "connections")


@alone
@last
@requirement("CB-CON-005")
def test_room_after_a_reset(relay: RelayUnderTest) -> None:
    """The limit is used up, the connections reset, and as many asked for again within a few seconds."""
    with _limited(relay) as (at, limit):
        relay.needs.served("hello")
        come_back(relay, lambda: _served(relay, at, limit + 1, "reset"), "connections", "reset")


@alone
@requirement("CB-CON-101")
def test_step_of_the_limit(relay: RelayUnderTest) -> None:
    """With the limit used up, another connection says hello, authenticates, asks for a tunnel, until it is refused."""
    with _full(relay) as full:
        relay.log.saw(step_of_refusal(relay, full.at, "connection_limit_reached"))


@dataclass(frozen=True, slots=True)
class _Full:
    """The relay's limit used up: where, how many there may be, and the connections that use it up."""

    at: Endpoint | None
    limit: int
    sessions: list[ProbeSession]
    pool: int | None

    def still_open(self) -> None:
        """See by a fence that the limit is used up still. Raises Inconclusive where connections ended meanwhile."""
        for session in self.sessions:
            if session.ended or not session.heartbeat().answers or session.ended:
                raise Inconclusive(f"one of the {self.limit} connections that used up the limit has ended by itself")

    def not_by_the_pool(self, exchanges: Sequence[Exchange]) -> None:
        """Raise Inconclusive where a tunnel was refused for want of a buffer, and the pool may well be used up."""
        asked = [each for each in exchanges if each.request is not None and each.request.type == "tunnel_info"]
        if self.pool is not None and self.pool > self.limit:
            return
        if any(judge.error_code(exchange) == "buffer_pool_exhausted" for exchange in asked):
            raise Inconclusive("the pool of buffers is used up, too; give a relay.buffer_pool above the connections")


def _limited(relay: RelayUnderTest) -> AbstractContextManager[tuple[Endpoint | None, int]]:
    if relay.tenant.connection_limit is not None:
        raise NotExercised("give tenants (an active one without tenants.connection_limit)")
    return limited(relay, "connection_limit", relay.profile.relay.connection_limit)


@contextlib.contextmanager
def _full(relay: RelayUnderTest) -> Iterator[_Full]:
    """Yield where the limit is used up. A control: Inconclusive where it can't be used up."""
    with _limited(relay) as (at, limit):
        with relay.control(f"{limit} connections"):
            filled = relay.soon(lambda: _fill(relay, at, limit))
        yield _Full(at, limit, filled, _pool(relay, at))


def _fill(relay: RelayUnderTest, at: Endpoint | None, limit: int, *, greet_again: bool = False) -> list[ProbeSession]:
    """Have as many connections as the limit served side by side; where one isn't, close them all and raise Broken.

    With `greet_again` the first says hello a second time before the others are made.
    """
    sessions: list[ProbeSession] = []
    with contextlib.ExitStack() as stack:
        for number in range(limit):
            sessions.append(stack.enter_context(contextlib.closing(_join(relay, at, limit))))
            if greet_again and number == 0:
                _greet_again(sessions[0])
        stack.pop_all()
    return sessions


def _greet_again(session: ProbeSession) -> None:
    exchange = session.ask(HELLO, fence=False)  # what a heartbeat draws behind it is open
    if not judge.served(exchange) and judge.error_code(exchange) != "connection_limit_reached":
        raise NotExercised("the relay doesn't answer a second hello")
    judge.accepted(exchange, "connection_limit_reached")


def _served(relay: RelayUnderTest, at: Endpoint | None, most: int, end: str = "closed") -> int:
    """Return how many connections are served side by side, up to `most`, and end them."""
    with contextlib.ExitStack() as stack:
        for number in range(most):
            try:
                stack.enter_context(ending(_join(relay, at, most), end))
            except Broken:
                return number
    return most


def _join(relay: RelayUnderTest, at: Endpoint | None, limit: int) -> ProbeSession:
    """Return a connection that counts: the page doesn't say at which step, so it opens a tunnel where all may."""
    session = _connect(relay, at)
    try:
        judge.accepted(session.hello(), "connection_limit_reached")
        judge.accepted(relay.authenticate(session, relay.tenant), "connection_limit_reached")
        if all(room is None or room >= limit for room in (_pool(relay, at), relay.tenant.tunnel_limit)):
            _take_tunnel(relay, session)
    except BaseException:
        session.close()
        raise
    return session


def _take_tunnel(relay: RelayUnderTest, session: ProbeSession) -> None:
    exchange = session.ask(relay.tunnel_info(session.tenant))
    code = judge.error_code(exchange)
    if code == "connection_limit_reached":
        judge.accepted(exchange, "connection_limit_reached")
    if code and session.ended:
        raise Inconclusive(f"the relay answers {code} to a valid tunnel_info, and closes the connection")


def _pool(relay: RelayUnderTest, at: Endpoint | None) -> int | None:
    """Return the size of the relay's pool where it is declared; of a condition's own relay nobody knows."""
    return relay.profile.relay.buffer_pool if at is None else None


def _connect(relay: RelayUnderTest, at: Endpoint | None) -> ProbeSession:
    try:
        return relay.connect(at=at)
    except (Unreachable, HandshakeFailure, Inconclusive) as error:
        raise Broken("a connection that is served", str(error)) from None
