"""Limits counted on the wrong account."""

from __future__ import annotations

import json

import pytest

from tests.simulator.variations.deviations.probe import Look, Probe, asking, authenticating, enter, met, opening, show
from tests.simulator.variations.deviations.test_arrival import SHAKE, in_a_frame
from tests.support.memory import HELLO, Body, MemoryClient, MemoryRelay, auth, tunnel

_open, _in, _full, _pool = "tunnel_response", "auth_response", "tenant_limit_exceeded", "buffer_pool_exhausted"
_hi, _over = "hello_response", "connection_limit_reached"


def _client(memory: MemoryRelay, tenant: str, subject: str = "user123", *, websocket: bool = False) -> MemoryClient:
    client = memory.client()
    client.send(HELLO)
    client.send(auth(tenant, sub=subject))
    return client


def _fill(memory: MemoryRelay, tenant: str = "tunnels") -> MemoryClient:
    client = enter(memory, tenant)
    for name in "xy":
        client.send(tunnel(name, tenant))
    return client


def _third_of_another_subject(memory: MemoryRelay) -> list[str]:
    _fill(memory)
    return met(_client(memory, "tunnels", "somebody"), tunnel("z", "tunnels"))


def _after_another_left(memory: MemoryRelay) -> list[str]:
    client, other = _fill(memory), enter(memory, "tunnels")
    other.end()
    return met(client, tunnel("z", "tunnels"))


def _others_hold(memory: MemoryRelay) -> list[str]:
    opening("v", "w")(memory)
    return opening("x", "y", tenant="tunnels")(memory)


def _again(memory: MemoryRelay, tenant: str, names: str) -> list[str]:
    """Open tunnels, end the connection, and open them again on another."""
    client = enter(memory, tenant)
    for name in names:
        client.send(tunnel(name, tenant))
    client.end()
    return opening(*names, tenant=tenant)(memory)


def _over_websocket(*bodies: Body) -> Look:
    """Say whether the last of several messages over a WebSocket is refused for the tenant's limit."""

    def look(memory: MemoryRelay) -> bool:
        _fill(memory)
        _entering("u", "u")(memory)
        client = memory.client(websocket=True)
        client.send(SHAKE)
        for body in bodies:
            client.send(in_a_frame(body))
        return _full.encode() in client.raw

    return look


def _closing(memory: MemoryRelay) -> tuple[int, bool]:
    client = _fill(memory)
    return len(client.send(tunnel("z", "tunnels"))), client.closed


def _entering(*subjects: str, tenant: str = "connections") -> Look:
    return lambda memory: [one for subject in subjects for one in authenticating(auth(tenant, sub=subject))(memory)]


def _entering_closed(memory: MemoryRelay) -> tuple[int, bool]:
    _entering("u", "u")(memory)
    client = memory.client()
    client.send(HELLO)
    return len(client.send(auth("connections"))), client.closed


def _replaced(memory: MemoryRelay) -> list[object]:
    one, _ = enter(memory, "connections"), enter(memory, "connections")
    one.end()
    return [*_entering("u", "u", "u")(memory)]  # type: ignore[misc]


def _after_a_bad_tunnel(memory: MemoryRelay) -> list[object]:
    one, _ = enter(memory, "connections"), enter(memory, "connections")
    one.send(tunnel("x", "connections", remote_port=0))
    return [*_entering("u")(memory)]  # type: ignore[misc]


def _back_after_all_left(memory: MemoryRelay) -> list[object]:
    clients = [enter(memory, "connections") for _ in range(3)]
    for client in clients:
        client.end()
    return [*_entering("u")(memory)]  # type: ignore[misc]


def _others_are_in(memory: MemoryRelay) -> list[object]:
    enter(memory, "a"), enter(memory, "b")
    return [*_entering("u")(memory)]  # type: ignore[misc]


def _greeting(number: int) -> Look:
    return lambda memory: [one for _ in range(number) for one in met(memory.client(), HELLO)]


def _served_over_limit(memory: MemoryRelay) -> list[str]:
    for _ in range(2):
        memory.client().send(HELLO)
    client = memory.client()
    return [*met(client, HELLO), *met(client, auth())]


def _authenticated_over_limit(memory: MemoryRelay) -> list[str]:
    for tenant in ("a", "a"):
        enter(memory, tenant)
    client = memory.client()
    return [*met(client, HELLO), *met(client, auth("a")), *met(memory.client(), HELLO)]


def _greeted_after_auth(memory: MemoryRelay) -> list[str]:
    for _ in range(2):
        enter(memory)
    return met(memory.client(), HELLO)


def _greeted_after_all_left(memory: MemoryRelay) -> list[str]:
    clients = [memory.client() for _ in range(3)]
    for client in clients:
        client.send(HELLO)
    for client in clients:
        client.end()
    return [one for _ in range(2) for one in met(memory.client(), HELLO)]


