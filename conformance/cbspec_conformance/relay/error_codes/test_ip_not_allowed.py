"""Source: Error Codes / ip_not_allowed: a tenant's list of addresses."""

from __future__ import annotations

import ipaddress

from cbspec.profile.identity import is_loopback
from cbspec.profile.profile import Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, NotExercised
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest


@requirement("CB-ADR-001")
def test_address_on_the_list(relay: RelayUnderTest) -> None:
    """A client whose address is on its tenant's list authenticates and opens a tunnel."""
    tenant, source = _tenant_and_source(relay, allowed=True)
    relay.authenticated()
    session = relay.greeted(source=source)
    judge.accepted(relay.authenticate(session, tenant))
    judge.accepted(session.ask(relay.tunnel_info(tenant.id)))


@requirement("CB-ADR-002")
def test_address_outside_the_list(relay: RelayUnderTest) -> None:
    """A client whose address is not on its tenant's list authenticates, and asks for a tunnel where auth passed."""
    tenant, source = _tenant_and_source(relay, allowed=False)
    relay.authenticated()
    for _ in range(3):  # it must go on being refused
        session = relay.greeted(source=source)
        exchange = relay.authenticate(session, tenant)
        if session.authenticated:  # the page doesn't say at which step the list is looked at
            exchange = session.ask(relay.tunnel_info(tenant.id))
        judge.refused_with(exchange, "ip_not_allowed")
        if not session.ended:
            judge.not_accepted(session.ask(relay.tunnel_info(tenant.id)), "no tunnel after ip_not_allowed")
        session.close()


@requirement("CB-ADR-003")
def test_list_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """From an address that one tenant's list leaves out, a tenant without a list authenticates and opens a tunnel."""
    tenant, source = _tenant_and_source(relay, allowed=False)
    relay.authenticated()
    session = relay.greeted(source=source)
    with relay.control(f"{tenant.id} refused from this address"):
        exchange = relay.authenticate(session, tenant)
        if session.authenticated:
            exchange = session.ask(relay.tunnel_info(tenant.id))
        judge.refused(exchange)
    free = next((other for other in (relay.tenant, relay.profile.second_tenant) if _serves(other, source)), None)
    if free is None:
        raise NotExercised("give tenants (an active one without tenants.allowed_addresses)")
    session = relay.greeted(source=source)
    judge.accepted(relay.authenticate(session, free))
    judge.accepted(session.ask(relay.tunnel_info(free.id)))


@requirement("CB-ADR-101")
def test_step_of_the_refusal(relay: RelayUnderTest) -> None:
    """A client whose address is not on its tenant's list authenticates, and asks for a tunnel where auth passed."""
    tenant, source = _tenant_and_source(relay, allowed=False)
    relay.authenticated()
    session = relay.greeted(source=source)
    seen = f"auth: {reaction(relay.authenticate(session, tenant))}"
    if session.authenticated:
        seen = f"tunnel_info: {reaction(session.ask(relay.tunnel_info(tenant.id)))}"
    relay.log.saw(seen)


@requirement("CB-ADR-003")
def test_no_list_lets_everybody_in(relay: RelayUnderTest) -> None:
    """A tenant without a list authenticates from an address from which a tenant with that address on its list does."""
    _tenant_and_source(relay, allowed=False)
    tenant, source = _tenant_and_source(relay, allowed=True)
    free = [one for one in (relay.tenant, relay.profile.second_tenant) if one and not one.allowed_addresses]
    if not free:
        raise NotExercised("give tenants (an active one without tenants.allowed_addresses)")
    with relay.control(f"{tenant.id} served from this address"):
        judge.accepted(relay.greeted(source=source).ask({"type": "auth", "token": relay.tokens.valid(tenant)}))
    for other in free:
        exchange = relay.greeted(source=source).ask({"type": "auth", "token": relay.tokens.valid(other)})
        if judge.error_code(exchange) == "ip_not_allowed":
            raise Broken(f"no list for {other.id}, as the profile declares", "ip_not_allowed", exchange)


def _serves(tenant: Tenant | None, source: str) -> bool:
    return tenant is not None and tenant.allows(source)


def _tenant_and_source(relay: RelayUnderTest, *, allowed: bool) -> tuple[Tenant, str]:
    """Return a tenant with a list and a source address of the suite's that is on it, or is not."""
    for tenant in relay.profile.tenants_with("allowed_addresses"):
        for source in _sources(relay):
            if tenant.allows(source) is allowed:
                return tenant, source
    which = "with" if allowed else "without"
    raise NotExercised(f"give tenants.allowed_addresses for a tenant {which} one of target.source_addresses on it")


def _sources(relay: RelayUnderTest) -> list[str]:
    """Return the addresses that the suite can come from: those of the profile, else the one that the system picks."""
    if relay.profile.target.source_addresses:
        return list(relay.profile.target.source_addresses)
    if not is_loopback(relay.endpoint.host):  # what is between may put another address in its place
        raise NotExercised("give target.source_addresses: the addresses that the relay sees the suite come from")
    address = relay.connect().wire.local_address
    return [str(ipaddress.ip_address(address.partition("%")[0]))]
