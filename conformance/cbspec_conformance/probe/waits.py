"""Waits for sockets and for time, during which other steps of the same case go on.

The probe stays blocking: a step reads like a sequence of calls. `at_once` runs several as greenlets, and each wait of
one gives the others their turn. Nothing else switches, so a step needs no locks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from greenlet import getcurrent, greenlet

from cbspec.profile import dialling

_Made = TypeVar("_Made")

Events = Mapping[int, int]
"""File descriptors, each with the events of `select.poll` that are awaited."""


class _Group:
    """The steps that run at the same time; those in `waiting` have a deadline, and events."""

    def __init__(self) -> None:
        self.hub = getcurrent()
        self.waiting: dict[greenlet, tuple[float, Events]] = {}
        self.cancelled = False

    def wait(self, events: Events, seconds: float) -> list[int]:
        """Let the others go on until an event occurs or the time is over; return the descriptors with events."""
        if self.cancelled:
            return []
        self.waiting[getcurrent()] = time.monotonic() + seconds, events
        found: list[int] = self.hub.switch()
        return found

    def resume(self) -> None:
        """Wait until some steps can go on, and let them."""
        wanted = dict[int, int]()
        for _, events in self.waiting.values():
            for descriptor, mask in events.items():
                wanted[descriptor] = wanted.get(descriptor, 0) | mask
        first = min(deadline for deadline, _ in self.waiting.values())
        woken = {*dialling.ready(wanted, max(0.0, first - time.monotonic()))}
        now = time.monotonic()
        for step, (deadline, events) in list(self.waiting.items()):
            found = [descriptor for descriptor in events if descriptor in woken]
            if found or deadline <= now:
                del self.waiting[step]
                step.switch(found)


_groups: list[_Group] = []  # at most one


def at_once(steps: Sequence[Callable[[], _Made]]) -> list[_Made]:
    """Run steps at the same time and return their results in order.

    All steps are carried out; then the first error, in the order of the steps, is raised. Steps within a step run one
    after the other.
    """
    if _groups or len(steps) < 2:
        return [step() for step in steps]
    results, errors = dict[int, _Made](), dict[int, Exception]()

    def run(number: int, step: Callable[[], _Made]) -> None:
        try:
            results[number] = step()
        except Exception as error:
            errors[number] = error

    group = _Group()
    running = [greenlet(partial(run, number, step)) for number, step in enumerate(steps)]
    _groups.append(group)
    try:
        for step in running:
            step.switch()
        while group.waiting:
            group.resume()
    except BaseException:  # the run's time is up, or it was interrupted
        group.cancelled = True
        for step in running:
            if not step.dead:
                step.throw()
        raise
    finally:
        _groups.clear()
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(len(steps))]


def ready(events: Events, seconds: float) -> list[int]:
    """Wait at most some seconds for events; return the descriptors that have some."""
    return _groups[0].wait(events, seconds) if _groups else dialling.ready(events, seconds)


class YieldingClock:
    """The machine's monotonic clock, whose pauses let other steps go on."""

    monotonic = staticmethod(time.monotonic)

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        if _groups:
            _groups[0].wait({}, seconds)
        else:
            time.sleep(seconds)
