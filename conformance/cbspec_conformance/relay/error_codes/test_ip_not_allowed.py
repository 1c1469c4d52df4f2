"""Source: Error Codes / ip_not_allowed: the list of addresses of a tenant."""

from __future__ import annotations

import contextlib
import ipaddress

from cbspec.profile.identity import is_loopback
from cbspec.profile.profile import Tenant
from cbspec.profile.target import parse_network
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.relay.error_codes.refusals import active_tenants
from cbspec_conformance.relay.requests import needs_transport, request_tunnel
from cbspec_conformance.runner.marks import alone, requirement
from cbspec_conformance.target.relay import RelayUnderTest

_GIVE_FREE = "give tenants (an active one without tenants.allowed_addresses)"


@requirement("CB-ADR-001")
def test_address_on_the_list(relay: RelayUnderTest) -> None:
    """Authenticate and open a tunnel from an address on the tenant's list."""
    tenant, source = _tenant_and_source(relay, allowed=True)
    relay.authenticated()
    judge.accepted(request_tunnel(relay, relay.greeted(source=source), tenant))


@requirement("CB-ADR-002")
def test_address_outside_the_list(relay: RelayUnderTest) -> None:
    """Authenticate from an address that is not on the tenant's list, and request a tunnel if auth was accepted."""
    tenant, source = _tenant_and_source(relay, allowed=False)
    relay.authenticated()
    for _ in range(3):  # every attempt must be refused
        session = relay.greeted(source=source)
        judge.refused_with(request_tunnel(relay, session, tenant), "ip_not_allowed")
        if not session.ended:
            judge.not_accepted(session.ask(relay.tunnel_info(tenant.id)), "no tunnel after ip_not_allowed")
        session.close()


@alone  # another client would get the refusal that this one may inherit
@requirement("CB-ADR-003")
def test_list_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """Use an address that one tenant's list lacks: a tenant without a list authenticates and opens a tunnel."""
    tenant, source = _tenant_and_source(relay, allowed=False)
    relay.authenticated()
    with relay.control(f"{tenant.id} refused from this address"):
        judge.refused(request_tunnel(relay, relay.greeted(source=source), tenant))
    free = next((other for other in active_tenants(relay) if other.allows(source)), None)
    if free is None:
        raise NotExercised(_GIVE_FREE)
    judge.accepted(request_tunnel(relay, relay.greeted(source=source), free))


@requirement("CB-ADR-101")
def test_step_of_the_refusal(relay: RelayUnderTest) -> None:
    """Authenticate from an address that is not on the tenant's list, and request a tunnel if auth was accepted."""
    tenant, source = _tenant_and_source(relay, allowed=False)
    relay.authenticated()
    exchange = request_tunnel(relay, relay.greeted(source=source), tenant)
    relay.log.saw(f"{exchange.request.type if exchange.request else ''}: {reaction(exchange)}")


@requirement("CB-ADR-102")
def test_claimed_address(relay: RelayUnderTest) -> None:
    """From an address outside the tenant's list, claim one on it: by the headers of a proxy, and by a PROXY line."""
    tenant, source = _tenant_and_source(relay, allowed=False)
    network = parse_network(tenant.allowed_addresses[0])
    claimed = str(network[0] if network.num_addresses == 1 else network[1])
    relay.authenticated()
    with relay.control(f"{tenant.id} refused from this address"):
        judge.refused(request_tunnel(relay, relay.greeted(source=source), tenant))
    for name, transport in (("headers of a proxy", "websocket"), ("a PROXY line", "tcp")):
        with contextlib.suppress(NotExercised):
            needs_transport(relay, transport)
            relay.log.saw(_claim(relay, tenant, source, claimed, transport), of=name)


def _claim(relay: RelayUnderTest, tenant: Tenant, source: str, claimed: str, transport: str) -> str:
    """Connect with a claimed address, request a tunnel, and return the reaction."""
    try:
        session = relay.connect(source=source, transport=transport, claimed=claimed)
    except (Unreachable, HandshakeFailure, Inconclusive):
        return "no connection"
    if not judge.served(session.hello()):
        return "not served"
    return "believed" if judge.served(request_tunnel(relay, session, tenant)) else "not believed"


@requirement("CB-ADR-003")
def test_no_list_allows_every_address(relay: RelayUnderTest) -> None:
    """Authenticate a tenant without a list from an address that another tenant's list names."""
    _tenant_and_source(relay, allowed=False)
    tenant, source = _tenant_and_source(relay, allowed=True)
    free = [other for other in active_tenants(relay) if not other.allowed_addresses]
    if not free:
        raise NotExercised(_GIVE_FREE)
    with relay.control(f"{tenant.id} served from this address"):
        judge.accepted(relay.greeted(source=source).ask({"type": "auth", "token": relay.tokens.valid(tenant)}))
    for other in free:
        exchange = relay.greeted(source=source).ask({"type": "auth", "token": relay.tokens.valid(other)})
        if judge.error_code(exchange) == "ip_not_allowed":
            raise Broken(f"no list for {other.id}, as the profile declares", "ip_not_allowed", exchange)


def _tenant_and_source(relay: RelayUnderTest, *, allowed: bool) -> tuple[Tenant, str]:
    """Return a tenant with a list, and a source address of the suite that is on the list or not."""
    for tenant in relay.profile.tenants_with("allowed_addresses"):
        for source in _sources(relay):
            if tenant.allows(source) is allowed:
                return tenant, source
    which = "with" if allowed else "without"
    raise NotExercised(f"give tenants.allowed_addresses for a tenant {which} one of target.source_addresses on it")


def _sources(relay: RelayUnderTest) -> list[str]:
    """Return the suite's source addresses: those of the profile, or the system's choice."""
    if relay.profile.target.source_addresses:
        return list(relay.profile.target.source_addresses)
    if not is_loopback(relay.endpoint.host):  # a gateway may replace the address
        raise NotExercised("give target.source_addresses: the addresses that the relay sees the suite come from")
    address = relay.connect().wire.tcp.local[0]
    return [str(ipaddress.ip_address(address.partition("%")[0]))]
