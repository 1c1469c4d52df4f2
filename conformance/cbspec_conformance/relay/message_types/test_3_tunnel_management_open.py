"""Source: Message Types / 3. Tunnel Management, where it is silent: what is done is recorded, never judged."""

from __future__ import annotations

import json

from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest


@requirement("CB-TUN-101")
def test_ports_with_a_point(relay: RelayUnderTest) -> None:
    """Ports are spelled with a point and nought behind it, and with an exponent; each is the number of a port."""
    relay.open_tunnel(relay.authenticated())
    remote = relay.profile.remote.reachable.port
    for member, port in (("local_port", 3389), ("remote_port", remote)):
        for ending in (".0", "e0"):
            session = relay.authenticated()
            request = relay.tunnel_info(session.tenant, **{member: float(port)})
            text = json.dumps({**request, member: "?"}).replace('"?"', f"{port}{ending}")
            exchange = session.ask(request, encode=lambda _, text=text: text.encode())  # type: ignore[misc]
            relay.log.saw(reaction(exchange), of=f"{member} with {ending}")
            session.close()


@requirement("CB-TUN-102")
def test_identifier_twice_on_a_connection(relay: RelayUnderTest) -> None:
    """The tunnel_id of an open tunnel is asked for again: in the same message, and with another local_port."""
    for name, changes in (("the same again", {}), ("with another local_port", {"local_port": 3390})):
        session = relay.authenticated()
        first = _opened(relay.open_tunnel(session))
        relay.room.for_tunnel(session.tenant)
        relay.log.saw(reaction(session.ask({**first, **changes})), of=name)


@requirement("CB-TUN-103")
def test_identifier_on_two_connections(relay: RelayUnderTest) -> None:
    """The tunnel_id of an open tunnel is asked for on another connection, of the same tenant and of another."""
    session = relay.authenticated()
    tunnel_id = _opened(relay.open_tunnel(session))["tunnel_id"]
    for name, tenant in (("the same tenant", relay.tenant), ("another tenant", relay.profile.second_tenant)):
        if tenant is not None:
            beside = relay.authenticated(tenant)
            relay.room.for_tunnel(tenant.id)
            relay.log.saw(reaction(beside.ask(relay.tunnel_info(tenant.id, tunnel_id=tunnel_id))), of=name)


@requirement("CB-TUN-104")
def test_two_mistakes_at_once(relay: RelayUnderTest) -> None:
    """A tunnel_info has another tenant's tenant_id and a negative port."""
    relay.needs.tenancy()
    session = relay.authenticated()
    relay.open_tunnel(session)
    other = relay.profile.second_tenant
    request = relay.tunnel_info(other.id if other else f"{relay.tenant.id}-unknown", local_port=-1)
    relay.log.saw(reaction(session.ask(request, invalid="local_port is negative")))


def _opened(exchange: Exchange) -> dict[str, object]:
    """Return the tunnel_info that was accepted."""
    return dict(exchange.request.value) if exchange.request is not None else {}
