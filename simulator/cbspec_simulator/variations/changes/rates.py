"""Rates, allowed addresses, availability and failed transfers."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

from cbspec.profile.target import Rate, RateScope
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Heartbeat, TunnelInfo
from cbspec_simulator.base.limits import TokenBucket
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import RATE, Check, IoRequest, Step, allowed_address
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.changes.order import SECOND_AUTH_TAKES_OVER
from cbspec_simulator.variations.parts import Change, both, notes, part, writing
from cbspec_simulator.variations.steps import added, by_connection, by_subject, check, checking

_FORGETS = 2.0
_SHADOW = 1.0  # seconds for which all tenants are refused after one exceeded its rate


class _BanningBucket(TokenBucket):
    """Refuses every request after it has refused one."""

    __slots__ = ("_banned",)

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self._banned = False

    def allow(self, now: float) -> bool:
        self._banned = self._banned or not super().allow(now)
        return not self._banned

    def rested(self, now: float) -> bool:
        return not self._banned and super().rested(now)


class _SavingBucket(TokenBucket):
    """Saves up tokens without a limit."""

    __slots__ = ()

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self._size = math.inf


class _IndebtedBucket(TokenBucket):
    """Takes a token for each refused request as well."""

    __slots__ = ()

    def allow(self, now: float) -> bool:
        self._refill(now)
        self._level -= 1
        return self._level >= 0


class _ForgettingBucket(TokenBucket):
    """Is empty after two seconds without a request."""

    __slots__ = ("_last",)

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self._last = math.inf

    def allow(self, now: float) -> bool:
        admitted = super().allow(now)
        if now - self._last > _FORGETS:
            admitted, self._level = False, 0.0
        self._last = now
        return admitted

    def rested(self, now: float) -> bool:
        return False


def _one_rate_for_all(behaviour: Behaviour) -> Behaviour:
    """Apply the rate of the tenant that comes first to all."""
    known: list[Rate] = []

    def limiter(rate: Rate) -> TokenBucket:
        known.append(rate)
        return TokenBucket(known[0])

    return part(rate_limiter=limiter)(behaviour)


def _tenth(rate: Rate) -> TokenBucket:
    return TokenBucket(replace(rate, per_second=rate.per_second / 10, burst=max(1, rate.burst // 10)))


class _Window:
    """A window that admits the burst: its length in seconds, and the most requests in it."""

    def __init__(self, rate: Rate) -> None:
        self._seconds = max(1.0, rate.burst / rate.per_second)
        self._most = rate.per_second * self._seconds


class FixedWindow(_Window):
    """Counts requests in consecutive windows."""

    _number = float("-inf")  # compared instead of the window's bounds, which rounding could move
    _count = 0

    def allow(self, now: float) -> bool:
        """Count a request in the current window."""
        if self.rested(now):
            self._number, self._count = now // self._seconds, 0
        self._count += 1
        return self._count <= self._most

    def rested(self, now: float) -> bool:
        """Whether the window is over."""
        return now // self._seconds > self._number


class SlidingLog(_Window):
    """Keeps the times of admitted requests."""

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate)
        self._log: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Count the requests of the last window."""
        admitted = self.rested(now) or len(self._log) + 1 <= self._most
        if admitted:
            self._log.append(now)
        return admitted

    def rested(self, now: float) -> bool:
        """Whether the log is empty without the times before the last window."""
        while self._log and self._log[0] <= now - self._seconds:
            self._log.popleft()
        return not self._log


class SlidingCounter(_Window):
    """Counts in windows, and adds the share of the previous window that a sliding one would still contain."""

    _window = float("-inf")
    _before = _count = 0

    def allow(self, now: float) -> bool:
        """Count a request if the rate admits it."""
        part, window = math.modf(now / self._seconds)
        if window != self._window:
            self._before = self._count if window == self._window + 1 else 0
            self._window, self._count = window, 0
        admitted = self._before * (1 - part) + self._count + 1 <= self._most
        self._count += admitted
        return admitted

    def rested(self, now: float) -> bool:
        """Whether both windows are over."""
        return now / self._seconds >= self._window + 2


class LeakyBucket:
    """Fills by requests, leaks at the rate, and refuses requests while its level exceeds the burst."""

    _level = _when = 0.0

    def __init__(self, rate: Rate) -> None:
        self._rate = rate

    def allow(self, now: float) -> bool:
        """Add a request if the level admits it."""
        self.rested(now)
        admitted = self._level <= self._rate.burst
        self._level += admitted
        return admitted

    def rested(self, now: float) -> bool:
        """Whether the bucket is empty after it has leaked until now."""
        self._level = max(0.0, self._level - (now - self._when) * self._rate.per_second)
        self._when = now
        return not self._level


def _scope(name: RateScope | None) -> Callable[[Config], Config]:
    """Limit the rates of tenants in another scope, which the profile then declares; None: the profile omits it."""

    def arrange(config: Config) -> Config:
        tenants = (replace(one, rate=replace(one.rate, scope=name)) if one.rate else one for one in config.tenants)
        return replace(config, tenants=tuple(tenants))

    return arrange


def _lost_with_the_limit(data: bytes) -> Iterable[bytes]:
    """Drop a write that holds rate_limit_exceeded and other answers: a reset may discard all of it."""
    return () if b"rate_limit_exceeded" in data and data.count(b'"type"') > 1 else (data,)


