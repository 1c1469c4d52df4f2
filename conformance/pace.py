"""Keeps the suite below a tenant's declared rate, so that a case about something else never draws the limit."""

from __future__ import annotations

import time
from collections.abc import Callable

from cbspec.profile import Profile


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
