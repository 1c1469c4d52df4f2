"""Refusals at another step."""

from __future__ import annotations

import pytest

from cbspec_simulator import Config
from cbspec_simulator.settings.config import RelaySettings
from cbspec_simulator.variations.variants import places
from tests.simulator.variations.deviations.probe import Met, Probe, met
from tests.simulator.variations.variants.probe import CONFIG, serving, show
from tests.support.client import AsyncClient
from tests.support.memory import HELLO, MemoryClient, MemoryRelay, auth, tunnel

_STEPS = ["hello_response", "auth_response", "tunnel_response"]


def _going_on(client: MemoryClient, tenant: str) -> list[str]:
    """Say what hello, auth and tunnel_info meet, until the relay closes."""
    requests = (HELLO, auth(tenant), tunnel("t", tenant))
    return [one for request in requests if not client.closed for one in met(client, request)]


def _behind(others: int, tenant: str = "a") -> Met:
    """Say what a connection meets behind so many others."""

    def look(memory: MemoryRelay) -> list[str]:
        for _ in range(others):
            assert _going_on(memory.client(), tenant) == _STEPS
        return _going_on(memory.client(), tenant)

    return look


def _refused(code: str, clean: int, different: int, *, others: int = 0, tenant: str = "a", **rules: object) -> Probe:
    """Expect a code at another step: `clean` and `different` are how many steps came before it.

    A tenant's own limits leave the connection open, so that the tunnel behind a refused auth is refused, too.
    """
    early, late = (
        [*_STEPS[:at], code, *(["invalid_token"] if at == 1 and tenant != "a" else [])] for at in (clean, different)
    )
    return Probe(_behind(others, tenant), early, late, dict(rules))


def _greeting_nobody(memory: MemoryRelay) -> list[str]:
    """Say what the first bytes meet that are no hello."""
    memory.client().send(HELLO)
    return met(memory.client(), b'{"type":"x"}\n')


def _unavailable(different: list[str]) -> Probe:
    return Probe(_behind(0), ["server_unavailable"], different, {"draining": True})


_UNKNOWN, _CONNECTIONS, _GONE = "unknown_message_type", "connection_limit_reached", "server_unavailable"

PROBES = {
    "address-at-tunnel": _refused("ip_not_allowed", 1, 2, tenant="elsewhere"),
    "tenant-connections-at-tunnel": _refused("tenant_limit_exceeded", 1, 2, others=2, tenant="connections"),
    "connection-limit-at-opening": Probe(_greeting_nobody, [_UNKNOWN], [_CONNECTIONS], {"connection_limit": 1}),
    "connection-limit-at-accept": Probe(_greeting_nobody, [_UNKNOWN], [_CONNECTIONS], {"connection_limit": 1}),
    "connection-limit-at-auth": _refused(_CONNECTIONS, 0, 1, others=1, connection_limit=1),
    "connection-limit-at-tunnel": _refused(_CONNECTIONS, 0, 2, others=1, connection_limit=1),
    "unavailable-at-opening": Probe(_greeting_nobody, [_UNKNOWN], [_GONE], {"draining": True}),
    "unavailable-at-accept": Probe(_greeting_nobody, [_UNKNOWN], [_GONE], {"draining": True}),
    "unavailable-at-auth": _unavailable(["hello_response", _GONE, "invalid_token"]),
    "unavailable-at-tunnel": _unavailable(["hello_response", "auth_response", _GONE]),
}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_each_is_shown() -> None:
    assert {variant.id for variant in places.VARIANTS} == set(PROBES)


@pytest.mark.parametrize(
    ("id_", "rules", "code"),
    [
        ("connection-limit-at-accept", RelaySettings(connection_limit=0), b"connection_limit_reached"),
        ("unavailable-at-accept", RelaySettings(draining=True), b"server_unavailable"),
    ],
)
async def test_it_is_said_before_a_byte_is_sent(id_: str, rules: RelaySettings, code: bytes) -> None:
    config = Config(listen=CONFIG.listen, relay=rules)
    async with serving(id_, config=config) as simulator, AsyncClient(simulator.address) as wire:
        assert code in await wire.rest()
