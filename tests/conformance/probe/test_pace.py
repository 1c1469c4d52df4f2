"""The pacer keeps requests below a tenant's rate and the profile's."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.profile import Profile, Rate, TargetSettings, Tenant
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.pace import Pacer
from tests.conformance.memory import ManualClock

PROFILE = Profile(
    target=TargetSettings(requests_per_second=20.0),
    tenants=(Tenant("free"), Tenant("slow", rate=Rate(per_second=10.0, burst=1, scope="tenant"))),
)


@given(pauses=st.lists(st.floats(0, 1), min_size=2, max_size=20), share=st.integers(1, 4))
def test_requests_stay_at_half_the_tenants_rate(pauses: list[float], share: int) -> None:
    clock = ManualClock()
    pace = Pacer(PROFILE, share, clock=clock)
    sent = []
    for pause in pauses:
        clock.now += pause
        for tenant in ("free", "unknown", "slow"):  # only a tenant with a rate waits
            pace(tenant)
        sent.append(clock.now)
    interval = 2 * share / 10.0
    assert all(later - earlier >= interval - 1e-6 for earlier, later in itertools.pairwise(sent))


@given(steps=st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 5)), max_size=30), share=st.integers(1, 4))
def test_no_second_holds_more_messages_than_the_profile_allows(steps: list[tuple[float, int]], share: int) -> None:
    clock = ManualClock()
    pacer = Pacer(PROFILE, share, clock=clock)
    sent: list[float] = []
    for pause, count in steps:
        clock.now += pause
        pacer.take(count)
        sent += [clock.now] * count
    assert all(sum(start <= at <= start + 1.0 for at in sent) <= 20 / share for start in sent)
    with pytest.raises(NotExercised, match=r"target\.requests_per_second leaves no room for 21"):
        pacer.take(21)
