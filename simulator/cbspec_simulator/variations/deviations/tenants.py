"""Ways to be wrong about tenants."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Callable
from dataclasses import replace

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import TunnelInfo
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.base.steps import Errand, Step, complete_claims, known_tenant
from cbspec_simulator.variations.compose import (
    Change,
    Test,
    accepts,
    both,
    check,
    each_step,
    missing,
    recoded,
    refuses,
    without,
)
from cbspec_simulator.variations.deviations.kind import Deviation

_OWN = "\0own"
"""Stands for the tenant of the connection's own token."""


def _first_tenant_where(test: Test) -> Change:
    """Take the first tenant for a token's where `test` holds of what the token says of it."""

    def completed(attempt: Attempt) -> None:
        claims = attempt.claims
        assert claims is not None  # noqa: S101 - set by the step before
        value = claims.all.get("tenant_id", ...)
        if test(value):
            first = next(tenant.id for tenant in attempt.relay.tenants.values() if tenant.active)
            attempt.claims = replace(claims, tenant_id=first)
        complete_claims(attempt)

    return check("complete-claims", completed)


def _of_an_array(attempt: Attempt) -> None:
    """Take the only item of an array for a token's tenant, as a comparison does that makes text of both sides."""
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by the step before
    match claims.all.get("tenant_id"):
        case [str(only)]:
            attempt.claims = replace(claims, tenant_id=only)
    complete_claims(attempt)


def found(find: Callable[[Attempt, str], Tenant | None]) -> Change:
    """Look for a token's tenant in another way, where it isn't known as it stands."""

    def known(attempt: Attempt) -> None:
        claims = attempt.claims
        assert claims is not None  # noqa: S101 - set by a step before
        name = str(claims.tenant_id)
        tenant = None if name in attempt.relay.tenants else find(attempt, name)
        if tenant is None:
            known_tenant(attempt)
        else:
            attempt.identity = Identity(claims.subject, tenant)

    return check("known-tenant", known)


def _with_prefix(attempt: Attempt, name: str) -> Tenant | None:
    tenants = attempt.relay.tenants
    return next((tenant for id_, tenant in tenants.items() if name.startswith(id_) and tenant.active), None)


def _that_begins_so(attempt: Attempt, name: str) -> Tenant | None:
    tenants = attempt.relay.tenants
    return next((tenant for id_, tenant in tenants.items() if id_.startswith(name) and tenant.active), None)


def _pattern(attempt: Attempt, name: str) -> Tenant | None:
    if name not in ("%", "*"):
        return None
    return next(tenant for tenant in attempt.relay.tenants.values() if tenant.active)


def _even_inactive(attempt: Attempt) -> None:
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by a step before
    tenant = attempt.relay.tenants.get(str(claims.tenant_id))
    if tenant is None:
        known_tenant(attempt)
    else:
        attempt.identity = Identity(claims.subject, tenant)


def _unknown_is_elsewhere(attempt: Attempt) -> None:
    if attempt.claims and str(attempt.claims.tenant_id) not in attempt.relay.tenants:
        raise Refused(ErrorCode.IP_NOT_ALLOWED, "not from here")
    known_tenant(attempt)


def tolerant(test: Callable[[str, str], bool]) -> Change:
    """Let a tunnel_info through whose tenant isn't the token's, where `test` holds of the token's and its own."""

    def tolerate(step: Step) -> tuple[Step, ...]:
        def own_tenant(attempt: Attempt) -> Errand | None:
            assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - a step of tunnel_info only
            let_through = test(attempt.known.tenant.id, attempt.request.tenant_id)
            return None if let_through else step.check(attempt)

        return (replace(step, check=own_tenant),)

    return each_step("own-tenant", tolerate)


def _holds_one(value: object) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)


def tunnel_without(when: Test) -> Change:
    """Take the connection's own tenant for a tunnel_info's, where `when` holds of what it says."""
    return both(accepts("tunnel_info", "tenant_id", when, _OWN), tolerant(lambda _, named: named is _OWN))


