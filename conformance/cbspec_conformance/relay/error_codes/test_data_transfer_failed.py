"""Source: Error Codes / data_transfer_failed."""

from __future__ import annotations

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.judging.observing import CLOSED, OPEN
from cbspec_conformance.relay.error_codes.refusals import dials, failing
from cbspec_conformance.runner.marks import alone, requirement
from cbspec_conformance.target.relay import RelayUnderTest


@alone
@requirement("CB-TRF-001")
def test_failed_transfer(relay: RelayUnderTest) -> None:
    """A tunnel is asked for whose data can't be transferred."""
    relay.authenticated()
    with failing(relay) as (at, request):
        session = relay.authenticated(at=at)
        judge.refused_with(session.ask(request), "data_transfer_failed")


@alone
@requirement("CB-TRF-002")
def test_works_again(relay: RelayUnderTest) -> None:
    """After a failed transfer a tunnel to a reachable end is asked for, on the same connection where it is open."""
    condition = relay.profile.conditions.get("transfer_failed")
    with failing(relay) as (at, request):
        session = relay.authenticated(at=at)
        with relay.control("a failed transfer"):
            judge.refused_with(session.ask(request), "data_transfer_failed")
        if dials(relay, at):
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
@requirement("CB-TRF-101")
def test_behind_a_failed_transfer(relay: RelayUnderTest) -> None:
    """A tunnel is asked for whose data can't be transferred; a message of unknown type follows."""
    relay.authenticated()
    with failing(relay) as (at, request):
        session = relay.authenticated(at=at)
        with relay.control("a failed transfer"):
            judge.refused_with(session.ask(request), "data_transfer_failed")
        exchange = session.ask({"type": "cbspec_behind_an_error"}, invalid="of unknown type", fence=False)
        if not exchange.answers and exchange.ended is None:
            raise Inconclusive("neither an answer nor an end behind the error")
        relay.log.saw(OPEN if exchange.answers else CLOSED)
