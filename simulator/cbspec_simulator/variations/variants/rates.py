"""Rate limiters of other algorithms, scopes and costs."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from cbspec.profile.target import Rate, RateScope
from cbspec.protocol.messages import Heartbeat, Request, TunnelInfo
from cbspec_simulator.base.steps import RATE
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.parts import Change, both, part, writing

_COUNTED: tuple[type[Request], ...] = (TunnelInfo, Heartbeat)  # auth has a step of its own


def _window(rate: Rate) -> tuple[float, float]:
    """Return the length of a window that admits the burst, in seconds, and the requests that it admits."""
    seconds = max(1.0, rate.burst / rate.per_second)
    return seconds, rate.per_second * seconds


class FixedWindow:
    """Counts requests in consecutive windows."""

    def __init__(self, rate: Rate) -> None:
        self._seconds, self._most = _window(rate)
        self._number = float("-inf")  # compared instead of the window's bounds, which rounding could move
        self._count = 0

    def allow(self, now: float) -> bool:
        """Count a request in the current window."""
        if self.rested(now):
            self._number, self._count = now // self._seconds, 0
        self._count += 1
        return self._count <= self._most

    def rested(self, now: float) -> bool:
        """Whether the window is over."""
        return now // self._seconds > self._number


class SlidingLog:
    """Keeps the times of admitted requests."""

    def __init__(self, rate: Rate) -> None:
        self._seconds, self._most = _window(rate)
        self._log: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Count the requests of the last window."""
        self._forget(now)
        if len(self._log) + 1 > self._most:
            return False
        self._log.append(now)
        return True

    def rested(self, now: float) -> bool:
        """Whether the log is empty."""
        self._forget(now)
        return not self._log

    def _forget(self, now: float) -> None:
        while self._log and self._log[0] <= now - self._seconds:
            self._log.popleft()


class SlidingCounter:
    """Counts in windows, and adds the share of the previous window that a sliding one would still contain."""

    def __init__(self, rate: Rate) -> None:
        self._seconds, self._most = _window(rate)
        self._window = float("-inf")
        self._before = self._count = 0

    def allow(self, now: float) -> bool:
        """Count a request if the rate admits it."""
        part, window = math.modf(now / self._seconds)
        if window != self._window:
            self._before = self._count if window == self._window + 1 else 0
            self._window, self._count = window, 0
        if self._before * (1 - part) + self._count + 1 > self._most:
            return False
        self._count += 1
        return True

    def rested(self, now: float) -> bool:
        """Whether both windows are over."""
        return now / self._seconds >= self._window + 2


class LeakyBucket:
    """Fills by requests, leaks at the rate, and refuses requests while its level exceeds the burst."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._level = 0.0
        self._when = 0.0

    def allow(self, now: float) -> bool:
        """Add a request if the level admits it."""
        self._leak(now)
        if self._level > self._rate.burst:
            return False
        self._level += 1
        return True

    def rested(self, now: float) -> bool:
        """Whether the bucket is empty."""
        self._leak(now)
        return not self._level

    def _leak(self, now: float) -> None:
        self._level = max(0.0, self._level - (now - self._when) * self._rate.per_second)
        self._when = now


def _scope(name: RateScope) -> Callable[[Config], Config]:
    """Limit the rates of tenants in another scope, which the profile then declares."""

    def arrange(config: Config) -> Config:
        tenants = (
            replace(tenant, rate=replace(tenant.rate, scope=name)) if tenant.rate else tenant
            for tenant in config.tenants
        )
        return replace(config, tenants=tuple(tenants))

    return arrange


_LIMIT_CLOSES = part(ends=lambda body, _: body.get("code") == "rate_limit_exceeded")


def _lost_with_the_limit(data: bytes) -> Iterable[bytes]:
    """Drop a write that holds rate_limit_exceeded and other answers: a reset may discard all of it."""
    return () if b"rate_limit_exceeded" in data and data.count(b'"type"') > 1 else (data,)


def _after_validation(behaviour: Behaviour) -> Behaviour:
    steps = dict(behaviour.steps)
    for kind in _COUNTED:
        steps[kind] = (RATE, *steps[kind])
    return replace(behaviour, every=(), steps=steps)


CHANGES: dict[str, Change] = {
    "rate-fixed-window": part(rate_limiter=FixedWindow),
    "rate-sliding-log": part(rate_limiter=SlidingLog),
    "rate-sliding-counter": part(rate_limiter=SlidingCounter),
    "rate-leaky-bucket": part(rate_limiter=LeakyBucket),
    "rate-of-valid-requests": _after_validation,
    "rate-limit-closes": _LIMIT_CLOSES,
    "rate-limit-resets-at-once": both(_LIMIT_CLOSES, writing(merge=True, reset=True, pieces=_lost_with_the_limit)),
}

ARRANGED = {
    "rate-by-subject": _scope("subject"),
    "rate-by-connection": _scope("connection"),
    "rate-by-address": _scope("address"),
}
