"""Ways to count a rate: by which method, whose, and of what."""

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
from cbspec_simulator.variations.compose import Change, both, part, writing
from cbspec_simulator.variations.variants.kind import Variant

_COUNTED: tuple[type[Request], ...] = (TunnelInfo, Heartbeat)  # auth has a step of its own


def _window(rate: Rate) -> tuple[float, float]:
    """Return the seconds of a window that has room for the burst, and how many requests it takes."""
    seconds = max(1.0, rate.burst / rate.per_second)
    return seconds, rate.per_second * seconds


class FixedWindow:
    """Counts in windows that follow each other."""

    __slots__ = ("_count", "_most", "_number", "_seconds")

    def __init__(self, rate: Rate) -> None:
        self._seconds, self._most = _window(rate)
        self._number = float("-inf")  # the window's, which no rounding divides in two as it might its bounds
        self._count = 0

    def allow(self, now: float) -> bool:
        """Count a request in the window of now."""
        if self.rested(now):
            self._number, self._count = now // self._seconds, 0
        self._count += 1
        return self._count <= self._most

    def rested(self, now: float) -> bool:
        """Say whether the window is over."""
        return now // self._seconds > self._number


class SlidingLog:
    """Remembers when each request came that was within the rate."""

    __slots__ = ("_log", "_most", "_seconds")

    def __init__(self, rate: Rate) -> None:
        self._seconds, self._most = _window(rate)
        self._log: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Count the requests of the last seconds."""
        self._forget(now)
        if len(self._log) + 1 > self._most:
            return False
        self._log.append(now)
        return True

    def rested(self, now: float) -> bool:
        """Say whether nothing is remembered any more."""
        self._forget(now)
        return not self._log

    def _forget(self, now: float) -> None:
        while self._log and self._log[0] <= now - self._seconds:
            self._log.popleft()


class SlidingCounter:
    """Counts in windows, and reckons with so much of the window before as would still be in a sliding one."""

    __slots__ = ("_before", "_count", "_most", "_seconds", "_window")

    def __init__(self, rate: Rate) -> None:
        self._seconds, self._most = _window(rate)
        self._window = float("-inf")
        self._before = self._count = 0

    def allow(self, now: float) -> bool:
        """Count a request, where there is room for it."""
        part, window = math.modf(now / self._seconds)
        if window != self._window:
            self._before = self._count if window == self._window + 1 else 0
            self._window, self._count = window, 0
        if self._before * (1 - part) + self._count + 1 > self._most:
            return False
        self._count += 1
        return True

    def rested(self, now: float) -> bool:
        """Say whether both windows are over."""
        return now / self._seconds >= self._window + 2


class LeakyBucket:
    """Fills with requests and leaks steadily; what finds more than the burst in it is refused."""

    __slots__ = ("_level", "_rate", "_when")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._level = 0.0
        self._when = 0.0

    def allow(self, now: float) -> bool:
        """Pour a request in, where it doesn't stand too high."""
        self._leak(now)
        if self._level > self._rate.burst:
            return False
        self._level += 1
        return True

    def rested(self, now: float) -> bool:
        """Say whether the bucket is empty."""
        self._leak(now)
        return not self._level

    def _leak(self, now: float) -> None:
        self._level = max(0.0, self._level - (now - self._when) * self._rate.per_second)
        self._when = now


def _scope(name: RateScope) -> Callable[[Config], Config]:
    """Count the rates of tenants in another scope, which the profile then declares."""

    def arrange(config: Config) -> Config:
        tenants = (
            replace(tenant, rate=replace(tenant.rate, scope=name)) if tenant.rate else tenant
            for tenant in config.tenants
        )
        return replace(config, tenants=tuple(tenants))

    return arrange


def _by(name: RateScope, sentence: str) -> Variant:
    return Variant(f"rate-by-{name}", sentence, arrange=_scope(name))


_LIMIT_CLOSES = part(ends=lambda body, _: body.get("code") == "rate_limit_exceeded")


def _lost_with_the_limit(data: bytes) -> Iterable[bytes]:
    """Leave out what goes out together with rate_limit_exceeded, and the error too: a reset may throw both away."""
    return () if b"rate_limit_exceeded" in data and data.count(b'"type"') > 1 else (data,)


def _after_validation(behaviour: Behaviour) -> Behaviour:
    steps = dict(behaviour.steps)
    for kind in _COUNTED:
        steps[kind] = (RATE, *steps[kind])
    return replace(behaviour, every=(), steps=steps)


def _counted(meter: Callable[[Rate], object]) -> Change:
    return part(rate_limiter=meter)


VARIANTS = (
    Variant("rate-fixed-window", "The rate is counted in fixed windows.", _counted(FixedWindow)),
    Variant("rate-sliding-log", "The rate is counted in a sliding window, by a log.", _counted(SlidingLog)),
    Variant(
        "rate-sliding-counter", "The rate is counted in a sliding window, by two counters.", _counted(SlidingCounter)
    ),
    Variant("rate-leaky-bucket", "The rate is counted by a bucket that leaks.", _counted(LeakyBucket)),
    Variant("rate-of-valid-requests", "Only valid requests count towards the rate.", _after_validation),
    Variant(
        "rate-limit-closes",
        "The connection is closed behind rate_limit_exceeded, and behind no other error.",
        _LIMIT_CLOSES,
    ),
    Variant(
        "rate-limit-resets-at-once",
        "Behind rate_limit_exceeded the connection is reset; where requests came together, that is all they draw.",
        both(_LIMIT_CLOSES, writing(merge=True, reset=True, pieces=_lost_with_the_limit)),
    ),
    _by("subject", "A tenant's rate is counted for each subject."),
    _by("connection", "A tenant's rate is counted for each connection."),
    _by("address", "A tenant's rate is counted for each client address."),
)
