"""Limits and times, in another order, later, with another size."""

from __future__ import annotations

import time

import pytest

from cbspec.profile.target import Tenant
from cbspec_simulator import Config
from cbspec_simulator.variations.variants import limits
from tests.simulator.variations.deviations.probe import Met, Probe, asking, authenticating, enter, met
from tests.simulator.variations.variants.probe import CONFIG, serving, show
from tests.support.client import AsyncClient, until
from tests.support.memory import MemoryRelay, auth, tunnel

_FULL, _INVALID = "tenant_limit_exceeded", "invalid_tunnel_info"


def _full(then: dict[str, object]) -> Met:
    """Say what is met where the tenant has no tunnel left."""

    def look(memory: MemoryRelay) -> list[str]:
        client = enter(memory, "tunnels")
        for name in "xy":
            client.send(tunnel(name, "tunnels"))
        return met(client, then)

    return look


def _late(seconds: float) -> Met:
    def look(memory: MemoryRelay) -> list[str]:
        late = auth()
        memory.time = 60 + seconds
        return authenticating(late)(memory)

    return look


def _sizes(memory: MemoryRelay) -> list[str]:
    long, deep = {"type": "heartbeat", "x": "x" * 20_000}, b'{"type":"heartbeat","x":' + b"[" * 9 + b"]" * 9 + b"}\n"
    return [*asking(long)(memory), *asking(deep)(memory)]


PROBES = {
    "limits-before-validation": Probe(_full(tunnel("z", "tunnels", remote_port=0)), [_INVALID], [_FULL]),
    "limits-before-tenant": Probe(_full(tunnel("z", "a")), ["tenant_not_found"], [_FULL]),
    "pool-before-tenant-limit": Probe(
        _full(tunnel("z", "tunnels")), [_FULL], ["buffer_pool_exhausted"], {"buffer_pool": 2}
    ),
    "leeway": Probe(_late(299), ["invalid_token"], ["auth_response"]),
    "small-messages": Probe(_sizes, ["heartbeat_response"] * 2, ["unknown_message_type"] * 2),
}
AT_THE_EDGE = {"late-return", "late-return-behind-errors", "ipv6"}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_leeway_has_an_end() -> None:
    show({"leeway": Probe(_late(301), ["invalid_token"], ["invalid_token"])}, "leeway")


async def _comes_back(id_: str) -> float:
    """Say how long after its end a connection was still counted, in seconds."""
    config = Config(listen=CONFIG.listen, tenants=(Tenant("a", connection_limit=1),))
    async with serving(*filter(None, [id_]), config=config) as simulator:
        async with AsyncClient(simulator.address) as wire:
            await wire.greet("a")
        ended = time.monotonic()
        await until(lambda: not simulator.relay.state.usage)
        return time.monotonic() - ended


async def test_late_return() -> None:
    assert await _comes_back("late-return") >= 0.95
    assert await _comes_back("late-return-behind-errors") >= 0.19
    assert await _comes_back("") < await _comes_back("late-return")


async def test_ipv6() -> None:
    async with serving("ipv6") as simulator, AsyncClient(simulator.address) as wire:
        assert simulator.address[0] == "::1"
        assert (await wire.ask(b'{"type":"hello","version":"1.0","features":[]}\n'))["type"] == "hello_response"
    async with serving() as simulator:
        assert simulator.address[0] == "127.0.0.1"


def test_each_is_shown() -> None:
    assert {variant.id for variant in limits.VARIANTS} == {*PROBES, *AT_THE_EDGE}
