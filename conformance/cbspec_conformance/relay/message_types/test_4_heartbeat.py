"""Source: Message Types / 4. Heartbeat."""

from __future__ import annotations

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, NotExercised, RateLimited
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_MANY = 64
_MANY_OF_A_SLOW_ONE = 16
_VERY_MANY = 300
_TOGETHER = 10


@requirement("CB-HBT-001")
def test_heartbeat_is_answered(relay: RelayUnderTest) -> None:
    """Heartbeats, sixty-four of them (sixteen on a slow relay), draw a heartbeat_response each; more is surplus."""
    session = relay.authenticated()
    many = _MANY_OF_A_SLOW_ONE if relay.tempo.slow else _MANY
    for _ in range(many):
        exchange = session.heartbeat()
        judge.accepted(exchange, *judge.OUT_OF_ROOM)
    behind = session.ask({"type": "cbspec_behind_heartbeats"}, invalid="of unknown type", fence=False)
    surplus = [answer for answer in behind.answers if answer.type == "heartbeat_response"]
    if surplus:
        seen = f"{many + len(surplus)} heartbeat_responses or more"
        raise Broken(f"{many} heartbeat_responses to {many} heartbeats", seen, exchange, behind)


@requirement("CB-HBT-001")
def test_three_hundred_heartbeats(relay: RelayUnderTest) -> None:
    """One connection beats three hundred times, ten times in each TLS record; it gets as many heartbeat_responses."""
    if relay.tempo.slow:
        raise NotExercised("the relay is slow: sixteen heartbeats are asked for one by one instead")
    if relay.tenant.rate is not None:
        raise NotExercised(f"{relay.tenant.id} has tenants.rate: three hundred heartbeats would take long")
    session = relay.authenticated()
    with relay.control("heartbeats that arrive together"):
        _beat_together(session)
    try:
        for _ in range(_TOGETHER, _VERY_MANY, _TOGETHER):
            _beat_together(session)
    except RateLimited:
        raise NotExercised(f"its rate has no room for {_VERY_MANY} heartbeats: give tenants.rate") from None


def _beat_together(session: ProbeSession) -> None:
    noted = [session.note({"type": "heartbeat"}) for _ in range(_TOGETHER)]
    exchange = session.together([message for message, _ in noted], b"".join(data for _, data in noted))
    judge.with_room(exchange)
    judge.all_answered(exchange, ["heartbeat_response"] * _TOGETHER)


@requirement("CB-HBT-001")
def test_heartbeats_of_two_connections(relay: RelayUnderTest) -> None:
    """Two connections of one tenant beat in turn; each gets its answers."""
    first = relay.authenticated()
    second = relay.authenticated()
    for session in (first, second, first, second):
        judge.accepted(session.heartbeat(), *judge.OUT_OF_ROOM)


@requirement("CB-HBT-001")
def test_heartbeat_between_others(relay: RelayUnderTest) -> None:
    """Heartbeats are answered before, between and after tunnels, and after a refusal."""
    session = relay.authenticated()
    judge.accepted(session.heartbeat())
    relay.open_tunnel(session)
    judge.accepted(session.heartbeat())
    session.ask({"type": "cbspec_unknown"}, invalid="of unknown type", fence=False)
    after = session.heartbeat()
    if after.answers or not after.ended:  # a relay may close after an error, and its close may come late
        judge.accepted(after)


@requirement("CB-HBT-101")
def test_before_auth(relay: RelayUnderTest) -> None:
    """A heartbeat is sent on a connection that only said hello; after auth it is answered."""
    relay.beat(relay.authenticated())
    relay.log.saw(reaction(relay.greeted().heartbeat()))
