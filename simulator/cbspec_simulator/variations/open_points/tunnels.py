"""Tunnels, tenants and limits: identifiers used twice, whose name is whose, what counts, what is looked at first."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Message, TunnelInfo, Violation
from cbspec.tokens.jws import Compact
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.base.steps import BUFFERS, TENANT_CONNECTIONS, TENANT_TUNNELS, Quota, Step
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.compose import (
    Change,
    both,
    by_connection,
    by_subject,
    check,
    each_step,
    part,
    recoded,
    refusals,
    refuses,
)
from cbspec_simulator.variations.open_points.kind import OpenPoint


def _first(step: Step) -> Change:
    """Take a step before the others of tunnel_info."""

    def change(behaviour: Behaviour) -> Behaviour:
        return replace(behaviour, steps={**behaviour.steps, TunnelInfo: (step, *behaviour.steps[TunnelInfo])})

    return change


def _unique(users: Callable[[Attempt], set[str]]) -> Change:
    """Refuse a tunnel_id that is in use among those that a function gives."""

    def look(attempt: Attempt) -> None:
        assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - a step of tunnel_info only
        if attempt.request.tunnel_id in users(attempt):
            raise Refused(ErrorCode.INVALID_TUNNEL_INFO, "the tunnel_id is in use")

    return _first(Step("unique", look))


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


def _whole_ports(behaviour: Behaviour) -> Behaviour:
    """Take integers only as ports, and no other spelling of one."""

    def understand(value: object) -> Message | Violation:
        if isinstance(value, dict) and value.get("type") == "tunnel_info":
            for member in ("local_port", "remote_port"):
                if isinstance(value.get(member), float):
                    return Violation("CB-TUN-101", ErrorCode.INVALID_TUNNEL_INFO, f"{member} must be an integer")
        return behaviour.understand(value)

    return replace(behaviour, understand=understand)


def _limit_first(quota: Quota, holder: Callable[[Identity], Hashable]) -> Change:
    """Look at a limit before the tunnel_info itself."""

    def refuse(attempt: Attempt, event: Any) -> Refused | None:  # noqa: ANN401 - a RequestRefused
        if attempt.identity is None or event.code is not ErrorCode.INVALID_TUNNEL_INFO:
            return None
        most = quota.limit(attempt)
        used = attempt.relay.usage.used(Account(quota.name, holder(attempt.identity)))
        return Refused(quota.code, quota.text) if most is not None and used >= most else None

    return refusals(refuse)


def _refused_auths_count(attempt: Attempt, refused: Refused) -> None:
    """Count a refused auth's connection for the tenant that its token names, right or wrong."""
    if not isinstance(attempt.request, Auth) or refused.code is not ErrorCode.INVALID_TOKEN:
        return
    try:
        tenant = Compact.split(attempt.request.token).claims.get("tenant_id")
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
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - a step of tunnel_info only
    if attempt.request.tenant_id.lower() != attempt.known.tenant.id.lower():
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the tenant_id is not that of the connection's token")


def _scope_unsaid(config: Config) -> Config:
    """Let nobody declare whose rate is limited."""
    tenants = (replace(one, rate=replace(one.rate, scope=None)) if one.rate else one for one in config.tenants)
    return replace(config, tenants=tuple(tenants))


OPEN_POINTS = (
    OpenPoint(
        "ports-in-whole-digits",
        "CB-TUN-101",
        "A port must be spelt as an integer: 3389.0 is refused.",
        _whole_ports,
    ),
    OpenPoint(
        "tunnel-id-once-on-a-connection",
        "CB-TUN-102",
        "A tunnel_id can't be used twice on one connection.",
        _unique(lambda attempt: attempt.connection.tunnels),
    ),
    OpenPoint(
        "tunnel-id-once-in-a-tenant",
        "CB-TUN-103",
        "A tunnel_id that another connection of the tenant uses is refused.",
        _unique(_others_of_tenant),
    ),
    OpenPoint(
        "tunnel-id-once-in-the-relay",
        "CB-TUN-103",
        "A tunnel_id that any other connection uses is refused.",
        _unique(_others),
    ),
    OpenPoint(
        "tunnel-id-twice-counts-twice",
        "CB-LIM-104",
        "A tunnel_id that is used twice counts twice towards the tenant's limit.",
        each_step(TENANT_TUNNELS.name, lambda step: (replace(step, when=None),)),
    ),
    OpenPoint(
        "tunnel-limit-before-validation",
        "CB-LIM-103",
        "A tenant's limit of tunnels is looked at before the tunnel_info itself.",
        _limit_first(TENANT_TUNNELS, lambda identity: identity.tenant.id),
    ),
    OpenPoint(
        "pool-before-validation",
        "CB-BUF-101",
        "The pool of buffers is looked at before the tunnel_info itself.",
        _limit_first(BUFFERS, lambda _: None),
    ),
    OpenPoint(
        "refused-auths-count",
        "CB-LIM-102",
        "A refused auth counts as a connection of the tenant that its token names.",
        part(refused=_refused_auths_count),
    ),
    OpenPoint(
        "rate-counted-by-connection",
        "CB-RAT-101",
        "A tenant's rate is counted for each connection, and nobody declares it.",
        part(rate_holder=by_connection),
        _scope_unsaid,
    ),
    OpenPoint(
        "rate-counted-by-subject",
        "CB-RAT-101",
        "A tenant's rate is counted for each subject, and nobody declares it.",
        part(rate_holder=by_subject),
        _scope_unsaid,
    ),
    OpenPoint(
        "tenant-names-in-any-case",
        "CB-TEN-102",
        "Capital and small letters are alike in a tenant's name.",
        both(check("known-tenant", _any_case), check("own-tenant", _own_in_any_case)),
    ),
    OpenPoint(
        "tunnel-with-empty-tenant-as-tenant-not-found",
        "CB-TEN-103",
        "A tunnel_info whose tenant_id is empty is refused with tenant_not_found.",
        refuses("tunnel_info", "tenant_id", lambda value: value == "", ErrorCode.TENANT_NOT_FOUND),
    ),
    OpenPoint(
        "tenant-error-as-invalid-token",
        "CB-TEN-004",
        "A token of a tenant that isn't served is refused as invalid.",
        recoded("known-tenant", ErrorCode.INVALID_TOKEN),
    ),
    OpenPoint(
        "foreign-tenant-as-invalid-tunnel-info",
        "CB-TEN-007",
        "A tunnel for another tenant is refused as invalid.",
        recoded("own-tenant", ErrorCode.INVALID_TUNNEL_INFO),
    ),
    OpenPoint(
        "foreign-tenant-as-invalid-token",
        "CB-TEN-007",
        "A tunnel for another tenant is refused with invalid_token.",
        recoded("own-tenant", ErrorCode.INVALID_TOKEN),
    ),
)