def _after_validation(behaviour: Behaviour) -> Behaviour:
    steps = dict(behaviour.steps)
    for kind in (TunnelInfo, Heartbeat):  # auth has a step of its own
        steps[kind] = (RATE, *steps[kind])
    return replace(behaviour, every=(), steps=steps)


def _without_heartbeats(within_rate: Check, attempt: Attempt) -> IoRequest | None:
    return None if isinstance(attempt.request, Heartbeat) else within_rate(attempt)


_noted = notes()


def _rate_of_all(within_rate: Check, attempt: Attempt) -> IoRequest | None:
    noted, now = _noted(attempt.relay), attempt.now.monotonic
    try:
        wanted = within_rate(attempt)
    except Refused:
        noted["refused until"] = now + _SHADOW
        raise
    if now < noted.get("refused until", now):
        raise Refused(ErrorCode.RATE_LIMIT_EXCEEDED, "requests are too fast")
    return wanted


def _refused_address() -> Refused:
    return Refused(ErrorCode.IP_NOT_ALLOWED, "the address is not allowed")


def _next_refused(allowed: Check, attempt: Attempt) -> IoRequest | None:
    """Refuse the request after a refused one."""
    noted = _noted(attempt.relay)
    if noted.pop("refused", False):
        raise _refused_address()
    noted["refused"] = True
    wanted = allowed(attempt)
    del noted["refused"]
    return wanted


def _every_list(attempt: Attempt) -> None:
    """Check a tenant without a list against the lists of all tenants."""
    allowed_address(attempt)
    address, own = str(attempt.connection.address), attempt.known.tenant
    if not own.allowed_addresses and not all(tenant.allows(address) for tenant in attempt.relay.tenants.values()):
        raise _refused_address()


def _as_text(attempt: Attempt) -> None:
    allowed = attempt.known.tenant.allowed_addresses
    if allowed and str(attempt.connection.address) not in allowed:
        raise _refused_address()


def _for_good(attempt: Attempt) -> None:
    noted = _noted(attempt.relay)
    noted["drained"] = noted.get("drained") or attempt.relay.draining
    if noted["drained"]:
        raise Refused(ErrorCode.SERVER_UNAVAILABLE, "the relay takes no new work", close=True)


def _failed_once(attempt: Attempt) -> None:
    noted = _noted(attempt.relay)
    noted["failed"] = noted.get("failed") or attempt.dialled is False
    if noted["failed"]:
        raise Refused(ErrorCode.DATA_TRANSFER_FAILED, "the remote end is unreachable")


def _count_auth(attempt: Attempt) -> None:
    noted, tenant = _noted(attempt.relay), attempt.known.tenant.id
    noted[tenant] = noted.get(tenant, 0) + 1


def _since_auth(attempt: Attempt) -> Hashable:
    tenant = attempt.known.tenant.id
    return tenant, _noted(attempt.relay).get(tenant, 0)


_LIMIT_CLOSES = part(ends=lambda body, _: body.get("code") == "rate_limit_exceeded")

CHANGES: dict[str, Change] = {
    "rate-per-connection": part(rate_holder=by_connection),
    "rate-early": part(rate_limiter=_tenth),
    "rate-never-forgives": part(rate_limiter=_BanningBucket),
    "rate-shared": checking("rate", _rate_of_all),
    "rate-counted-together": part(rate_holder=lambda _: "tenants"),
    "address-list-as-text": check("allowed-address", _as_text),
    "address-list-of-all": check("allowed-address", _every_list),
    "address-list-of-another": checking("allowed-address", _next_refused),
    "unavailable-for-good": check("available", _for_good),
    "transfer-failure-stays": check("transferable", _failed_once),
    "rate-of-the-first-tenant": _one_rate_for_all,
    "rate-forgiven-by-auth": both(
        SECOND_AUTH_TAKES_OVER, added(Auth, Step("counted", _count_auth)), part(rate_holder=_since_auth)
    ),
    "rate-counts-refused": part(rate_limiter=_IndebtedBucket),
    "rate-saved-up": part(rate_limiter=_SavingBucket),
    "rate-used-up-by-time": part(rate_limiter=_ForgettingBucket),
    "rate-without-heartbeats": checking("rate", _without_heartbeats),
    "rate-fixed-window": part(rate_limiter=FixedWindow),
    "rate-sliding-log": part(rate_limiter=SlidingLog),
    "rate-sliding-counter": part(rate_limiter=SlidingCounter),
    "rate-leaky-bucket": part(rate_limiter=LeakyBucket),
    "rate-of-valid-requests": _after_validation,
    "rate-limit-closes": _LIMIT_CLOSES,
    "rate-limit-resets-at-once": both(_LIMIT_CLOSES, writing(merge=True, reset=True, pieces=_lost_with_the_limit)),
    "rate-counted-by-connection": part(rate_holder=by_connection),
    "rate-counted-by-subject": part(rate_holder=by_subject),
}

ARRANGED = {
    "rate-by-subject": _scope("subject"),
    "rate-by-connection": _scope("connection"),
    "rate-by-address": _scope("address"),
    "rate-counted-by-connection": _scope(None),
    "rate-counted-by-subject": _scope(None),
}
