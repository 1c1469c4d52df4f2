"""A relay that goes down during a run: detected at once, blamed on the last message, earlier results kept."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from cbspec.profile.profile import Endpoint, Profile
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.record.excerpt import ALIVE
from cbspec_conformance.record.transcript import Bytes, Direction
from cbspec_conformance.target import relay
from cbspec_conformance.target.life import STAYS_UP, Life
from tests.conformance.build import HEARTBEAT, HELLO, HELLO_RESPONSE, TUNNEL, left, received, sent
from tests.conformance.conftest import MakeTarget
from tests.conformance.memory import ManualClock


@pytest.fixture
def gone(simulated: Profile) -> Profile:
    """Give the profile of a port without listener."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = Endpoint("127.0.0.1", free.getsockname()[1])
    return replace(simulated, target=replace(simulated.target, address=address, timeout=0.2))


@pytest.mark.parametrize(
    ("processes", "condition", "outcome"),
    [(1, False, Outcome.FAILED), (2, False, Outcome.FAILED), (1, True, Outcome.INCONCLUSIVE)],
)
def test_a_relay_that_a_condition_may_have_stopped_is_not_blamed(
    processes: int, condition: bool, outcome: Outcome, gone: Profile, make_target: MakeTarget
) -> None:
    target = make_target(gone)
    with pytest.raises(Unreachable):
        target.connect()
    if condition:
        target.signs.restless = True
    assert not Life(processes).look(target)
    assert [(finding.requirement, finding.outcome) for finding in target.log.findings] == [(STAYS_UP, outcome)]
    assert ("2 processes shared the relay" in target.log.findings[0].seen) == (
        processes == 2 and outcome is not Outcome.INCONCLUSIVE
    )


def test_the_last_message_before_a_crash_is_named_and_shown(gone: Profile, make_target: MakeTarget) -> None:
    target = make_target(gone)
    for message in (sent(HELLO), received(HELLO_RESPONSE), sent(TUNNEL), sent(HEARTBEAT)):
        target.transcript.add(message)
        ours = message.direction is Direction.SENT
        target.transcript.add(left() if ours else Bytes(0.0, 1, Direction.RECEIVED, message.text))
    target.transcript.add(replace(sent(HELLO, 2), meant=ALIVE))
    with pytest.raises(Unreachable):
        target.connect()
    Life().look(target)
    (finding,) = target.log.findings
    assert "the last message sent before: heartbeat; the first one without an answer: tunnel_info" in finding.seen
    assert '"tunnel_info"' in finding.exchange.splitlines()[0]
    assert '"heartbeat"' in finding.exchange.splitlines()[1]
    assert "before: #1 hello" in finding.exchange


def test_a_relay_that_is_down_is_tried_again_later(gone: Profile, simulated: Profile, make_target: MakeTarget) -> None:
    clock = ManualClock()
    life, down = Life(clock=clock), make_target(gone)
    with pytest.raises(Unreachable):
        down.connect()
    life.look(down)
    with pytest.raises(Inconclusive, match="the relay went down: after a case it is gone"):
        life.check_back(make_target(gone))
    with pytest.raises(Inconclusive):
        life.check_back(make_target(simulated))
    clock.now += 10.0
    life.check_back(make_target(simulated))
    assert not life.gone


def test_a_look_at_an_unresponsive_relay_leaves_no_connection_open(
    simulated: Profile, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    life, unresponsive = Life(), make_target(simulated)
    with monkeypatch.context() as silence:
        silence.setattr(ProbeSession, "answers", lambda *_: ())
        silence.setattr(relay, "LONGEST_PAUSE", 0.1)
        assert not unresponsive.alive()
        assert not life.look(unresponsive)
    assert "answers no hello" in life.gone
    assert [finding.outcome for finding in unresponsive.log.findings] == [Outcome.FAILED]
    target = make_target(simulated)
    life.check_back(target)
    assert not life.gone
    assert target.room.open_sessions == []
