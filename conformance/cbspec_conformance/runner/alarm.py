"""The time limit of a run (--max-time), which interrupts the running case."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

from cbspec_conformance.runner.outcomes import TimeUp


@contextlib.contextmanager
def time_limit(deadline: float | None) -> Iterator[None]:
    """Raise TimeUp in the body when the monotonic clock reaches `deadline` (None: never)."""
    if deadline is None:
        yield
        return
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeUp
    before = signal.signal(signal.SIGALRM, _raise_time_up)
    signal.setitimer(signal.ITIMER_REAL, remaining)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raise_time_up(number: int, frame: FrameType | None) -> None:
    raise TimeUp
