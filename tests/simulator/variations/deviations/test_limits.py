"""Limits of tunnels, connections and buffers."""

from __future__ import annotations

import pytest

from tests.simulator.variations.deviations.probe import Look, Met, Probe, authenticating, enter, met, opening, show
from tests.support.memory import HELLO, MemoryRelay, auth, tunnel

_open, _in, _full = "tunnel_response", "auth_response", "tenant_limit_exceeded"


def _entering(*tenants: str) -> Met:
    """Say what each auth meets, each on a new connection that stays."""

    def look(memory: MemoryRelay) -> list[str]:
        return [one for tenant in tenants for one in authenticating(auth(tenant))(memory)]

    return look


def _two_connections(memory: MemoryRelay) -> list[str]:
    one, two = enter(memory, "tunnels"), enter(memory, "tunnels")
    clients = (one, two, one, two)
    return [answer for at, client in enumerate(clients) for answer in met(client, tunnel(f"t{at}", "tunnels"))]


def _other_tenant(memory: MemoryRelay) -> list[str]:
    opening("x", "y", tenant="tunnels")(memory)
    return met(enter(memory, "a"), tunnel("z"))


def _refused_first(memory: MemoryRelay) -> list[str]:
    client = enter(memory, "tunnels")
    client.send(tunnel("x", "tunnels", remote_port=0))
    client.send(tunnel("x", "a"))
    return [one for name in "xy" for one in met(client, tunnel(name, "tunnels"))]


def _failed_first(memory: MemoryRelay) -> list[str]:
    client = enter(memory, "tunnels")
    for name in "xy":
        client.send(tunnel(name, "tunnels"))
        client.dialled(reached=False)
    found = [*client.send(tunnel("z", "tunnels")), *client.dialled(reached=True)]
    return [str(body.get("code", body["type"])) for body in found]


def _after_end(look: Look, *, reset: bool = False) -> Look:
    """End every connection that a look left, and look again."""

    def again(memory: MemoryRelay) -> object:
        look(memory)
        for client in memory.clients:
            client.session.end(reset=reset)
        return look(memory)

    return again


def _greeting(number: int) -> Met:
    return lambda memory: [one for _ in range(number) for one in met(memory.client(), HELLO)]


def _greeting_again(memory: MemoryRelay) -> list[str]:
    first, second = memory.client(), memory.client()
    return [*met(first, HELLO), *met(first, HELLO), *met(second, HELLO)]


_SMALL = {"connection_limit": 2}
_POOL = {"buffer_pool": 2}

PROBES = {
    "tunnel-limit-ignored": Probe(opening(*"xyzw", tenant="tunnels"), [_open] * 2 + [_full] * 2, [_open] * 4),
    "tunnel-limit-late": Probe(opening(*"xyzw", tenant="tunnels"), [_open] * 2 + [_full] * 2, [_open] * 3 + [_full]),
    "tunnel-limit-early": Probe(opening(*"xy", tenant="tunnels"), [_open] * 2, [_open, _full]),
    "tunnel-limit-wrong-code": Probe(
        opening(*"xyz", tenant="tunnels"), [_open, _open, _full], [_open, _open, "buffer_pool_exhausted"]
    ),
    "tunnel-limit-per-connection": Probe(_two_connections, [_open] * 2 + [_full] * 2, [_open] * 4),
    "tunnel-limit-shared": Probe(_other_tenant, [_open], [_full]),
    "tunnel-limit-counts-refused": Probe(_refused_first, [_open] * 2, [_full] * 2),
    "tunnel-limit-counts-failed-transfers": Probe(_failed_first, [_open], [_full], {"probe": True}),
    "tunnels-never-given-back": Probe(_after_end(opening(*"xy", tenant="tunnels")), [_open] * 2, [_full] * 2),
    "tenant-connections-ignored": Probe(_entering(*["connections"] * 3), [_in, _in, _full], [_in] * 3),
    "tenant-connections-late": Probe(_entering(*["connections"] * 4), [_in] * 2 + [_full] * 2, [_in] * 3 + [_full]),
    "tenant-connections-early": Probe(_entering(*["connections"] * 2), [_in] * 2, [_in, _full]),
    "tenant-connections-wrong-code": Probe(
        _entering(*["connections"] * 3), [_in, _in, _full], [_in, _in, "connection_limit_reached"]
    ),
    "tenant-connections-shared": Probe(_entering("connections", "connections", "a"), [_in] * 3, [_in, _in, _full]),
    "tenant-connections-never-given-back": Probe(
        _after_end(_entering("connections", "connections")), [_in] * 2, [_full] * 2
    ),
    "relay-connections-ignored": Probe(
        _greeting(3), ["hello_response"] * 2 + ["connection_limit_reached"], ["hello_response"] * 3, _SMALL
    ),
    "relay-connections-late": Probe(
        _greeting(3), ["hello_response"] * 2 + ["connection_limit_reached"], ["hello_response"] * 3, _SMALL
    ),
    "relay-connections-early": Probe(
        _greeting(2), ["hello_response"] * 2, ["hello_response", "connection_limit_reached"], _SMALL
    ),
    "relay-connections-wrong-code": Probe(
        _greeting(3), ["hello_response"] * 2 + ["connection_limit_reached"], ["hello_response"] * 2 + [_full], _SMALL
    ),
    "relay-connections-silent": Probe(
        _greeting(3), ["hello_response"] * 2 + ["connection_limit_reached"], ["hello_response"] * 2, _SMALL
    ),
    "relay-connections-never-given-back": Probe(
        _after_end(_greeting(2)), ["hello_response"] * 2, ["connection_limit_reached"] * 2, _SMALL
    ),
    "second-hello-counts": Probe(
        _greeting_again, ["hello_response"] * 3, ["hello_response"] * 2 + ["connection_limit_reached"], _SMALL
    ),
    "buffer-pool-ignored": Probe(opening(*"xyz"), [_open, _open, "buffer_pool_exhausted"], [_open] * 3, _POOL),
    "buffer-pool-late": Probe(opening(*"xyz"), [_open, _open, "buffer_pool_exhausted"], [_open] * 3, _POOL),
    "buffer-pool-early": Probe(opening(*"xy"), [_open] * 2, [_open, "buffer_pool_exhausted"], _POOL),
    "buffer-pool-wrong-code": Probe(
        opening(*"xyz"), [_open, _open, "buffer_pool_exhausted"], [_open, _open, _full], _POOL
    ),
    "buffers-never-given-back": Probe(_after_end(opening(*"xy")), [_open] * 2, ["buffer_pool_exhausted"] * 2, _POOL),
    "tunnels-kept-at-reset": Probe(_after_end(opening(*"xy", tenant="tunnels"), reset=True), [_open] * 2, [_full] * 2),
    "tenant-connections-kept-at-reset": Probe(
        _after_end(_entering("connections", "connections"), reset=True), [_in] * 2, [_full] * 2
    ),
    "relay-connections-kept-at-reset": Probe(
        _after_end(_greeting(2), reset=True), ["hello_response"] * 2, ["connection_limit_reached"] * 2, _SMALL
    ),
    "buffers-kept-at-reset": Probe(
        _after_end(opening(*"xy"), reset=True), [_open] * 2, ["buffer_pool_exhausted"] * 2, _POOL
    ),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)
