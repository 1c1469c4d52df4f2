"""The repetitions of a case, and its turn among others."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import Broken, Inconclusive, NeedsAlone, NoRoom, NotExercised, RateLimited
from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.runner.attempts import Attempts, time_limit, until_room
from cbspec_conformance.runner.options import free_endpoint
from cbspec_conformance.runner.outcomes import TimeUp
from cbspec_conformance.runner.reservations import Needs
from cbspec_conformance.target.ledger import Ledger
from cbspec_conformance.target.life import STAYS_UP, Life
from tests.conformance.conftest import MakeTarget
from tests.conformance.memory import ManualClock


@pytest.mark.parametrize("back_after", [0.0, 1.0, 4.5, 60.0])
def test_a_case_without_capacity_is_retried_for_a_limited_time(back_after: float) -> None:
    clock, closed = ManualClock(), []
    relay: Any = SimpleNamespace(
        tempo=Tempo(5.0),
        clock=clock,
        shared=SimpleNamespace(ledger=Ledger()),
        room=SimpleNamespace(shared=False),
        close=lambda: closed.append(clock.now),
    )

    def case() -> None:
        if clock.now - began < back_after:
            raise NoRoom("full")

    for _ in range(3):
        began = clock.now
        if back_after <= 5.0:
            until_room(relay, case)
        else:
            with pytest.raises(NoRoom):
                until_room(relay, case)
    waited = 10.0 if back_after > 5.0 else 3 * back_after  # no case is retried after two in vain
    assert waited <= clock.now <= waited + 3 * 2.0
    assert bool(closed) is (back_after > 0)
    relay.room.shared = True
    with contextlib.nullcontext() if not back_after else pytest.raises(NeedsAlone):  # others may have taken the room
        began = clock.now
        until_room(relay, case)


class Recorded:
    """Turns that only record what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @contextlib.contextmanager
    def shared(self, names: Iterable[str]) -> Iterator[None]:
        """Record a shared turn."""
        self.asked.append(" ".join(sorted(names)))
        yield

    @contextlib.contextmanager
    def alone(self, *, began: bool) -> Iterator[None]:
        """Record a turn alone."""
        self.asked.append("alone" if began else "alone after others")
        yield


@pytest.mark.parametrize(
    ("error", "alone", "processes", "asked"),
    [
        (None, False, 4, ["a b"]),
        (Broken("a", "b"), False, 4, ["a b"]),
        (NotExercised("a"), False, 4, ["a b"]),
        (Inconclusive("slow"), False, 4, ["a b", "alone after others"]),
        (NoRoom("full"), False, 4, ["a b", "alone after others"]),
        (RateLimited("limited"), False, 4, ["a b", "alone after others"]),
        (NeedsAlone("more"), False, 4, ["a b", "alone after others"]),
        (Inconclusive("slow"), True, 4, ["alone"]),
        (Inconclusive("slow"), False, 1, ["alone after others"]),
    ],
)
def test_a_case_without_a_verdict_among_others_begins_again_alone(
    error: Exception | None, alone: bool, processes: int, asked: list[str], simulated: Profile, make_target: MakeTarget
) -> None:
    target, turns, tried = make_target(simulated), Recorded(), list[bool]()
    target.shared.processes = processes

    def case() -> None:
        target.log.remark("tried")
        tried.append(target.room.shared)
        if error is not None and len(tried) == 1:
            raise error

    with contextlib.nullcontext() if len(asked) > 1 or error is None else pytest.raises(type(error)):
        Attempts(target, Life(), "CB-TUN-001", case).in_turn(turns, Needs(alone, frozenset("ab")))
    assert turns.asked == asked
    assert tried == [processes > 1 and not alone, False][: len(asked)]
    assert target.log.remarks == ["tried"]  # what was found before is forgotten


def test_a_relay_that_goes_down_next_to_other_cases_is_blamed_at_once(
    simulated: Profile, make_target: MakeTarget
) -> None:
    nowhere = replace(simulated.target, address=free_endpoint(), timeout=0.2)
    target, turns = make_target(replace(simulated, target=nowhere)), Recorded()
    target.shared.processes = 4
    with pytest.raises(Inconclusive, match="went down"):
        Attempts(target, Life(4), "CB-TUN-001", target.authenticated).in_turn(turns, Needs())
    assert turns.asked == [""]
    assert [(finding.requirement, finding.outcome) for finding in target.log.findings] == [(STAYS_UP, Outcome.FAILED)]


def test_the_time_limit_shows_even_if_a_library_turns_it_into_an_error_of_its_own() -> None:
    def wait() -> None:
        try:
            signal.pause()
        except TimeUp:
            raise AssertionError("a strategy changed between two draws") from None

    with pytest.raises(TimeUp), time_limit(time.monotonic() + 0.05):
        wait()
