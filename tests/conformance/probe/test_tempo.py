"""How long the suite waits: within the profile's bounds, and never twice for the same nothing."""

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
def test_every_wait_is_within_the_profile_s_bounds(most: float, least: float, slowest: float) -> None:
    tempo = Tempo.of(TargetSettings(timeout=most, timeout_least=least), Latency(heartbeat=slowest))
    assert tempo.timeout("hello") == most  # the first silence of a kind gets all the time that the profile gives
    tempo.waited_for_nothing("hello")
    assert min(least, most) <= tempo.timeout("hello") <= most
    assert tempo.timeout("hello") >= min(slowest, most)
    assert min(PATIENCE, most) <= tempo.patience <= most
    assert 0 < tempo.briefly <= tempo.patience
    assert tempo.briefly >= min(3 * slowest, most)
    assert tempo.timeout("auth") == most


def test_no_room_is_not_waited_for_where_that_never_helps() -> None:
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


def test_the_slowest_of_all_measurements_counts() -> None:
    assert Latency(0.1, 0.3, 0.2).slowest == 0.3


def test_an_answer_that_comes_late_ends_the_calibration() -> None:
    tempo = Tempo(5.0, 2.0, Latency(heartbeat=0.001))
    tempo.waited_for_nothing("hello")
    tempo.came(0.9)
    assert tempo.timeout("hello") == 2.0
    tempo.came(1.1)
    assert tempo.timeout("hello") == 5.0


def test_a_fast_relay_is_fenced_always_also_on_a_busy_machine_and_a_slow_one_at_first() -> None:
    fast, slow = Tempo(5.0, 2.0, Latency(0.3, 0.3, 0.3, 0.01)), Tempo(5.0, 2.0, Latency(fastest=0.3))
    assert all(fast.wants_fence("tunnel_info error") for _ in range(20))
    assert sum(slow.wants_fence("tunnel_info error") for _ in range(20)) == 5
    assert slow.wants_fence("tunnel_info tunnel_response")
    slow.closed_after("tunnel_info error")
    assert all(slow.wants_fence("tunnel_info error") for _ in range(20))


def test_a_relay_that_leaves_closed_connections_open_is_not_waited_for_again() -> None:
    tempo = Tempo(5.0)
    for _ in range(3):
        assert tempo.closing == 1.0
        tempo.closed(noticed=False)
    assert tempo.closing < 0.1
    tempo.closed(noticed=True)
    assert tempo.closing == 1.0


def test_a_relay_that_answers_late_may_notice_a_close_as_late() -> None:
    tempo = Tempo(5.0, 2.0, Latency(0.25))
    for _ in range(4):
        tempo.closed(noticed=False)
    assert 0.5 <= tempo.closing <= 1.0


def test_room_that_doesn_t_come_back_is_waited_for_once() -> None:
    tempo = Tempo(5.0)
    assert (tempo.soon, tempo.is_stuck("a limit")) == (5.0, False)
    tempo.room("a limit", there=False)
    assert (tempo.soon, tempo.is_stuck("a limit")) == (1.0, True)
    tempo.room("a limit", there=True)
    assert (tempo.soon, tempo.is_stuck("a limit")) == (5.0, False)


def test_retry_gives_up_in_time_and_raises_the_last_error() -> None:
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


def test_a_wait_for_nothing_is_in_the_transcript_and_shorter_the_next_time() -> None:
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


def test_on_a_slow_relay_fences_become_few() -> None:
    clock = ManualClock()
    made = MemoryProbe(
        lambda request: [(0.3, answer(request))], clock, tempo=Tempo(5.0, 2.0, Latency(heartbeat=0.3, fastest=0.3))
    )
    for _ in range(10):
        made.session.ask(TUNNEL)
    assert sum(isinstance(record, Message) and record.meant == "fence" for record in made.transcript.records) == 5