def _buffer_elsewhere(tenant: str) -> Look:
    def look(memory: MemoryRelay) -> list[str]:
        opening("x", "y")(memory)
        return met(enter(memory, tenant), tunnel("z", tenant))

    return look


def _buffer_after_another_left(memory: MemoryRelay) -> list[str]:
    client, other = _fill(memory, "a"), enter(memory, "a")
    other.end()
    return met(client, tunnel("z"))


def _buffer_after_refused(memory: MemoryRelay) -> list[str]:
    client = enter(memory)
    for _ in range(2):
        client.send(tunnel("x", remote_port=0))
    return met(client, tunnel("y"))


def _names(tenant: str, names: str) -> Look:
    return lambda memory: _again(memory, tenant, names)


_SMALL, _POOL = {"connection_limit": 2}, {"buffer_pool": 2}
PROBES = {
    "tunnel-limit-looked-at-first": Probe(
        asking(b"".join(json.dumps(tunnel(name, "tunnels")).encode() + b"\n" for name in "xyzw"), "tunnels"),
        [_open, _open, _full, _full],
        [_open] * 4,
    ),
    "tenant-connections-looked-at-first": Probe(
        lambda memory: [one for _ in range(3) for one in authenticating(auth("connections"))(memory)],
        [_in, _in, _full],
        [_in] * 3,
    ),
    "tunnel-limit-per-subject": Probe(_third_of_another_subject, [_full], [_open]),
    "tunnel-limit-per-transport": Probe(_over_websocket(HELLO, auth("tunnels"), tunnel("z", "tunnels")), True, False),
    "tenant-connections-per-transport": Probe(_over_websocket(HELLO, auth("connections")), True, False),
    "tunnel-limit-counts-others": Probe(_others_hold, [_open] * 2, [_full] * 2),
    "tunnel-limit-once": Probe(
        opening(*"xyzw", tenant="tunnels"), [_open] * 2 + [_full] * 2, [_open] * 2 + [_full, _open]
    ),
    "tunnel-limit-closes": Probe(_closing, (1, False), (0, True)),
    "tunnel-limit-freed-by-any-close": Probe(_after_another_left, [_full], [_open]),
    "tunnels-half-given-back": Probe(_names("tunnels", "xy"), [_open] * 2, [_open, _full]),
    "tunnel-limit-sticks": Probe(_names("tunnels", "xyz"), [_open] * 2 + [_full], [_full] * 3),
    "tenant-connections-per-subject": Probe(_entering("u", "u", "v"), [_in, _in, _full], [_in] * 3),
    "tenant-connections-count-others": Probe(_others_are_in, [_in], [_full]),
    "tenant-connections-once": Probe(_entering(*"uuuu"), [_in] * 2 + [_full] * 2, [_in] * 2 + [_full, _in]),
    "tenant-connections-silent": Probe(_entering("u", "u", "u"), [_in, _in, _full], [_in, _in]),
    "tenant-connections-closes": Probe(_entering_closed, (1, False), (0, True)),
    "tenant-connections-freed-by-any-close": Probe(_replaced, [_in, _full, _full], [_in, _in, _full]),
    "tenant-connections-freed-by-refusal": Probe(_after_a_bad_tunnel, [_full], [_in]),
    "tenant-connections-stick": Probe(_back_after_all_left, [_in], [_full]),
    "relay-connections-once": Probe(_greeting(4), [_hi] * 2 + [_over] * 2, [_hi] * 2 + [_over, _hi], _SMALL),
    "relay-connections-per-tenant": Probe(_authenticated_over_limit, [_over] * 2, [_hi, _over, _hi], _SMALL),
    "relay-connections-until-auth": Probe(_greeted_after_auth, [_over], [_hi], _SMALL),
    "relay-connections-told-and-served": Probe(_served_over_limit, [_over], [_over, _in], _SMALL),
    "relay-connections-count-refused": Probe(_greeted_after_all_left, [_hi] * 2, [_hi, _over], _SMALL),
    "relay-connections-stick": Probe(_greeted_after_all_left, [_hi] * 2, [_over] * 2, _SMALL),
    "buffer-pool-once": Probe(opening(*"xyzw"), [_open] * 2 + [_pool] * 2, [_open] * 2 + [_pool, _open], _POOL),
    "buffer-pool-per-connection": Probe(_buffer_elsewhere("a"), [_pool], [_open], _POOL),
    "buffer-pool-per-tenant": Probe(_buffer_elsewhere("b"), [_pool], [_open], _POOL),
    "buffer-pool-freed-by-any-close": Probe(_buffer_after_another_left, [_pool], [_open], _POOL),
    "buffer-pool-counts-refused": Probe(_buffer_after_refused, [_open], [_pool], _POOL),
    "buffers-half-given-back": Probe(_names("a", "xy"), [_open] * 2, [_open, _pool], _POOL),
    "buffer-pool-sticks": Probe(_names("a", "xyz"), [_open] * 2 + [_pool], [_pool] * 3, _POOL),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)
