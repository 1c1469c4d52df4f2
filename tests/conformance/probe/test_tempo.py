"""Time-outs: within the bounds of the profile, and shorter after a kind of silence was seen once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.profile import TargetSettings
from cbspec_conformance.probe.tempo import PATIENCE, Latency, Tempo, retry
from cbspec_conformance.record.transcript import Message, Waited
from tests.conformance.build import TUNNEL
from tests.conformance.memory import ManualClock, MemoryProbe, answer

SECONDS = st.floats(0.001, 60.0)


@given(most=SECONDS, least=SECONDS, slowest=st.floats(0.0, 60.0))
def test_waits_stay_within_the_bounds_of_the_profile(most: float, least: float, slowest: float) -> None:
    tempo = Tempo.of(TargetSettings(timeout=most, timeout_least=least), Latency(heartbeat=slowest))
    assert tempo.timeout("hello") == most  # the first silence of a kind takes the whole time-out
    tempo.waited_for_nothing("hello")
    assert min(least, most) <= tempo.timeout("hello") <= most
    assert tempo.timeout("hello") >= min(slowest, most)
    assert min(PATIENCE, most) <= tempo.patience <= most
    assert 0 < tempo.briefly <= tempo.patience
    assert tempo.briefly >= min(3 * slowest, most)
    assert tempo.timeout("auth") == most


def test_retries_for_capacity_stop_after_two_failures() -> None:
    tempo = Tempo(5.0)
    assert tempo.room_again == tempo.soon == 5.0
    tempo.had_no_room()
    assert tempo.room_again > 0
    tempo.had_no_room()
    assert tempo.room_again == 0


def test_without_a_measurement_the_upper_bound_holds() -> None:
    tempo = Tempo(5.0, 2.0)
    tempo.waited_for_nothing("hello")
    assert tempo.timeout("hello") == 5.0


def test_slowest_measurement_counts() -> None:
    assert Latency(0.1, 0.3, 0.2).slowest == 0.3


def test_late_answer_ends_the_calibration() -> None:
    tempo = Tempo(5.0, 2.0, Latency(heartbeat=0.001))
    tempo.waited_for_nothing("hello")
    tempo.came(0.9)
    assert tempo.timeout("hello") == 2.0
    tempo.came(1.1)
    assert tempo.timeout("hello") == 5.0


def test_fast_relay_is_always_fenced_and_a_slow_one_at_first() -> None:
    fast, slow = Tempo(5.0, 2.0, Latency(0.3, 0.3, 0.3, 0.01)), Tempo(5.0, 2.0, Latency(fastest=0.3))
    assert all(fast.wants_fence("tunnel_info error") for _ in range(20))
    assert sum(slow.wants_fence("tunnel_info error") for _ in range(20)) == 5
    assert slow.wants_fence("tunnel_info tunnel_response")
    slow.closed_after("tunnel_info error")
    assert all(slow.wants_fence("tunnel_info error") for _ in range(20))


def test_relay_that_ignores_closes_is_waited_for_three_times() -> None:
    tempo = Tempo(5.0)
    for _ in range(3):
        assert tempo.closing == 1.0
        tempo.closed(noticed=False)
    assert tempo.closing < 0.1
    tempo.closed(noticed=True)
    assert tempo.closing == 1.0


def test_slow_relay_may_notice_a_close_as_slowly() -> None:
    tempo = Tempo(5.0, 2.0, Latency(0.25))
    for _ in range(4):
        tempo.closed(noticed=False)
    assert 0.5 <= tempo.closing <= 1.0


def test_missing_capacity_is_waited_for_once() -> None:
    tempo = Tempo(5.0)
    assert (tempo.soon, tempo.is_stuck("a limit")) == (5.0, False)
    tempo.room("a limit", there=False)
    assert (tempo.soon, tempo.is_stuck("a limit")) == (1.0, True)
    tempo.room("a limit", there=True)
    assert (tempo.soon, tempo.is_stuck("a limit")) == (5.0, False)


def test_retry_stops_in_time_and_raises_the_last_error() -> None:
    clock = ManualClock()
    attempts: list[float] = []

    def attempt() -> None:
        attempts.append(clock.now)
        if clock.now < 1.0:
            raise ValueError(f"attempt {len(attempts)}")

    retry(attempt, (ValueError,), 5.0, clock)
    assert attempts == pytest.approx([0.0, 0.1, 0.3, 0.7, 1.5])
    clock.now, attempts[:] = 0.0, []
    with pytest.raises(ValueError, match="attempt"):
        retry(attempt, (ValueError,), 0.5, clock)
    assert 0.5 <= clock.now <= 0.7
    clock.now = 0.0
    with pytest.raises(ValueError, match="attempt"):
        retry(attempt, (KeyError,), 5.0, clock)


def test_wait_is_recorded_and_shorter_the_next_time() -> None:
    clock = ManualClock()
    tempo = Tempo(5.0, 2.0, Latency(0.001, 0.001, 0.001))
    waits = []
    for _ in range(2):
        made = MemoryProbe(lambda request: [], clock, tempo=tempo)
        made.session.ask(TUNNEL)
        (waited,) = (record for record in made.transcript.records if isinstance(record, Waited))
        assert "tunnel_info" in waited.what
        waits.append(waited.seconds)
    assert waits == [5.0, 2.0]


def test_slow_relay_is_fenced_five_times() -> None:
    clock = ManualClock()
    made = MemoryProbe(
        lambda request: [(0.3, answer(request))], clock, tempo=Tempo(5.0, 2.0, Latency(heartbeat=0.3, fastest=0.3))
    )
    for _ in range(10):
        made.session.ask(TUNNEL)
    assert sum(isinstance(record, Message) and record.meant == "fence" for record in made.transcript.records) == 5
