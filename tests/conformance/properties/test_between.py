"""Broken requests between valid ones: against the simulator, in the order in which they are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.judging import judge
from cbspec_conformance.properties.between import ControlledRequests
from tests.conformance.commands import simulator, verdict, verify
from tests.conformance.conftest import MakeTarget


@pytest.mark.parametrize(
    ("deviation", "requirement"),
    [("remote-port-zero-accepted", "CB-TUN-010"), ("local-port-over-65535-wrong-code", "CB-TUN-007")],
)
def test_a_near_miss_that_is_accepted_fails_its_requirement(tmp_path: Path, deviation: str, requirement: str) -> None:
    with simulator(tmp_path, "--deviation", deviation) as profile:
        done = verify("--target-profile", str(profile), "-k", "near_misses", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (verdict(done.text, "failed"), verdict(done.text, "inconclusive")) == (1, 0)
    assert f"  {requirement}  MUST" in done.text


@pytest.mark.parametrize("kind", ["hello", "auth", "tunnel_info"])
@pytest.mark.parametrize("how", ["closed", "used up"])
def test_behind_one_that_failed_there_is_room_again(
    kind: str, how: str, simulated: Profile, make_target: MakeTarget
) -> None:
    """A failure skips what comes after it; what was open then says nothing about the next broken request."""
    between = ControlledRequests(make_target(simulated), kind)
    for _ in range(3):
        session = between.session()
        if how == "closed":
            session.close()
        else:
            judge.accepted(session.ask(between.request(session)))
    session = between.session()
    assert session.ended is None
    judge.accepted(session.ask(between.request(session)))


def test_while_all_goes_well_tunnels_share_a_connection(simulated: Profile, make_target: MakeTarget) -> None:
    between = ControlledRequests(make_target(simulated), "tunnel_info")
    first = between.session()
    between.after()
    assert between.session() is first
