"""Keeps the suite below the declared rates of tenants, and within the requests per second that the profile allows."""

from __future__ import annotations

from multiprocessing import Lock, RawArray, RawValue
from typing import Final

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.probe.waits import YieldingClock
from cbspec_conformance.record.cost import Timekeeper

_MARGIN: Final = 1.1
"""Factor on the second over which requests are counted: the network may deliver them closer together."""


class Pacer:
    """Waits before requests, as the profile's rates require.

    Arguments: `processes` is the number of processes that use the relay at once. If they are `forked` after this, they
    share the allowance of the profile; otherwise each has its part.
    """

    def __init__(
        self, profile: Profile, processes: int = 1, clock: Timekeeper | None = None, *, forked: bool = False
    ) -> None:
        # A case has other tenants for itself.
        usual = {tenant.id for tenant in (profile.main_tenant, profile.second_tenant) if tenant is not None}
        self._interval = {
            tenant.id: 2.0 * (processes if tenant.id in usual else 1) / tenant.rate.per_second
            for tenant in profile.tenants
            if tenant.rate is not None
        }
        self._next: dict[str, float] = {}
        bound = profile.target.requests_per_second
        self._bound = None if bound is None else bound / (1 if forked else processes)
        self._most = max(1, int(self._bound or 1))
        # The times at which the last requests stop counting, as a ring in memory that forks share.
        self._expiries = RawArray("d", self._most)
        self._place = RawValue("L", 0)
        self._lock = Lock()
        self._clock = clock or YieldingClock()

    def __call__(self, tenant: str) -> None:
        """Wait until a request keeps the tenant at half of its declared rate."""
        interval = self._interval.get(tenant)
        if interval is None:
            return
        with self._lock:  # several sessions of a case may send at once, and each gets a turn of its own
            now = self._clock.monotonic()
            due = max(self._next.get(tenant, now), now)
            self._next[tenant] = due + interval
        if due > now:
            self._clock.sleep(due - now)

    def take(self, count: int = 1) -> None:
        """Wait until `count` messages or connections at once are within target.requests_per_second.

        Raises NotExercised if they never are.
        """
        if self._bound is None:
            return
        if count > self._most:
            raise NotExercised(f"target.requests_per_second leaves no room for {count} at once")
        while (wait := self._taken(count, _MARGIN * max(1.0, self._most / self._bound))) > 0:
            self._clock.sleep(wait)

    def _taken(self, count: int, window: float) -> float:
        """Return the seconds until there is room; 0.0 if there is, which is taken."""
        with self._lock:
            now, first = self._clock.monotonic(), int(self._place.value)
            free = self._expiries[(first + count - 1) % self._most]
            if free > now:
                return float(free - now)
            for place in range(first, first + count):
                self._expiries[place % self._most] = now + window
            self._place.value = (first + count) % self._most
        return 0.0

    def needs(self, per_second: float) -> None:
        """Raise NotExercised if the profile doesn't allow so many requests per second."""
        if self._bound is not None and self._bound < per_second:
            raise NotExercised(f"target.requests_per_second leaves no room for {per_second:g} in a second")
