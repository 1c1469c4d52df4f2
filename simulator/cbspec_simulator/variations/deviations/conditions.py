"""Deviations of rates, allowed addresses, availability and failed transfers."""

from __future__ import annotations

from dataclasses import replace

from cbspec.profile.target import Rate
from cbspec.protocol.codes import ErrorCode
from cbspec_simulator.base.limits import TokenBucket
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import Check, Dial, allowed_address
from cbspec_simulator.variations.parts import Change, part
from cbspec_simulator.variations.steps import by_connection, check, watching

_SHADOW = 1.0  # seconds for which all tenants are refused after one exceeded its rate


class _BanningMeter:
    """Refuses every request after it has refused one."""

    def __init__(self, rate: Rate) -> None:
        self._bucket = TokenBucket(rate)
        self._banned = False

    def allow(self, now: float) -> bool:
        self._banned = self._banned or not self._bucket.allow(now)
        return not self._banned

    def rested(self, now: float) -> bool:
        return not self._banned and self._bucket.rested(now)


def _tenth(rate: Rate) -> TokenBucket:
    return TokenBucket(replace(rate, per_second=rate.per_second / 10, burst=max(1, rate.burst // 10)))


def _refused_address() -> Refused:
    return Refused(ErrorCode.IP_NOT_ALLOWED, "the address is not allowed")


def _rate_of_all(inner: Check) -> Check:
    until = float("-inf")

    def within(attempt: Attempt) -> None:
        nonlocal until
        now = attempt.now.monotonic
        try:
            inner(attempt)
        except Refused:
            until = now + _SHADOW
            raise
        if now < until:
            raise Refused(ErrorCode.RATE_LIMIT_EXCEEDED, "requests are too fast")

    return within


def _next_refused(inner: Check) -> Check:
    refused = [False]

    def allowed(attempt: Attempt) -> None:
        if refused[0]:
            refused[0] = False
            raise _refused_address()
        refused[0] = True
        inner(attempt)
        refused[0] = False

    return allowed


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


def _for_good(_: Check) -> Check:
    closed = False

    def check(attempt: Attempt) -> None:
        nonlocal closed
        closed = closed or attempt.relay.draining
        if closed:
            raise Refused(ErrorCode.SERVER_UNAVAILABLE, "the relay takes no new work", close=True)

    return check


def _failed_once(_: Check) -> Check:
    failed = False

    def transferable(attempt: Attempt) -> Dial | None:
        nonlocal failed
        failed = failed or attempt.dialled is False
        if failed:
            raise Refused(ErrorCode.DATA_TRANSFER_FAILED, "the remote end is unreachable")
        return None

    return transferable


CHANGES: dict[str, Change] = {
    "rate-per-connection": part(rate_holder=by_connection),
    "rate-early": part(rate_limiter=_tenth),
    "rate-never-forgives": part(rate_limiter=_BanningMeter),
    "rate-shared": watching("rate", _rate_of_all),
    "rate-counted-together": part(rate_holder=lambda _: "tenants"),
    "address-list-as-text": check("allowed-address", _as_text),
    "address-list-of-all": check("allowed-address", _every_list),
    "address-list-of-another": watching("allowed-address", _next_refused),
    "unavailable-for-good": watching("available", _for_good),
    "transfer-failure-stays": watching("transferable", _failed_once),
}
