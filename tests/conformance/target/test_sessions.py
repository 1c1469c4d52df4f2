"""Sessions for cases with many requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.target.sessions import Sessions
from tests.conformance.conftest import MakeTarget


def test_session_is_reused_while_it_has_capacity(simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(replace(simulated, relay=replace(simulated.relay, buffer_pool=3)))
    sessions = Sessions(target)
    used = []
    for _ in range(6):
        session = sessions.next()
        judge.accepted(session.ask(target.tunnel_info()))
        used.append(session)
    assert len({id(session) for session in used}) < len(used)
    assert len([session for session in {id(s): s for s in used}.values() if not session.ended]) == 1


def test_closed_session_is_replaced(simulated: Profile, make_target: MakeTarget) -> None:
    sessions = Sessions(make_target(simulated))
    first = sessions.next()
    first.close()
    second = sessions.next()
    assert second is not first
    judge.accepted(second.heartbeat())


def test_session_with_a_failed_control_is_not_used(simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(simulated)
    target.facts = replace(target.facts, tunnel="refused with invalid_token")
    sessions = Sessions(target)
    for _ in range(2):
        with pytest.raises(Inconclusive):
            sessions.next()
