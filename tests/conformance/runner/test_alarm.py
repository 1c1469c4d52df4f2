"""The time limit of --max-time."""

from __future__ import annotations

import contextlib
import signal
import time

import pytest

from cbspec_conformance.runner.alarm import time_limit
from cbspec_conformance.runner.outcomes import TimeUp


def test_a_limit_that_has_passed_prevents_the_start() -> None:
    with pytest.raises(TimeUp), time_limit(time.monotonic() - 1):
        pytest.fail("it began")


def test_it_interrupts_a_wait_and_is_not_caught_as_an_error() -> None:
    began = time.monotonic()
    with pytest.raises(TimeUp), time_limit(began + 0.1), contextlib.suppress(Exception):
        time.sleep(60)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_the_signal_handler_is_restored(seconds: float | None) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(None if seconds is None else time.monotonic() + seconds):
        assert (signal.getsignal(signal.SIGALRM) is before) == (seconds is None)
    assert signal.getsignal(signal.SIGALRM) is before
    assert seconds is None or signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
