"""Sessions for cases with many requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.target.sessions import Sessions
from tests.conformance.conftest import MakeTarget


def test_a_session_is_used_until_it_is_full_or_closed(simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(replace(simulated, relay=replace(simulated.relay, buffer_pool=3)))
    sessions = Sessions(target)
    used = [sessions.next() for _ in range(3)]
    assert (used[0] is used[1], used[0] is used[2], bool(used[0].ended)) == (True, False, True)
    used[2].close()
    session = sessions.next()
    assert session is not used[2]
    judge.accepted(session.ask(target.tunnel_info()))
    target.facts = replace(target.facts, tunnel="refused with invalid_token")
    for _ in range(2):  # a session whose control failed is not used
        with pytest.raises(Inconclusive):
            Sessions(target).next()