DEVIATIONS = (
    Deviation(
        "tenant-claim-missing-accepted",
        "CB-TEN-001",
        "A token that names no tenant is good for the first one.",
        _first_tenant_where(lambda value: value is ... or value is None),
    ),
    Deviation(
        "tenant-claim-empty-accepted",
        "CB-TEN-001",
        "A token whose tenant is empty is good for the first one.",
        _first_tenant_where(lambda value: value == ""),
    ),
    Deviation(
        "tenant-claim-in-array-accepted",
        "CB-TEN-001",
        "A token's tenant may be an array that holds one tenant.",
        check("complete-claims", _of_an_array),
    ),
    Deviation(
        "unknown-tenant-accepted",
        "CB-TEN-002",
        "A tenant that isn't known is made on the spot.",
        found(lambda _, name: Tenant(name)),
    ),
    Deviation(
        "tenant-prefix-accepted",
        "CB-TEN-002",
        "A tenant's name may go on with anything.",
        found(_with_prefix),
    ),
    Deviation(
        "tenant-trimmed",
        "CB-TEN-002",
        "White space around a tenant's name is ignored.",
        found(lambda attempt, name: attempt.relay.tenants.get(name.strip())),
    ),
    Deviation(
        "tenant-ends-at-nul",
        "CB-TEN-002",
        "A tenant's name ends at a NUL character.",
        found(lambda attempt, name: attempt.relay.tenants.get(name.partition("\0")[0])),
    ),
    Deviation(
        "tenant-pattern-accepted",
        "CB-TEN-002",
        "A tenant's name may be a pattern that stands for every name.",
        found(_pattern),
    ),
    Deviation(
        "tenant-path-accepted",
        "CB-TEN-002",
        "Only what follows the last slash of a tenant's name counts.",
        found(lambda attempt, name: attempt.relay.tenants.get(name.rpartition("/")[2])),
    ),
    Deviation(
        "tenant-path-resolved",
        "CB-TEN-002",
        "A tenant's name is resolved as a path.",
        found(lambda attempt, name: attempt.relay.tenants.get(posixpath.normpath(name))),
    ),
    Deviation(
        "tenant-beginning-accepted",
        "CB-TEN-002",
        "The beginning of a tenant's name will do.",
        found(_that_begins_so),
    ),
    Deviation(
        "tenant-inherited-accepted",
        "CB-TEN-002",
        "What every object in JavaScript has is a tenant, too.",
        found(lambda _, name: Tenant(name) if name in ("constructor", "toString", "__proto__") else None),
    ),
    Deviation(
        "inactive-tenant-accepted",
        "CB-TEN-003",
        "A tenant that isn't active is served.",
        check("known-tenant", _even_inactive),
    ),
    Deviation(
        "unknown-tenant-wrong-code",
        "CB-TEN-002",
        "A tenant that isn't known is refused with ip_not_allowed.",
        check("known-tenant", _unknown_is_elsewhere),
    ),
    Deviation(
        "tunnel-tenant-missing-accepted",
        "CB-TEN-005",
        "A tunnel_info needs no tenant_id.",
        tunnel_without(missing),
    ),
    Deviation(
        "tunnel-tenant-null-accepted",
        "CB-TEN-005",
        "A tunnel_info's tenant_id may be null.",
        tunnel_without(lambda value: value is None),
    ),
    Deviation(
        "tunnel-tenant-empty-accepted",
        "CB-TEN-005",
        "A tunnel_info's tenant_id may be empty.",
        tunnel_without(lambda value: value == ""),
    ),
    Deviation(
        "tunnel-tenant-number-accepted",
        "CB-TEN-005",
        "A tunnel_info's tenant_id may be a number.",
        tunnel_without(lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    ),
    Deviation(
        "tunnel-tenant-in-array-accepted",
        "CB-TEN-005",
        "A tunnel_info's tenant_id may be an array that holds it.",
        accepts("tunnel_info", "tenant_id", _holds_one, lambda value: value[0]),
    ),
    Deviation(
        "tunnel-tenant-missing-wrong-code",
        "CB-TEN-005",
        "A tunnel_info without a tenant_id is refused with unknown_message_type.",
        refuses("tunnel_info", "tenant_id", missing, ErrorCode.UNKNOWN_MESSAGE_TYPE),
    ),
    Deviation("tunnel-for-any-tenant", "CB-TEN-006", "A tunnel_info may name any tenant.", without("own-tenant")),
    Deviation(
        "tunnel-for-tenant-prefix",
        "CB-TEN-006",
        "A tunnel_info may name a tenant whose name goes on behind the token's.",
        tolerant(lambda own, named: named.startswith(own)),
    ),
    Deviation(
        "tunnel-for-tenant-in-capitals",
        "CB-TEN-006",
        "A tunnel_info may name the token's tenant in another case or width.",
        tolerant(lambda own, named: unicodedata.normalize("NFKC", named).casefold() == own.casefold()),
    ),
    Deviation(
        "tunnel-for-another-tenant-wrong-code",
        "CB-TEN-007",
        "A tunnel_info for another tenant is refused with tenant_limit_exceeded.",
        recoded("own-tenant", ErrorCode.TENANT_LIMIT_EXCEEDED),
    ),
)
