"""Source: Notes / for multi-tenancy, tenant_id is required in JWT and all tunnel-related messages."""

from __future__ import annotations

import pytest

from cbspec.tokens.forgery import FORGERIES, MISSING, Forgery
from cbspec.tokens.jws import CompactJws
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.changes import changed, without
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.requests import each_forgery_refused, invalid_member_refused, record_reaction, with_tunnel
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.kinds import in_turn
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

_NO_TENANT: dict[str, object] = {"missing": MISSING, "null": None, "empty": "", "number": 1, "true": True, "object": {}}


@requirements("CB-TEN-001", "CB-TEN-002")
def test_token_of_no_tenant(relay: RelayUnderTest, identifier: str) -> None:
    """Send tokens that are valid except for their tenant_id: missing, no string, or of an unknown tenant."""
    relay.needs.tenancy()
    valid = relay.tokens.valid(relay.tenant)
    with_tunnel(relay, valid)

    def codes(forgery: Forgery, token: object) -> tuple[str, ...]:
        return () if _names_known_tenant(relay, token) else ("invalid_token", "tenant_not_found")

    each_forgery_refused(relay, identifier, valid, codes)


@requirement("CB-TEN-003")
def test_inactive_tenant(relay: RelayUnderTest) -> None:
    """Send a valid token of a tenant that the profile declares inactive."""
    judge.refused_with(_inactive(relay), "tenant_not_found", "invalid_token")


@requirement("CB-TEN-004")
@pytest.mark.parametrize("kind", ["unknown", "inactive"])
def test_code_for_tenant(relay: RelayUnderTest, kind: str) -> None:
    """Send a token of an unknown or inactive tenant; expect tenant_not_found."""
    if kind == "inactive":
        _coded(_inactive(relay), "CB-TEN-003")
        return
    relay.needs.tenancy()
    with_tunnel(relay)
    forgery = next(forgery for forgery in FORGERIES if forgery.requirement == "CB-TEN-002")
    # Made from a new token: a relay that accepts each token only once has another code for a known one.
    _coded(relay.show(relay.tokens.forged(forgery, relay.tokens.valid(relay.tenant)), forgery.sentence), "CB-TEN-002")


@requirement("CB-TEN-005")
def test_tunnel_without_tenant(relay: RelayUnderTest) -> None:
    """Send tunnel_infos that differ from an accepted one in their tenant_id only: missing, empty or no string.

    Some values contain the right tenant: in some languages, ["a"] equals "a".
    """
    relay.needs.tenancy()
    own = relay.tenant.id
    values = {**_NO_TENANT, "own in an array": [own], "own in an object": {"id": own}, "own and more": [own, own]}
    invalid_member_refused(relay, "tenant_id", values, "invalid_tunnel_info", "tenant_not_found")


@requirement("CB-TEN-006")
def test_tunnel_of_another_tenant(relay: RelayUnderTest) -> None:
    """Send tunnel_infos that differ from an accepted one in their tenant_id only: another tenant, or a similar id."""

    def check(session: ProbeSession, tenant: str) -> None:
        judge.not_accepted(session.ask(relay.tunnel_info(tenant)), "no tunnel for another tenant")

    in_turn(_others(relay), lambda: with_tunnel(relay), check)


@requirement("CB-TEN-006")
def test_tunnel_of_a_connected_tenant(relay: RelayUnderTest) -> None:
    """Open a tunnel of another tenant, and send a tunnel_info with its tenant_id on the main tenant's connection."""
    relay.needs.tenancy()
    relay.open_tunnel(relay.authenticated(relay.second_tenant))
    judge.not_accepted(_of_another(relay, "second"), "no tunnel for another tenant")


@requirement("CB-TEN-007")
def test_code_for_tunnel_of_another_tenant(relay: RelayUnderTest) -> None:
    """Send a tunnel_info with another tenant's tenant_id; expect tenant_not_found."""
    kind = "second" if relay.profile.second_tenant is not None else "unknown"
    _coded(_of_another(relay, kind), "CB-TEN-006")


