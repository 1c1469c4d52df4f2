"""Tunnels, tenants and limits: repeated identifiers, names of tenants, counting, and the order of checks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Message, TunnelInfo, Violation
from cbspec.tokens.jws import CompactJws
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.base.steps import BUFFERS, TENANT_CONNECTIONS, TENANT_TUNNELS, Quota, Step
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.parts import Change, both, part
from cbspec_simulator.variations.requests import refuses, understands
from cbspec_simulator.variations.steps import (
    added,
    by_connection,
    by_subject,
    check,
    each_step,
    refusals,
    tunnel_request,
)


def _unique(users: Callable[[Attempt], set[str]]) -> Change:
    """Refuse a tunnel_id that is among those that a function returns."""

    def look(attempt: Attempt) -> None:
        if tunnel_request(attempt).tunnel_id in users(attempt):
            raise Refused(ErrorCode.INVALID_TUNNEL_INFO, "the tunnel_id is in use")

    return added(TunnelInfo, Step("unique", look), first=True)


def _others(attempt: Attempt) -> set[str]:
    others = (session for session in attempt.relay.connections if session is not attempt.connection)
    return {tunnel for session in others for tunnel in session.tunnels}


def _others_of_tenant(attempt: Attempt) -> set[str]:
    return {
        tunnel
        for session in attempt.relay.connections
        if session is not attempt.connection and session.identity and session.identity.tenant == attempt.known.tenant
        for tunnel in session.tunnels
    }


def _whole_ports(understand: Callable[[object], Message | Violation], value: object) -> Message | Violation:
    """Accept integers only as ports."""
    if isinstance(value, dict) and value.get("type") == "tunnel_info":
        for member in ("local_port", "remote_port"):
            if isinstance(value.get(member), float):
                return Violation("CB-TUN-101", ErrorCode.INVALID_TUNNEL_INFO, f"{member} must be an integer")
    return understand(value)


def _limit_first(quota: Quota, holder: Callable[[Identity], Hashable]) -> Change:
    """Check a limit before the tunnel_info itself."""

    def refuse(attempt: Attempt, event: Any) -> Refused | None:  # noqa: ANN401 - a RequestRefused
        if attempt.identity is None or event.code is not ErrorCode.INVALID_TUNNEL_INFO:
            return None
        most = quota.limit(attempt)
        used = attempt.relay.usage.used(Account(quota.name, holder(attempt.identity)))
        return Refused(quota.code, quota.text) if most is not None and used >= most else None

    return refusals(refuse)


def _refused_auths_count(attempt: Attempt, refused: Refused) -> None:
    """Count the connection of a refused auth for the tenant that its token names."""
    if not isinstance(attempt.request, Auth) or refused.code is not ErrorCode.INVALID_TOKEN:
        return
    try:
        tenant = CompactJws.split(attempt.request.token).claims.get("tenant_id")
    except ValueError:
        return
    account = Account(TENANT_CONNECTIONS.name, tenant if isinstance(tenant, str) else "")
    attempt.relay.usage.take(account, None)
    attempt.connection.hold(account)


def _any_case(attempt: Attempt) -> None:
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by a step before
    named = str(claims.tenant_id).lower()
    tenant = next((one for id_, one in attempt.relay.tenants.items() if id_.lower() == named), None)
    if tenant is None or not tenant.active:
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the token's tenant is not known here or not active")
    attempt.identity = Identity(claims.subject, tenant)


def _own_in_any_case(attempt: Attempt) -> None:
    if tunnel_request(attempt).tenant_id.lower() != attempt.known.tenant.id.lower():
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the tenant_id is not that of the connection's token")


def _scope_unsaid(config: Config) -> Config:
    """Omit the scope of rates from the profile."""
    tenants = (replace(one, rate=replace(one.rate, scope=None)) if one.rate else one for one in config.tenants)
    return replace(config, tenants=tuple(tenants))


CHANGES: dict[str, Change] = {
    "ports-in-whole-digits": understands(_whole_ports),
    "tunnel-id-once-on-a-connection": _unique(lambda attempt: attempt.connection.tunnels),
    "tunnel-id-once-in-a-tenant": _unique(_others_of_tenant),
    "tunnel-id-once-in-the-relay": _unique(_others),
    "tunnel-id-twice-counts-twice": each_step(TENANT_TUNNELS.name, lambda step: (replace(step, when=None),)),
    "tunnel-limit-before-validation": _limit_first(TENANT_TUNNELS, lambda identity: identity.tenant.id),
    "pool-before-validation": _limit_first(BUFFERS, lambda _: None),
    "refused-auths-count": part(refused=_refused_auths_count),
    "rate-counted-by-connection": part(rate_holder=by_connection),
    "rate-counted-by-subject": part(rate_holder=by_subject),
    "tenant-names-in-any-case": both(check("known-tenant", _any_case), check("own-tenant", _own_in_any_case)),
    "tunnel-with-empty-tenant-as-tenant-not-found": refuses(
        "tunnel_info", "tenant_id", lambda value: value == "", ErrorCode.TENANT_NOT_FOUND
    ),
}

ARRANGED = {"rate-counted-by-connection": _scope_unsaid, "rate-counted-by-subject": _scope_unsaid}
