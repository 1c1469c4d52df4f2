"""Tenants in tokens and in tunnel_infos."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import TunnelInfo
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.base.steps import Check, IoRequest, complete_claims, known_tenant
from cbspec_simulator.variations.answers import request_is, unanswered
from cbspec_simulator.variations.parts import Change, both
from cbspec_simulator.variations.requests import Test, accepts, missing
from cbspec_simulator.variations.steps import check, checking, claims_of, tunnel_request

_OWN = "\0own"
"""Replaces a tenant_id in a tunnel_info: the tenant of the connection's token."""


def _without_tenant(attempt: Attempt) -> None:
    """Use the first tenant if a token names none."""
    claims = claims_of(attempt)
    if claims.all.get("tenant_id") is None:
        first = next(tenant.id for tenant in attempt.relay.tenants.values() if tenant.active)
        attempt.claims = replace(claims, tenant_id=first)
    complete_claims(attempt)


def _tenant_only(attempt: Attempt) -> None:
    """Require a tenant, and name a client without a subject anonymous."""
    claims = claims_of(attempt)
    attempt.claims = replace(claims, subject=claims.subject or "anonymous")
    complete_claims(attempt)


def _empty_is_unknown(attempt: Attempt) -> None:
    """Require a subject, and a string as tenant, which may be empty."""
    if not claims_of(attempt).subject or not isinstance(claims_of(attempt).tenant_id, str):
        raise Refused(ErrorCode.INVALID_TOKEN, "the token is not accepted: it names no subject or no tenant")


def _found(find: Callable[[Attempt, str], Tenant | None]) -> Change:
    """Find an unknown or inactive tenant in another way."""

    def known(attempt: Attempt) -> None:
        tenant = find(attempt, str(claims_of(attempt).tenant_id))
        if tenant is None:
            known_tenant(attempt)
        else:
            attempt.identity = Identity(claims_of(attempt).subject, tenant)

    return check("known-tenant", known)


def _unknown(find: Callable[[Attempt, str], Tenant | None]) -> Change:
    """Find an unknown tenant in another way."""
    return _found(lambda attempt, name: None if name in attempt.relay.tenants else find(attempt, name))


def _alike(test: Callable[[str, str], bool]) -> Change:
    """Find an active tenant if `test` is true of its id and the name in the token."""
    return _unknown(
        lambda attempt, name: next(
            (tenant for id_, tenant in attempt.relay.tenants.items() if test(id_, name) and tenant.active), None
        )
    )


def _inactive_refused(attempt: Attempt) -> None:
    tenant = attempt.relay.tenants.get(str(claims_of(attempt).tenant_id))
    if tenant is not None and not tenant.active:
        raise Refused(ErrorCode.INVALID_TOKEN, "the tenant isn't active")
    known_tenant(attempt)


def _unknown_is_elsewhere(attempt: Attempt) -> None:
    if str(claims_of(attempt).tenant_id) not in attempt.relay.tenants:
        raise Refused(ErrorCode.IP_NOT_ALLOWED, "not from here")
    known_tenant(attempt)


def _tolerant(test: Callable[[Attempt, str, str], bool]) -> Change:
    """Open a tunnel for another tenant if `test` is true of the token's tenant and the named one."""

    def own_tenant(inner: Check, attempt: Attempt) -> IoRequest | None:
        let_through = test(attempt, attempt.known.tenant.id, tunnel_request(attempt).tenant_id)
        return None if let_through else inner(attempt)

    return checking("own-tenant", own_tenant)


def _connected(attempt: Attempt, _: str, name: str) -> bool:
    sessions = attempt.relay.connections
    return any(session.identity is not None and session.identity.tenant.id == name for session in sessions)


def _named(test: Callable[[str, str], bool]) -> Change:
    return _tolerant(lambda _, own, name: test(own, name))


def _tunnel_without(when: Test) -> Change:
    """Use the connection's tenant for a tunnel_info if `when` is true of its tenant_id."""
    return both(accepts("tunnel_info", "tenant_id", when, _OWN), _named(lambda _, named: named is _OWN))


def _like(pattern: str) -> re.Pattern[str]:
    """Return the expression for a pattern of SQL's LIKE."""
    return re.compile(re.escape(pattern).replace("_", ".").replace("%", ".*"), re.DOTALL)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


CHANGES: dict[str, Change] = {
    "tenant-claim-missing-accepted": check("complete-claims", _without_tenant),
    "subject-not-required": check("complete-claims", _tenant_only),
    "empty-tenant-as-tenant-not-found": check("complete-claims", _empty_is_unknown),
    "unknown-tenant-accepted": _unknown(lambda _, name: Tenant(name)),
    "unknown-tenant-wrong-code": check("known-tenant", _unknown_is_elsewhere),
    "tenant-prefix-accepted": _alike(lambda id_, name: name.startswith(id_)),
    "tenant-suffix-accepted": _alike(lambda id_, name: name.endswith(f"-{id_}")),
    "tenant-as-sql-pattern": _alike(lambda id_, name: _like(name).fullmatch(id_) is not None),
    "tenant-as-glob": _alike(lambda id_, name: fnmatch.fnmatchcase(id_, name)),
    "tenant-url-decoded": _unknown(lambda attempt, name: attempt.relay.tenants.get(unquote(name))),
    "tenant-beginning-accepted": _alike(lambda id_, name: id_.startswith(name)),
    "tenant-of-a-list-accepted": _unknown(lambda attempt, name: attempt.relay.tenants.get(name.partition(",")[0])),
    "tunnel-for-tenant-as-sql-pattern": _named(lambda own, name: _like(name).fullmatch(own) is not None),
    "tunnel-for-tenant-compared-by-8-letters": _named(lambda own, name: own[:8] == name[:8]),
    "tenant-trimmed": _unknown(lambda attempt, name: attempt.relay.tenants.get(name.strip())),
    "tenant-names-in-any-case": both(
        _alike(lambda id_, name: id_.lower() == name.lower()), _named(lambda own, name: own.lower() == name.lower())
    ),
    "inactive-tenant-accepted": _found(lambda attempt, name: attempt.relay.tenants.get(name)),
    "inactive-tenant-as-invalid-token": check("known-tenant", _inactive_refused),
    "tunnel-tenant-missing-accepted": _tunnel_without(missing),
    "tunnel-tenant-empty-accepted": _tunnel_without(lambda value: value == ""),
    "tunnel-for-connected-tenant": _tolerant(_connected),
    "tunnel-for-unknown-tenant": _tolerant(lambda attempt, _, name: name not in attempt.relay.tenants),
    "tunnel-for-inactive-tenant": _tolerant(
        lambda attempt, _, name: name in attempt.relay.tenants and not attempt.relay.tenants[name].active
    ),
    "tunnel-for-tenant-prefix": _named(lambda own, name: name.startswith(own)),
    "tunnel-for-tenant-cut-short": _named(lambda own, name: own.startswith(name)),
    "tunnel-for-tenant-in-capitals": _named(lambda own, name: _folded(name) == own.casefold()),
    "tunnel-for-tenant-with-space": _named(lambda own, name: name.strip() == own),
    "tunnel-for-tenant-with-nul": _named(lambda own, name: name.partition("\0")[0] == own),
    "tunnel-for-another-tenant-unanswered": unanswered("error:tenant_not_found", request_is(TunnelInfo)),
}
