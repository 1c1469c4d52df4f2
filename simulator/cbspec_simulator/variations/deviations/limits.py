"""Deviations of limits: of tunnels, connections and buffers, on which account they count, and when they end."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import TunnelInfo
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.base.limits import Account, UsageCounters
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import (
    BUFFERS,
    RELAY_CONNECTIONS,
    TENANT_CONNECTIONS,
    TENANT_TUNNELS,
    Check,
    IoRequest,
    Quota,
    Step,
)
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.answers import answers
from cbspec_simulator.variations.parts import Change, both, part
from cbspec_simulator.variations.steps import by_connection, by_subject, each_step, quota, watching

_TUNNELS, _CONNECTIONS = TENANT_TUNNELS.name, TENANT_CONNECTIONS.name
_RELAY, _BUFFERS = RELAY_CONNECTIONS.name, BUFFERS.name
_OVER = ErrorCode.TENANT_LIMIT_EXCEEDED
_AT_ONCE = 0.01  # seconds


def _shared(name: str, limit_of: str) -> Change:
    """Refuse every tenant while any tenant is at its limit."""

    def full(attempt: Attempt) -> None:
        for tenant in attempt.relay.tenants.values():
            most = getattr(tenant, limit_of)
            if most is not None and attempt.relay.usage.used(Account(name, tenant.id)) >= most:
                raise Refused(_OVER, "the limit is reached")

    return each_step(name, lambda step: (Step(f"{name}-of-all", full, step.when), step))


def _counting_refused(*codes: ErrorCode) -> Change:
    """Count a tunnel although it was refused with one of these codes."""

    def refused(attempt: Attempt, refusal: Refused) -> None:
        wanted = attempt.request is None or isinstance(attempt.request, TunnelInfo)
        if wanted and refusal.code in codes and attempt.identity is not None:
            account = Account(_TUNNELS, attempt.identity.tenant.id)
            attempt.relay.usage.take(account, None)
            attempt.connection.hold(account)

    return part(refused=refused)


def _once(name: str, whose: Callable[[Attempt], Hashable]) -> Change:
    """Refuse each account only once."""

    def make(inner: Check) -> Check:
        refused: set[Hashable] = set()

        def check(attempt: Attempt) -> None:
            key = id(attempt.relay), whose(attempt)
            try:
                inner(attempt)
            except Refused:
                if key in refused:
                    return
                refused.add(key)
                raise

        return check

    return watching(name, make)


def _checked_first(name: str, together: Callable[[Moment, Moment], bool]) -> Change:
    """Check simultaneous requests against the count before the first of them."""

    def make(inner: Check) -> Check:
        assert isinstance(inner, Quota)  # noqa: S101 - the step of that name is one
        checks: dict[Hashable, tuple[Moment, int]] = {}

        def check(attempt: Attempt) -> None:
            account = Account(name, inner.holder(attempt))
            usage, limit, key = attempt.relay.usage, inner.limit(attempt), (id(attempt.relay), account)
            if key not in checks or not together(checks[key][0], attempt.now):
                checks[key] = attempt.now, usage.used(account)
            if limit is not None and checks[key][1] >= limit:
                raise Refused(inner.code, inner.text, close=inner.close)
            usage.take(account, None)
            attempt.held.append(account)

        return check

    return watching(name, make)


def _freed(name: str, by: str) -> Change:
    """Empty an account when a connection ends that holds something of another account.

    The account of a tenant is emptied by that tenant's connections only.
    """

    def change(behaviour: Behaviour) -> Behaviour:
        counters: set[UsageCounters] = set()

        def make(inner: Check) -> Check:
            def check(attempt: Attempt) -> IoRequest | None:
                counters.add(attempt.relay.usage)
                return inner(attempt)

            return check

        def releases(account: Account) -> bool:
            if account.name == by:
                freed = Account(name, account.holder if name != _BUFFERS else None)
                for usage in counters:
                    while usage.used(freed) > (name == by):
                        usage.give(freed)
            return behaviour.releases(account)

        return watching(name, make)(replace(behaviour, releases=releases))

    return change


def _refusal_frees(attempt: Attempt, refused: Refused) -> None:
    """Stop counting a connection whose tunnel was refused."""
    if refused.code is ErrorCode.INVALID_TUNNEL_INFO and attempt.identity is not None:
        account = Account(_CONNECTIONS, attempt.identity.tenant.id)
        if attempt.relay.usage.used(account):
            attempt.relay.usage.give(account)


def _refused_takes_buffer(attempt: Attempt, refused: Refused) -> None:
    if refused.code is ErrorCode.INVALID_TUNNEL_INFO:
        attempt.relay.usage.take(Account(_BUFFERS, None), None)


def _refused_and_served(behaviour: Behaviour) -> Behaviour:
    """Send the error, and serve the connection nevertheless."""
    refused: set[tuple[int, int]] = set()

    def make(inner: Check) -> Check:
        def check(attempt: Attempt) -> None:
            try:
                inner(attempt)
            except Refused:
                refused.add((id(attempt.relay), attempt.connection.number))

        return check

    def edit(body: Body, exchange: AnswerContext) -> Body:
        code = {"type": "error", "code": "connection_limit_reached", "message": "the relay is full"}
        session = exchange.connection
        return code if (id(session.relay), session.number) in refused else body

    return both(watching(_RELAY, make), answers("hello_response", edit))(behaviour)


def _tenant(attempt: Attempt) -> str:
    return attempt.known.tenant.id


def _transport(attempt: Attempt) -> Hashable:
    return _tenant(attempt), attempt.connection.transport


def _connection(attempt: Attempt) -> Hashable:
    return attempt.connection.number


def _common(_: Attempt) -> None:
    """Return the account of everybody."""
    return


CHANGES: dict[str, Change] = {
    "tunnel-limit-looked-at-first": _checked_first(
        _TUNNELS, lambda earlier, now: now.monotonic - earlier.monotonic < 2 * _AT_ONCE
    ),
    "tunnel-limit-counts-refused": _counting_refused(ErrorCode.INVALID_TUNNEL_INFO, ErrorCode.TENANT_NOT_FOUND),
    "tunnel-limit-counts-failed-transfers": _counting_refused(ErrorCode.DATA_TRANSFER_FAILED),
    "tunnel-limit-shared": _shared(_TUNNELS, "tunnel_limit"),
    "tunnel-limit-counts-others": quota(_TUNNELS, holder=_common),
    "tunnel-limit-per-connection": quota(_TUNNELS, holder=by_connection),
    "tunnel-limit-per-subject": quota(_TUNNELS, holder=by_subject),
    "tunnel-limit-per-transport": quota(_TUNNELS, holder=_transport),
    "tunnel-limit-freed-by-any-close": _freed(_TUNNELS, _CONNECTIONS),
    "tenant-connections-per-subject": quota(_CONNECTIONS, holder=by_subject),
    "tenant-connections-per-transport": quota(_CONNECTIONS, holder=_transport),
    "tenant-connections-looked-at-first": _checked_first(
        _CONNECTIONS, lambda earlier, now: now.monotonic - earlier.monotonic < _AT_ONCE
    ),
    "tenant-connections-freed-by-any-close": _freed(_CONNECTIONS, _CONNECTIONS),
    "tenant-connections-freed-by-refusal": part(refused=_refusal_frees),
    "tenant-connections-shared": _shared(_CONNECTIONS, "connection_limit"),
    "tenant-connections-count-others": quota(_CONNECTIONS, holder=_common),
    "second-hello-counts": each_step(_RELAY, lambda step: (Step(step.name, step.check),)),
    "relay-connections-told-and-served": _refused_and_served,
    "buffer-pool-counts-refused": part(refused=_refused_takes_buffer),
    "buffer-pool-once": _once(_BUFFERS, _connection),
    "buffer-pool-per-connection": quota(_BUFFERS, holder=_connection),
    "buffer-pool-per-tenant": quota(_BUFFERS, holder=_tenant),
    "buffer-pool-freed-by-any-close": _freed(_BUFFERS, _CONNECTIONS),
}
