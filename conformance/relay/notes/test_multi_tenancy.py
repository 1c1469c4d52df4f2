"""Source: Notes / for multi-tenancy, tenant_id is required in JWT and all tunnel-related messages."""

from __future__ import annotations

from typing import Any

import pytest

from cbspec.forgery import FORGERIES, Forgery
from conformance import judge
from conformance.errors import NotExercised
from conformance.exchange import Exchange
from conformance.invariants import Breach
from conformance.marks import requirement
from conformance.strategies import MISSING, without
from conformance.target import Target

_NO_TENANT = {
    "missing": MISSING, "null": None, "empty": "", "number": 1, "true": True, "array": ["tenant-001"], "object": {},
}  # fmt: skip


def _forgeries(identifier: str) -> pytest.MarkDecorator:
    chosen = [forgery for forgery in FORGERIES if forgery.requirement == identifier]
    return pytest.mark.parametrize("forgery", chosen, ids=[forgery.name for forgery in chosen])


@requirement("CB-TEN-001")
@_forgeries("CB-TEN-001")
def test_token_without_tenant(relay: Target, forgery: Forgery) -> None:
    """Tokens are shown that are valid but for the tenant_id, which is missing, null or empty."""
    judge.refused_with(_shown(relay, forgery), "invalid_token", "tenant_not_found")


@requirement("CB-TEN-002")
@_forgeries("CB-TEN-002")
def test_unknown_tenant(relay: Target, forgery: Forgery) -> None:
    """Tokens are shown that are valid but for a tenant that the relay doesn't know, with names of many kinds."""
    judge.refused_with(_shown(relay, forgery), "tenant_not_found", "invalid_token")


@requirement("CB-TEN-003")
def test_inactive_tenant(relay: Target) -> None:
    """A valid token of a tenant that the profile declares inactive is shown."""
    judge.refused_with(_inactive(relay), "tenant_not_found", "invalid_token")


@requirement("CB-TEN-004")
def test_code_for_unknown_tenant(relay: Target) -> None:
    """A token of an unknown tenant is shown; the code is tenant_not_found."""
    forgery = next(forgery for forgery in FORGERIES if forgery.requirement == "CB-TEN-002")
    judge.refused_with(_shown(relay, forgery), "tenant_not_found")


@requirement("CB-TEN-004")
def test_code_for_inactive_tenant(relay: Target) -> None:
    """A token of an inactive tenant is shown; the code is tenant_not_found."""
    judge.refused_with(_inactive(relay), "tenant_not_found")


@requirement("CB-TEN-005")
@pytest.mark.parametrize("value", list(_NO_TENANT.values()), ids=list(_NO_TENANT))
def test_tunnel_without_tenant(relay: Target, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """A tunnel_info that differs from an accepted one in its tenant_id only: missing, empty or no string."""
    relay.needs_tenancy()
    session = relay.authenticated()
    relay.open_tunnel(session)
    request = without(relay.tunnel_info(session.tenant), "tenant_id", value)
    exchange = session.ask(request, invalid="tenant_id is not as it must be")
    judge.refused_with(exchange, "invalid_tunnel_info", "tenant_not_found")


@requirement("CB-TEN-006")
@pytest.mark.parametrize("kind", ["second", "unknown", "inactive", "shorter", "space", "nul", "full-width"])
def test_tunnel_of_another_tenant(relay: Target, kind: str) -> None:
    """A tunnel_info that differs from an accepted one in its tenant_id only: another's, or one that looks alike."""
    judge.not_accepted(_of_another(relay, kind), "no tunnel for another tenant")


@requirement("CB-TEN-007")
def test_code_for_tunnel_of_another_tenant(relay: Target) -> None:
    """A tunnel_info with another tenant's tenant_id is sent; the code is tenant_not_found."""
    kind = "second" if relay.profile.second_tenant is not None else "unknown"
    judge.refused_with(_of_another(relay, kind), "tenant_not_found")


def _shown(relay: Target, forgery: Forgery) -> Exchange:
    """Show a bad token beside a good one that is accepted; a tunnel behind it must not be opened."""
    relay.needs_tenancy()
    valid = relay.token(relay.tenant)
    relay.open_tunnel(relay.authenticated(token=valid))
    token = relay.forged(forgery, valid)
    return _behind(relay, {"type": "auth", "token": token}, forgery.sentence)


def _inactive(relay: Target) -> Exchange:
    relay.needs_tenancy()
    tenant = relay.profile.inactive_tenant
    if tenant is None:
        raise NotExercised("give tenants with active = false (one inactive tenant)")
    relay.open_tunnel(relay.authenticated())
    return _behind(relay, {"type": "auth", "token": relay.token(tenant)}, "the tenant is inactive")


def _behind(relay: Target, request: dict[str, Any], why: str) -> Exchange:
    session = relay.greeted()
    exchange = session.ask(request, invalid=why)
    refused = any(answer.type == "error" for answer in exchange.answers)
    if refused and not session.ended:
        after = session.ask(relay.tunnel_info())
        if any(judge.is_success(answer) for answer in after.answers):
            seen = f"{judge.describe(after.answers[0])}, after the token was refused"
            relay.breach(Breach("CB-AUT-016", "no tunnel after a refused auth", seen), after)
    return exchange


def _of_another(relay: Target, kind: str) -> Exchange:
    relay.needs_tenancy()
    tenants = {
        "second": relay.profile.second_tenant.id if relay.profile.second_tenant else "",
        "unknown": f"{relay.tenant.id}-unknown",
        "shorter": relay.tenant.id[:-1],
        "space": f"{relay.tenant.id} ",
        "nul": f"{relay.tenant.id}\0",
        "full-width": chr(ord(relay.tenant.id[0]) + 0xFEE0) + relay.tenant.id[1:],
        "inactive": relay.profile.inactive_tenant.id if relay.profile.inactive_tenant else "",
    }
    if not tenants[kind]:
        raise NotExercised(f"give tenants ({'a second active one' if kind == 'second' else 'an inactive one'})")
    session = relay.authenticated()
    relay.open_tunnel(session)
    return session.ask(relay.tunnel_info(tenants[kind]))
