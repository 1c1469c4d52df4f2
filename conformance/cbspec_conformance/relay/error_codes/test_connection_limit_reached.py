"""Source: Error Codes / connection_limit_reached: the connection limit of the whole relay."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import pytest

from cbspec.profile.profile import Endpoint
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.probe.session import HELLO, ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes import refusals
from cbspec_conformance.runner.marks import last, provokes, requirement, requirements
from cbspec_conformance.target.relay import RelayUnderTest

pytestmark = provokes("connection_limit")

_CODE = "connection_limit_reached"


@requirement("CB-CON-001")
@pytest.mark.parametrize("hellos", [1, 2])
def test_all_connections_of_the_limit(relay: RelayUnderTest, hellos: int) -> None:
    """Open as many connections as the relay's limit, one of them with a second hello: all must be served."""
    with _limited(relay) as (at, limit):
        relay.soon(lambda: _fill(relay, at, limit, second_hello=hellos == 2))


@requirement("CB-CON-002")
def test_one_connection_more(relay: RelayUnderTest) -> None:
    """Use up the limit, then open another connection: an error or a close refuses it, at any step."""
    with _full(relay) as full:
        for tenant in (*refusals.active_tenants(relay), relay.tenant):
            exchanges = refusals.attempt(relay, full.at, insist=True, tenant=tenant)
            try:
                refusals.not_served(exchanges, f"no tunnel on connection {full.limit + 1}")
            except Broken:
                if any(session.ended or not session.heartbeat().answers or session.ended for session in full.sessions):
                    seen = f"one of the {full.limit} connections that used up the limit has ended by itself"
                    raise Inconclusive(seen) from None
                raise
            full.not_by_the_pool(exchanges)


@requirements("CB-CON-003", "CB-CON-004")
def test_code(relay: RelayUnderTest, identifier: str) -> None:
    """Use up the limit, then open another connection; expect connection_limit_reached, or no error (CB-CON-003)."""
    with _full(relay) as full:
        if identifier == "CB-CON-003":
            exchanges = refusals.attempt(relay, full.at)
        else:
            exchanges = refusals.attempt_for_code(relay, full.at, _CODE)
            if any(map(refusals.served_tunnel, exchanges)):
                raise Inconclusive(f"connection {full.limit + 1} was served (see CB-CON-002)")
        full.not_by_the_pool(exchanges)
        (refusals.code_if_any if identifier == "CB-CON-003" else refusals.code_is_sent)(exchanges, _CODE)


@requirement("CB-CON-005")
@pytest.mark.parametrize("end", ["closed", pytest.param("reset", marks=last)])
def test_limit_is_released(relay: RelayUnderTest, end: str) -> None:
    """Use up the limit, close or reset the connections, then open as many again within a few seconds."""
    with _limited(relay) as (at, limit):
        relay.needs.served("hello")
        most = limit + 1
        use = partial(refusals.count_joined, most, lambda: _join(relay, at, most), end)
        refusals.released(relay, use, "connections", end)


@requirement("CB-CON-101")
def test_step_of_the_limit(relay: RelayUnderTest) -> None:
    """Use up the limit, then send hello, auth and a tunnel_info on another connection until one is refused."""
    with _full(relay) as full:
        relay.log.saw(refusals.step_of_refusal(relay, full.at, _CODE))


@dataclass(frozen=True, slots=True)
class _Full:
    """The relay at its limit: its address, the limit, the open connections, and its buffer pool if known."""

    at: Endpoint | None
    limit: int
    sessions: list[ProbeSession]
    pool: int | None

    def not_by_the_pool(self, exchanges: Sequence[Exchange]) -> None:
        """Raise Inconclusive if a tunnel was refused because the buffer pool may be used up, too."""
        if self.pool is not None and self.pool > self.limit:
            return
        for exchange in filter(refusals.is_for_tunnel, exchanges):
            if judge.error_code(exchange) == "buffer_pool_exhausted":
                raise Inconclusive("the buffer pool is used up, too; give a relay.buffer_pool above the connections")


def _limited(relay: RelayUnderTest) -> AbstractContextManager[tuple[Endpoint | None, int]]:
    if relay.tenant.connection_limit is not None:
        raise NotExercised("give tenants (an active one without tenants.connection_limit)")
    return refusals.limited(relay, "connection_limit", relay.profile.relay.connection_limit)


@contextlib.contextmanager
def _full(relay: RelayUnderTest) -> Iterator[_Full]:
    """Yield the relay at its limit. A control."""
    with _limited(relay) as (at, limit):
        with relay.control(f"{limit} connections"):
            filled = relay.soon(lambda: _fill(relay, at, limit))
        yield _Full(at, limit, filled, _pool(relay, at))


def _fill(relay: RelayUnderTest, at: Endpoint | None, limit: int, *, second_hello: bool = False) -> list[ProbeSession]:
    """Return as many open connections as the limit; if one isn't served, close all and raise Broken.

    With `second_hello`, the first connection sends another hello before the other connections are opened.
    """

    def join() -> ProbeSession:
        nonlocal second_hello
        session = _join(relay, at, limit)
        if second_hello:
            second_hello = False
            with refusals.closed_on_failure(session):
                exchange = session.ask(HELLO, fence=False)  # the answer to a heartbeat after it is an open point
                if not judge.served(exchange) and judge.error_code(exchange) != _CODE:
                    raise NotExercised("the relay doesn't answer a second hello")
                judge.accepted(exchange, _CODE)
        return session

    return refusals.hold(limit, join)


def _join(relay: RelayUnderTest, at: Endpoint | None, limit: int) -> ProbeSession:
    """Return a connection that counts against the limit.

    It opens a tunnel if all connections can: the specification doesn't say at which step a connection counts.
    """
    try:
        session = relay.connect(at=at)
    except (Unreachable, HandshakeFailure, Inconclusive) as error:
        raise Broken("a connection that is served", str(error)) from None
    with refusals.closed_on_failure(session):
        judge.accepted(session.hello(), _CODE)
        judge.accepted(relay.authenticate(session, relay.tenant), _CODE)
        if all(room is None or room >= limit for room in (_pool(relay, at), relay.tenant.tunnel_limit)):
            exchange = session.ask(relay.tunnel_info(session.tenant))
            code = judge.error_code(exchange)
            if code == _CODE:
                judge.accepted(exchange, _CODE)
            if code and session.ended:
                raise Inconclusive(f"the relay answers {code} to a valid tunnel_info, and closes the connection")
    return session


def _pool(relay: RelayUnderTest, at: Endpoint | None) -> int | None:
    """Return the size of the buffer pool; that of a relay at a condition's address is unknown."""
    return relay.profile.relay.buffer_pool if at is None else None
