"""Tunnels, tenants and limits, seen on the wire."""

from __future__ import annotations

import pytest

from cbspec_simulator.variations.open_points import tunnels
from tests.simulator.variations.deviations.probe import Probe, asking, authenticating, enter, met, opening
from tests.simulator.variations.open_points.probe import show
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth, tunnel

_OK, _INFO, _LIMIT, _NOBODY = "tunnel_response", "invalid_tunnel_info", "tenant_limit_exceeded", "tenant_not_found"


def _on_two(first: str, second: str) -> Probe:
    """Ask for one tunnel_id on two connections."""

    def look(memory: MemoryRelay) -> list[str]:
        one, other = enter(memory, first), enter(memory, second)
        return [*met(one, tunnel("t", first)), *met(other, tunnel("t", second))]

    return Probe(look, [_OK, _OK], [_OK, _INFO])


def _full(tenant: str) -> Probe:
    def look(memory: MemoryRelay) -> list[str]:
        client = enter(memory, tenant)
        return [one for name in ("t", "u") for one in met(client, tunnel(name, tenant))] + met(
            client, tunnel("v", tenant, remote_port=0)
        )

    return Probe(look, [_OK, _OK, _INFO], [_OK, _OK, _LIMIT])


def _after_refused_auths(memory: MemoryRelay) -> list[str]:
    spoiled = {**auth("connections"), "token": auth("connections")["token"][:-4] + "AAAA"}
    for _ in range(2):
        client = memory.client()
        client.send(HELLO)
        assert met(client, spoiled) == ["invalid_token"]
    return met(_greeted(memory), auth("connections"))


def _greeted(memory: MemoryRelay):  # type: ignore[no-untyped-def] # noqa: ANN202 - tests.support.memory's Client
    client = memory.client()
    client.send(HELLO)
    return client


def _flooded(subject: str) -> Probe:
    """Draw the limit on one connection, and say what another of the tenant meets."""

    def look(memory: MemoryRelay) -> list[str]:
        flooding, beside = enter(memory, "rate"), _greeted(memory)
        beside.send(auth("rate", sub=subject))
        for _ in range(30):
            last = met(flooding, BEAT)
        assert last == ["rate_limit_exceeded"]
        return met(beside, BEAT)

    return Probe(look, ["rate_limit_exceeded"], ["heartbeat_response"])


PROBES = {
    "ports-in-whole-digits": Probe(asking(tunnel(local_port=3389.0)), [_OK], [_INFO]),
    "tunnel-id-once-on-a-connection": Probe(opening("t", "t", "u"), [_OK] * 3, [_OK, _INFO, _OK]),
    "tunnel-id-once-in-a-tenant": _on_two("a", "a"),
    "tunnel-id-once-in-the-relay": _on_two("a", "b"),
    "tunnel-id-twice-counts-twice": Probe(opening("t", "t", "u", tenant="tunnels"), [_OK] * 3, [_OK, _OK, _LIMIT]),
    "tunnel-limit-before-validation": _full("tunnels"),
    "pool-before-validation": _full("a")._replace(wrong=[_OK, _OK, "buffer_pool_exhausted"], rules={"buffer_pool": 2}),
    "refused-auths-count": Probe(_after_refused_auths, ["auth_response"], [_LIMIT]),
    "rate-counted-by-connection": _flooded("user123"),
    "rate-counted-by-subject": _flooded("somebody-else"),
    "tenant-names-in-any-case": Probe(authenticating(auth("A")), [_NOBODY], ["auth_response"]),
    "tunnel-with-empty-tenant-as-tenant-not-found": Probe(asking(tunnel(tenant="")), [_INFO], [_NOBODY]),
    "tenant-error-as-invalid-token": Probe(authenticating(auth("nobody")), [_NOBODY], ["invalid_token"]),
    "foreign-tenant-as-invalid-tunnel-info": Probe(asking(tunnel(tenant="b")), [_NOBODY], [_INFO]),
    "foreign-tenant-as-invalid-token": Probe(asking(tunnel(tenant="b")), [_NOBODY], ["invalid_token"]),
}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_each_is_shown() -> None:
    assert {point.id for point in tunnels.OPEN_POINTS} == set(PROBES)


def test_another_tenant_s_use_is_no_use_of_the_tenant() -> None:
    show({"tunnel-id-once-in-a-tenant": _on_two("a", "b")._replace(wrong=[_OK, _OK])}, "tunnel-id-once-in-a-tenant")
