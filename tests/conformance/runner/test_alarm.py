"""The end of --max-time, in the middle of whatever goes on."""

from __future__ import annotations

import signal
import time

import pytest

from cbspec_conformance.runner.alarm import time_limit
from cbspec_conformance.runner.outcomes import TimeUp


def test_without_a_limit_nothing_is_touched() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(None):
        assert signal.getsignal(signal.SIGALRM) is before


def test_a_limit_that_has_passed_strikes_before_anything_begins() -> None:
    with pytest.raises(TimeUp), time_limit(time.monotonic() - 1):
        pytest.fail("it began")


def test_it_strikes_in_the_middle_of_waiting_and_nobody_on_the_way_takes_it_for_an_error() -> None:
    taken: list[Exception] = []

    def case() -> None:
        try:
            time.sleep(60)
        except Exception as error:
            taken.append(error)
            raise

    began = time.monotonic()
    with pytest.raises(TimeUp), time_limit(began + 0.1):
        case()
    assert time.monotonic() - began < 30
    assert taken == []


def test_what_ends_in_time_leaves_everything_as_it_was() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(time.monotonic() + 60):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
