"""Keeps the suite below a tenant's declared rate, so that a case about something else never draws the limit.

It keeps it besides within what the profile lets the suite ask of the relay in a second, whatever the case is about.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import NotExercised

_MARGIN: Final = 1.1
"""How much longer than a second its bound holds: on the way, what was sent in turn may come closer together."""


class Pacer:
    """Waits before a request where its tenant's declared rate asks for it.

    Arguments: `share` is how many processes use the relay at once; `clock` and `sleep` are seconds and a way to wait.
    """

    def __init__(
        self,
        profile: Profile,
        share: int = 1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = {
            tenant.id: 2.0 * share / tenant.rate.per_second for tenant in profile.tenants if tenant.rate is not None
        }
        self._next: dict[str, float] = {}
        bound = profile.target.requests_per_second
        self._bound = None if bound is None else bound / share
        self._taken: deque[float] = deque()
        self._clock = clock
        self._sleep = sleep

    def __call__(self, tenant: str) -> None:
        """Wait until a request of `tenant` is well below its rate: half of it, shared."""
        interval = self._interval.get(tenant)
        if interval is None:
            return
        now = self._clock()
        due = self._next.get(tenant, now)
        if due > now:
            self._sleep(due - now)
        self._next[tenant] = max(due, now) + interval

    def take(self, count: int = 1) -> None:
        """Wait until `count` messages or connections may go out at once within target.requests_per_second.

        Raises NotExercised where they never may.
        """
        if self._bound is None:
            return
        most = max(1, int(self._bound))
        if count > most:
            raise NotExercised(f"target.requests_per_second leaves no room for {count} at once")
        window = _MARGIN * most / self._bound
        while True:
            now = self._clock()
            while self._taken and self._taken[0] <= now - window:
                self._taken.popleft()
            if len(self._taken) + count <= most:
                break
            self._sleep(self._taken[len(self._taken) + count - most - 1] + window - now)
        self._taken.extend([now] * count)

    def needs(self, per_second: float) -> None:
        """Say that a case needs to ask so often. Raises NotExercised where the profile doesn't let it."""
        if self._bound is not None and self._bound < per_second:
            raise NotExercised(f"target.requests_per_second leaves no room for {per_second:g} in a second")
