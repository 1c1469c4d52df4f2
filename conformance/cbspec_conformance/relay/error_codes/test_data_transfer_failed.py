"""Source: Error Codes / data_transfer_failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cbspec.profile.profile import Endpoint
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.relay.error_codes.refusals import connection_after_error, dials, failing
from cbspec_conformance.runner.marks import provokes, requirement
from cbspec_conformance.target.relay import RelayUnderTest

pytestmark = provokes("transfer_failed")


@requirement("CB-TRF-001")
def test_failed_transfer(relay: RelayUnderTest) -> None:
    """Request a tunnel whose data can't be transferred."""
    relay.authenticated()
    with failing(relay) as (at, request):
        judge.refused_with(relay.authenticated(at=at).ask(request), "data_transfer_failed")


@requirement("CB-TRF-002")
def test_works_again(relay: RelayUnderTest) -> None:
    """After a failed transfer, request a tunnel to a reachable end, on the same connection if it is still open."""
    condition = relay.profile.conditions.get("transfer_failed")
    with failing(relay) as (at, request):
        session = _after_failure(relay, at, request)
        if dials(relay, at):
            exchange = session.ask(relay.tunnel_info(session.tenant))
            if not exchange.answers and exchange.ended is not None:  # closed after the error
                session = relay.authenticated(at=at)
                exchange = session.ask(relay.tunnel_info(session.tenant))
            judge.accepted(exchange)
            return
    if condition is None or condition.end is None:
        raise NotExercised("give remote.unreachable with remote.dialled, or conditions.transfer_failed.begin and end")
    relay.close()
    judge.accepted(relay.authenticated().ask(relay.tunnel_info()))


@requirement("CB-TRF-101")
def test_after_a_failed_transfer(relay: RelayUnderTest) -> None:
    """After a failed transfer, send a message of unknown type on the same connection."""
    relay.authenticated()
    with failing(relay) as (at, request):
        relay.log.saw(connection_after_error(_after_failure(relay, at, request)))


def _after_failure(relay: RelayUnderTest, at: Endpoint | None, request: Mapping[str, Any]) -> ProbeSession:
    """Return a session on which a transfer has failed. A control."""
    session = relay.authenticated(at=at)
    with relay.control("a failed transfer"):
        judge.refused_with(session.ask(request), "data_transfer_failed")
    return session
