"""The suite's waits: within the profile's bounds, shorter after a time-out of the same kind, and below its rates."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.profile import Profile, Rate, TargetSettings, Tenant
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.awaited import ANY_REFUSAL
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.tempo import PATIENCE, Latency, Tempo, retry
from tests.conformance.memory import ManualClock

SECONDS = st.floats(0.001, 60.0)


@given(most=SECONDS, least=SECONDS, slowest=st.floats(0.0, 60.0))
def test_every_wait_is_within_the_profiles_bounds(most: float, least: float, slowest: float) -> None:
    tempo = Tempo.of(TargetSettings(timeout=most, timeout_least=least), Latency(heartbeat=slowest))
    assert tempo.timeout("hello") == most
    tempo.waited_for_nothing("hello")
    assert min(least, most) <= tempo.timeout("hello") <= most
    assert tempo.timeout("hello") >= min(slowest, most)
    assert min(PATIENCE, most) <= tempo.patience <= most
    assert min(3 * slowest, most) <= tempo.briefly <= tempo.patience
    assert tempo.timeout("auth") == most


def test_without_a_measurement_or_after_a_late_answer_the_upper_bound_applies() -> None:
    for tempo, answered, seconds in (
        (Tempo(5.0, 2.0), 0.0, 5.0),
        (Tempo(5.0, 2.0, Latency(heartbeat=0.001)), 0.9, 2.0),
        (Tempo(5.0, 2.0, Latency(heartbeat=0.001)), 1.1, 5.0),
    ):
        tempo.waited_for_nothing("hello")
        tempo.answered_after(answered, "auth")
        assert tempo.timeout("hello") == seconds


def test_what_never_came_is_awaited_briefly_until_it_comes() -> None:
    tempo = Tempo(5.0, 2.0)
    tempo.unanswered = {"the answer to auth", "the answer to auth after two fences", "the answer to hello"}
    assert [tempo.timeout(f"the answer to {kind}") for kind in ("auth", "heartbeat")] == [PATIENCE, 5.0]
    assert tempo.was_silent("the answer to auth after two fences")
    tempo.answered_after(0.0, "the answer to auth")
    assert tempo.unanswered == {"the answer to hello"}
    assert tempo.timeout("the answer to auth") == 5.0


def test_a_relay_that_refuses_nothing_gets_its_whole_time_for_no_answer() -> None:
    tempo = Tempo(5.0, 2.0, Latency(heartbeat=0.001))
    tempo.unanswered = {ANY_REFUSAL}
    assert (tempo.first, tempo.timeout("a")) == (2.0, 2.0)
    tempo.waited_for_nothing("a")
    assert (tempo.timeout("a"), tempo.timeout("b")) == (PATIENCE, 2.0)
    tempo.unanswered.clear()
    assert (tempo.first, tempo.timeout("a")) == (5.0, 2.0)


def test_a_slow_relay_is_fenced_a_few_times_only_unless_it_closes() -> None:
    fast, slow = Tempo(5.0, 2.0, Latency(0.3, 0.3, 0.3, 0.01)), Tempo(5.0, 2.0, Latency(fastest=0.3))
    assert all(fast.wants_fence("tunnel_info error") for _ in range(20))
    assert sum(slow.wants_fence("tunnel_info error") for _ in range(20)) == 5
    assert slow.wants_fence("tunnel_info tunnel_response")
    slow.closing_after.add("tunnel_info error")
    assert all(slow.wants_fence("tunnel_info error") for _ in range(20))


def test_room_that_is_not_given_back_is_awaited_once() -> None:
    tempo = Tempo(5.0)
    assert (tempo.soon, tempo.room_again, "a limit" in tempo.stuck) == (5.0, 5.0, False)
    tempo.room("a limit", there=False)
    assert (tempo.soon, tempo.room_again, "a limit" in tempo.stuck) == (1.0, 1.0, True)
    tempo.room("a limit", there=True)
    assert (tempo.soon, "a limit" in tempo.stuck) == (5.0, False)
    tempo.roomless += 1
    assert tempo.room_again > 0
    tempo.roomless += 1
    assert tempo.room_again == 0


def test_retry_gives_up_in_time_and_raises_the_last_error() -> None:
    clock = ManualClock()
    attempts: list[float] = []

    def attempt() -> None:
        attempts.append(clock.now)
        if clock.now < 1.0:
            raise ValueError("too early")

    retry(attempt, (ValueError,), 5.0, clock)
    assert attempts == pytest.approx([0.0, 0.1, 0.3, 0.7, 1.5])
    for errors, seconds in (((ValueError,), 0.5), ((KeyError,), 0.0)):
        clock.now = 0.0
        with pytest.raises(ValueError, match="too early"):
            retry(attempt, errors, 0.5, clock)
        assert clock.now == pytest.approx(seconds)


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


def test_sessions_of_a_tenant_that_wait_at_once_get_a_turn_each() -> None:
    clock, turns = ManualClock(), list[float]()

    class Overlapping(ManualClock):
        """While one session waits, all others begin to wait, too."""

        def sleep(self, seconds: float) -> None:
            due = clock.now + seconds
            if len(turns) < 5:
                turns.append(due)
                pace("slow")
            clock.now = max(clock.now, due)

        def monotonic(self) -> float:
            return clock.now

    pace = Pacer(PROFILE, clock=Overlapping())
    pace("slow")
    pace("slow")
    assert turns == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


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
