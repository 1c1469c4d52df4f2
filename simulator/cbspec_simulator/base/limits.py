"""Usage counters and rate limiters; both are independent of the things that they count."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

from cbspec.profile.target import Rate

_MANY_LIMITERS = 4096


class Account(NamedTuple):
    """One usage counter: the name of the resource (`tunnels`, for example) and its holder."""

    name: str
    holder: Hashable


class UsageCounters:
    """The units in use of each account; an account without units takes no memory."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used: dict[Account, int] = {}

    def used(self, account: Account) -> int:
        """Return the number of units in use."""
        return self._used.get(account, 0)

    def take(self, account: Account, limit: int | None) -> bool:
        """Take a unit if fewer than `limit` are in use (None: no limit), and return whether it was taken."""
        used = self._used.get(account, 0)
        if limit is not None and used >= limit:
            return False
        self._used[account] = used + 1
        return True

    def give(self, account: Account) -> None:
        """Give a unit back."""
        left = self._used.get(account, 0) - 1
        if left > 0:
            self._used[account] = left
        else:
            self._used.pop(account, None)

    def __bool__(self) -> bool:
        return bool(self._used)


class RateLimiter(Protocol):
    """Decides whether a request is within a rate; `now` is in seconds of a monotonic clock."""

    def allow(self, now: float) -> bool:
        """Count a request at `now`, and return whether it is within the rate."""

    def rested(self, now: float) -> bool:
        """Return whether a new limiter would behave the same from `now` on."""


class TokenBucket:
    """A token bucket: it holds at most `burst` tokens and is refilled steadily."""

    __slots__ = ("_level", "_rate", "_size", "_when")

    def __init__(self, rate: Rate) -> None:
        self._rate = float(rate.per_second)
        self._size = self._level = float(rate.burst)
        self._when: float | None = None

    def allow(self, now: float) -> bool:
        """Take a token if there is one."""
        self._refill(now)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def rested(self, now: float) -> bool:
        """Return whether the bucket is full."""
        self._refill(now)
        return self._level >= self._size

    def _refill(self, now: float) -> None:
        if self._when is None:
            self._when = now
        elif now > self._when:
            level = self._level + (now - self._when) * self._rate
            self._level = level if level < self._size else self._size
            self._when = now


class RateLimiters:
    """One rate limiter for each holder; limiters at rest are dropped when there are many."""

    __slots__ = ("_limiters", "_make", "_sweep_at")

    def __init__(self, make: Callable[[Rate], RateLimiter]) -> None:
        self._make = make
        self._limiters: dict[Hashable, RateLimiter] = {}
        self._sweep_at = _MANY_LIMITERS

    def allow(self, holder: Hashable, rate: Rate, now: float) -> bool:
        """Count a request of a holder at `now`, and return whether it is within the rate."""
        limiter = self._limiters.get(holder)
        if limiter is None:
            if len(self._limiters) >= self._sweep_at:
                self._sweep(now)
            limiter = self._limiters[holder] = self._make(rate)
        return limiter.allow(now)

    def _sweep(self, now: float) -> None:
        self._limiters = {holder: limiter for holder, limiter in self._limiters.items() if not limiter.rested(now)}
        self._sweep_at = max(_MANY_LIMITERS, 2 * len(self._limiters))
