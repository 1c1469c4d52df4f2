"""Invalid requests between valid ones, on the simulator."""

from __future__ import annotations

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.judging import judge
from cbspec_conformance.properties.between import ControlledRequests
from tests.conformance.conftest import MakeTarget


@pytest.mark.parametrize("kind", ["hello", "auth", "tunnel_info"])
@pytest.mark.parametrize("how", ["closed", "used up"])
def test_after_a_failed_request_there_is_room_again(
    kind: str, how: str, simulated: Profile, make_target: MakeTarget
) -> None:
    between = ControlledRequests(make_target(simulated), kind)
    for _ in range(3):  # each without the control after it, as after a failure
        session = between.session()
        if how == "closed":
            session.close()
        else:
            judge.accepted(session.ask(between.request()))
    session = between.session()
    assert session.ended is None
    judge.accepted(session.ask(between.request()))
