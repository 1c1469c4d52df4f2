"""Source: Message Types / 4. Heartbeat."""

from __future__ import annotations

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, NotExercised, RateLimited
from cbspec_conformance.relay.requests import UNKNOWN, all_answered, record_reaction
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_MANY, _MANY_FOR_SLOW_RELAYS = 64, 16
_VERY_MANY, _TOGETHER = 300, 10


@requirement("CB-HBT-001")
def test_heartbeat_is_answered(relay: RelayUnderTest) -> None:
    """Send 64 heartbeats (16 to a slow relay); expect one heartbeat_response to each, and no more."""
    session = relay.authenticated()
    many = _MANY_FOR_SLOW_RELAYS if relay.tempo.slow else _MANY
    for _ in range(many):
        exchange = session.heartbeat()
        judge.accepted(exchange, *judge.OUT_OF_ROOM)
    after = session.ask({"type": "cbspec_after_heartbeats"}, invalid="of unknown type", fence=False)
    surplus = [answer for answer in after.answers if answer.type == "heartbeat_response"]
    if surplus:
        seen = f"{many + len(surplus)} heartbeat_responses or more"
        wanted = f"{many} heartbeat_responses to {many} heartbeats"
        raise Broken(wanted, seen, exchange, after, requirement="CB-MSG-004")


@requirement("CB-HBT-001")
def test_three_hundred_heartbeats(relay: RelayUnderTest) -> None:
    """Send 300 heartbeats on one connection, ten in each TLS record; expect as many heartbeat_responses."""
    if relay.tempo.slow:
        raise NotExercised("the relay is slow: another case sends sixteen heartbeats one by one")
    if relay.tenant.rate is not None:
        raise NotExercised(f"{relay.tenant.id} has tenants.rate: three hundred heartbeats would take long")
    session = relay.authenticated()
    ten = [{"type": "heartbeat"}] * _TOGETHER
    with relay.control("heartbeats that arrive together"):
        all_answered(session, ten)
    try:
        for _ in range(_TOGETHER, _VERY_MANY, _TOGETHER):
            all_answered(session, ten)
    except RateLimited:
        raise NotExercised(f"its rate has no room for {_VERY_MANY} heartbeats: give tenants.rate") from None


@requirement("CB-HBT-001")
def test_heartbeats_of_two_connections(relay: RelayUnderTest) -> None:
    """Send heartbeats on two connections of one tenant in turn; expect an answer to each."""
    first, second = relay.authenticated(), relay.authenticated()
    for session in (first, second, first, second):
        judge.accepted(session.heartbeat(), *judge.OUT_OF_ROOM)


@requirement("CB-HBT-001")
def test_heartbeat_between_others(relay: RelayUnderTest) -> None:
    """Send heartbeats before and after a tunnel_info, and after a refusal; expect an answer to each."""
    session = relay.authenticated()
    judge.accepted(session.heartbeat())
    relay.open_tunnel(session)
    judge.accepted(session.heartbeat())
    session.ask(UNKNOWN, invalid="of unknown type", fence=False)
    after = session.heartbeat()
    closed = after.ended and not after.answers
    if not closed and judge.error_code(after) != "invalid_token":  # an error may end the connection or the identity
        judge.accepted(after)


@requirement("CB-HBT-101")
def test_before_auth(relay: RelayUnderTest) -> None:
    """Send a heartbeat, which is answered after auth, on a connection after hello only."""
    relay.beat(relay.authenticated())
    record_reaction(relay, relay.greeted(), {"type": "heartbeat"})