def _coded(exchange: Exchange, requirement_if_served: str) -> None:
    """Check that a refusal's code is tenant_not_found; another requirement judges a relay that serves."""
    if judge.served(exchange):
        raise Inconclusive(f"it was served (see {requirement_if_served})")
    judge.refused_with(exchange, "tenant_not_found")


@requirement("CB-TEN-101")
def test_reaction_to_a_token_without_tenant(relay: RelayUnderTest) -> None:
    """Send tokens that are valid except for the tenant_id, which is missing, null or empty."""
    relay.needs.tenancy()
    relay.authenticated()
    for name, value in (("missing", MISSING), ("null", None), ("empty", "")):
        token = relay.tokens.minted(relay.tenant, {"tenant_id": value})
        record_reaction(relay, relay.greeted(), {"type": "auth", "token": token}, of=name)


@requirement("CB-TEN-102")
def test_names_in_the_other_case(relay: RelayUnderTest) -> None:
    """Send a token and a tunnel_info with the tenant's id in swapped case."""
    relay.needs.tenancy()
    other = relay.tenant.id.swapcase()
    if other == relay.tenant.id or relay.profile.tenant(other) is not None:
        raise NotExercised("the main tenant's id has no letters, or is another tenant's id in swapped case")
    session = with_tunnel(relay)
    record_reaction(relay, session, relay.tunnel_info(other), of="in a tunnel_info")
    token = relay.tokens.minted(relay.tenant, {"tenant_id": other})
    record_reaction(relay, relay.greeted(), {"type": "auth", "token": token}, of="in a token")


@requirement("CB-TEN-103")
def test_reaction_to_a_tunnel_without_tenant(relay: RelayUnderTest) -> None:
    """Send tunnel_infos that differ from an accepted one in their tenant_id only: missing, empty or no string."""
    relay.needs.tenancy()
    sessions = Sessions(relay)
    for name in ("missing", "null", "empty", "number"):
        session = sessions.next()
        request = without(relay.tunnel_info(session.tenant), "tenant_id", _NO_TENANT[name])
        record_reaction(relay, session, request, of=name, invalid=changed("tenant_id", _NO_TENANT[name]))


def _names_known_tenant(relay: RelayUnderTest, token: object) -> bool:
    """Whether a forged tenant_id is another tenant's by chance, as a prefix may be."""
    try:
        named = CompactJws.split(str(token)).claims.get("tenant_id")
    except ValueError:
        return False
    return isinstance(named, str) and named.casefold() in {tenant.id.casefold() for tenant in relay.profile.tenants}


def _inactive(relay: RelayUnderTest) -> Exchange:
    relay.needs.tenancy()
    tenant = relay.profile.inactive_tenant
    if tenant is None:
        raise NotExercised("give tenants with active = false (one inactive tenant)")
    with_tunnel(relay)
    return relay.show(relay.tokens.valid(tenant), "the tenant is inactive")


def _others(relay: RelayUnderTest) -> dict[str, str]:
    """Return the ids of other tenants that the profile has, and ids similar to the main tenant's, by kind."""
    relay.needs.tenancy()
    own, second, inactive = relay.tenant.id, relay.profile.second_tenant, relay.profile.inactive_tenant
    return {
        **({"second": second.id} if second else {}),
        **({"inactive": inactive.id} if inactive else {}),
        "unknown": f"{own}-unknown",
        "shorter": own[:-1],
        "space": f"{own} ",
        "nul": f"{own}\0",
        "per cent": "%",
        "underscore": own[:-1] + "_",
        "star": "*",
        "full-width": chr(ord(own[0]) + 0xFEE0) + own[1:],
    }


def _of_another(relay: RelayUnderTest, kind: str) -> Exchange:
    return with_tunnel(relay).ask(relay.tunnel_info(_others(relay)[kind]))
