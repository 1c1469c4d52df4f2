"""Waiting below a tenant's declared rate, with a clock of the test's own."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.profile import Profile, Rate, Tenant
from cbspec_conformance.target.pace import Pacer

PROFILE = Profile(tenants=(Tenant("free"), Tenant("slow", rate=Rate(per_second=10.0, burst=1, scope="tenant"))))


@dataclass
class Clock:
    """Time that passes only when somebody sleeps, or when it is told to."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_tenant_without_a_rate_never_waits() -> None:
    clock = Clock()
    pace = Pacer(PROFILE, clock=clock.read, sleep=clock.sleep)
    for tenant in ["free", "unknown", ""] * 20:
        pace(tenant)
    assert clock.slept == []


@given(pauses=st.lists(st.floats(0, 1), min_size=2, max_size=20), share=st.integers(1, 4))
def test_requests_stay_at_half_the_rate_however_they_come(pauses: list[float], share: int) -> None:
    clock = Clock()
    pace = Pacer(PROFILE, share, clock=clock.read, sleep=clock.sleep)
    sent = []
    for pause in pauses:
        clock.now += pause
        pace("slow")
        sent.append(clock.now)
    interval = 2 * share / 10.0
    assert all(later - earlier >= interval - 1e-6 for earlier, later in itertools.pairwise(sent))


def test_nobody_waits_for_longer_than_the_interval() -> None:
    clock = Clock()
    pace = Pacer(PROFILE, clock=clock.read, sleep=clock.sleep)
    pace("slow")
    pace("slow")
    clock.now += 60
    pace("slow")
    assert clock.slept == [pytest.approx(0.2)]
