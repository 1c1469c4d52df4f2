"""What is in use, and how fast it is asked for: counters that know nothing of who counts, and meters of rate."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

from cbspec.profile.target import Rate

_MANY_METERS = 4096


class Account(NamedTuple):
    """One counter of the ledger: what is counted (`tunnels`, for example) and whose it is."""

    name: str
    holder: Hashable


class Ledger:
    """How much of everything is in use; an account that holds nothing takes no room."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used: dict[Account, int] = {}

    def used(self, account: Account) -> int:
        """Return how much of an account is in use."""
        return self._used.get(account, 0)

    def take(self, account: Account, limit: int | None) -> bool:
        """Take one where fewer than `limit` are in use (None: no limit), and say whether there was one."""
        used = self._used.get(account, 0)
        if limit is not None and used >= limit:
            return False
        self._used[account] = used + 1
        return True

    def give(self, account: Account) -> None:
        """Give one back that was taken."""
        left = self._used.get(account, 0) - 1
        if left > 0:
            self._used[account] = left
        else:
            self._used.pop(account, None)

    def __bool__(self) -> bool:
        return bool(self._used)


class Meter(Protocol):
    """Decides whether one more request is within a rate; `now` is in seconds of a clock that never goes back."""

    def allow(self, now: float) -> bool:
        """Count a request at `now`, and say whether it is within the rate."""

    def rested(self, now: float) -> bool:
        """Say whether a new meter would behave the same from `now` on."""


class TokenBucket:
    """A rate as tokens that come back steadily, `burst` of them at most."""

    __slots__ = ("_level", "_rate", "_size", "_when")

    def __init__(self, rate: Rate) -> None:
        self._rate = float(rate.per_second)
        self._size = self._level = float(rate.burst)
        self._when: float | None = None

    def allow(self, now: float) -> bool:
        """Take a token where there is one."""
        self._refill(now)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def rested(self, now: float) -> bool:
        """Say whether the bucket is full."""
        self._refill(now)
        return self._level >= self._size

    def _refill(self, now: float) -> None:
        if self._when is None:
            self._when = now
        elif now > self._when:
            level = self._level + (now - self._when) * self._rate
            self._level = level if level < self._size else self._size
            self._when = now


class Meters:
    """One meter for each holder; those at rest are forgotten when they become many."""

    __slots__ = ("_make", "_meters", "_sweep_at")

    def __init__(self, make: Callable[[Rate], Meter]) -> None:
        self._make = make
        self._meters: dict[Hashable, Meter] = {}
        self._sweep_at = _MANY_METERS

    def allow(self, holder: Hashable, rate: Rate, now: float) -> bool:
        """Count a request of a holder at `now`, and say whether it is within the rate."""
        meter = self._meters.get(holder)
        if meter is None:
            if len(self._meters) >= self._sweep_at:
                self._sweep(now)
            meter = self._meters[holder] = self._make(rate)
        return meter.allow(now)

    def _sweep(self, now: float) -> None:
        self._meters = {holder: meter for holder, meter in self._meters.items() if not meter.rested(now)}
        self._sweep_at = max(_MANY_METERS, 2 * len(self._meters))
