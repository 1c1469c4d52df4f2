"""Keeps the suite below the declared rates of tenants, and within the requests per second that the profile allows."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.record.transcript import Timekeeper

_MARGIN: Final = 1.1
"""Factor on the second over which requests are counted: the network may deliver them closer together."""


class Pacer:
    """Waits before requests, as the profile's rates require.

    Arguments: `share` is the number of processes that use the relay at once.
    """

    def __init__(self, profile: Profile, share: int = 1, clock: Timekeeper = time) -> None:
        self._interval = {
            tenant.id: 2.0 * share / tenant.rate.per_second for tenant in profile.tenants if tenant.rate is not None
        }
        self._next: dict[str, float] = {}
        bound = profile.target.requests_per_second
        self._bound = None if bound is None else bound / share
        self._expiries: deque[float] = deque()
        self._clock = clock

    def __call__(self, tenant: str) -> None:
        """Wait until a request keeps the tenant at half of its declared rate."""
        interval = self._interval.get(tenant)
        if interval is None:
            return
        now = self._clock.monotonic()
        due = self._next.get(tenant, now)
        if due > now:
            self._clock.sleep(due - now)
        self._next[tenant] = max(due, now) + interval

    def take(self, count: int = 1) -> None:
        """Wait until `count` messages or connections at once are within target.requests_per_second.

        Raises NotExercised if they never are.
        """
        if self._bound is None:
            return
        most = max(1, int(self._bound))
        if count > most:
            raise NotExercised(f"target.requests_per_second leaves no room for {count} at once")
        window = _MARGIN * max(1.0, most / self._bound)
        while True:
            now = self._clock.monotonic()
            while self._expiries and self._expiries[0] <= now:
                self._expiries.popleft()
            if len(self._expiries) + count <= most:
                break
            self._clock.sleep(self._expiries[len(self._expiries) + count - most - 1] - now)
        self._expiries.extend([now + window] * count)

    def needs(self, per_second: float) -> None:
        """Raise NotExercised if the profile doesn't allow so many requests per second."""
        if self._bound is not None and self._bound < per_second:
            raise NotExercised(f"target.requests_per_second leaves no room for {per_second:g} in a second")
