"""Rates, addresses, unavailability, failed transfers."""

from __future__ import annotations

import json

import pytest

from cbspec.profile.target import Tenant
from tests.simulator.variations.deviations.probe import Met, Probe, authenticating, enter, met, show
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth, tunnel

_open, _in = "tunnel_response", "auth_response"


def _entering(*tenants: str) -> Met:
    """Say what each auth meets, each on a new connection that stays."""

    def look(memory: MemoryRelay) -> list[str]:
        return [one for tenant in tenants for one in authenticating(auth(tenant))(memory)]

    return look


def _greeting(number: int) -> Met:
    return lambda memory: [one for _ in range(number) for one in met(memory.client(), HELLO)]


def _drained_and_not(memory: MemoryRelay) -> list[str]:
    found = []
    for draining in (False, True, False):
        memory.relay.drain(draining)
        found += met(memory.client(), HELLO)
    return found


def _beats(memory: MemoryRelay, number: int = 30) -> list[str]:
    client = enter(memory, "rate")
    return sorted({one for _ in range(number) for one in met(client, BEAT)})


def _few_beats(memory: MemoryRelay) -> list[str]:
    return _beats(memory, 10)


def _after_a_rest(memory: MemoryRelay) -> list[str]:
    client = enter(memory, "rate")
    for _ in range(30):
        client.send(BEAT)
    memory.time += 60
    return met(client, BEAT)


def _beside(tenant: str) -> Met:
    def look(memory: MemoryRelay) -> list[str]:
        other = enter(memory, tenant)
        _beats(memory)
        return met(other, BEAT)

    return look


def _served_after(memory: MemoryRelay) -> list[str]:
    return _entering("elsewhere", "a")(memory)


def _dialling(reached: bool) -> Met:
    def look(memory: MemoryRelay) -> list[str]:
        client = enter(memory)
        client.send(tunnel())
        return [str(body.get("code", body["type"])) for body in client.dialled(reached)]

    return look


def _after_failure(memory: MemoryRelay) -> list[str]:
    _dialling(False)(memory)
    return _dialling(True)(memory)


def _beat_while_dialling(memory: MemoryRelay) -> list[str]:
    client = enter(memory)
    first = met(client, b"\n".join(json.dumps(body).encode() for body in (tunnel(), BEAT)) + b"\n")
    return [*first, *(str(body["type"]) for body in client.dialled(True))]


def _over_connections(*subjects: str) -> Met:
    """Send fifteen heartbeats on each of several connections; say what they meet."""

    def look(memory: MemoryRelay) -> list[str]:
        clients = [memory.client() for _ in subjects]
        for client, subject in zip(clients, subjects, strict=True):
            client.send(HELLO)
            client.send(auth("rate", sub=subject))
        return sorted({one for client in clients for _ in range(15) for one in met(client, BEAT)})

    return look


def _until_closed(memory: MemoryRelay) -> tuple[list[str], bool]:
    client = enter(memory, "rate")
    return sorted({one for _ in range(30) for one in met(client, BEAT)}), client.closed


def _tunnel_after_refusal(memory: MemoryRelay) -> list[str]:
    client = memory.client()
    client.send(HELLO)
    return [*met(client, auth("elsewhere")), *met(client, tunnel("t", "elsewhere"))]


def _last_of_two(memory: MemoryRelay) -> list[str]:
    both = Tenant("two", allowed_addresses=("127.0.0.1/32", "::1/128"))
    memory.relay.state.tenants["two"] = both
    return _entering("two")(memory)


def _one_after_another(memory: MemoryRelay) -> list[str]:
    client = memory.client()
    return [*met(client, HELLO), *met(client, HELLO)]


_PROBING = {"probe": True}
_beat, _fast = "heartbeat_response", "rate_limit_exceeded"

PROBES = {
    "rate-ignored": Probe(_beats, [_beat, _fast], [_beat]),
    "rate-wrong-code": Probe(_beats, [_beat, _fast], [_beat, "server_unavailable"]),
    "rate-silent": Probe(_beats, [_beat, _fast], [_beat]),
    "rate-early": Probe(_few_beats, [_beat], [_beat, _fast]),
    "rate-burst-early": Probe(_few_beats, [_beat], [_beat, _fast]),
    "rate-never-forgives": Probe(_after_a_rest, [_beat], [_fast]),
    "rate-shared": Probe(_beside("a"), [_beat], [_fast]),
    "rate-counted-together": Probe(_beside("rate-2"), [_beat], [_fast]),
    "rate-per-connection": Probe(_over_connections("u", "u", "u"), [_beat, _fast], [_beat]),
    "rate-per-subject": Probe(_over_connections("u", "v", "w"), [_beat, _fast], [_beat]),
    "rate-closes": Probe(_until_closed, ([_beat, _fast], False), ([_beat], True)),
    "address-list-as-text": Probe(_last_of_two, [_in], ["ip_not_allowed"]),
    "address-list-last-entry": Probe(_last_of_two, [_in], ["ip_not_allowed"]),
    "address-list-once": Probe(_entering("elsewhere", "elsewhere"), ["ip_not_allowed"] * 2, ["ip_not_allowed", _in]),
    "address-refused-but-served": Probe(
        _tunnel_after_refusal, ["ip_not_allowed", "invalid_token"], ["ip_not_allowed", _open]
    ),
    "address-list-of-all": Probe(_entering("here", "a"), [_in] * 2, [_in, "ip_not_allowed"]),
    "unavailable-serves-every-second": Probe(
        _greeting(3),
        ["server_unavailable"] * 3,
        ["server_unavailable", "hello_response", "server_unavailable"],
        {"draining": True},
    ),
    "unavailable-told-and-served": Probe(
        _one_after_another, ["server_unavailable"], ["server_unavailable", "hello_response"], {"draining": True}
    ),
    "address-list-refuses-all": Probe(_entering("here", "a"), [_in] * 2, ["ip_not_allowed", _in]),
    "address-list-ignored": Probe(_entering("elsewhere"), ["ip_not_allowed"], [_in]),
    "address-wrong-code": Probe(_entering("elsewhere"), ["ip_not_allowed"], ["tenant_not_found"]),
    "address-list-of-another": Probe(_served_after, ["ip_not_allowed", _in], ["ip_not_allowed"] * 2),
    "unavailable-serves": Probe(_greeting(1), ["server_unavailable"], ["hello_response"], {"draining": True}),
    "unavailable-wrong-code": Probe(
        _greeting(1), ["server_unavailable"], ["connection_limit_reached"], {"draining": True}
    ),
    "unavailable-for-good": Probe(
        _drained_and_not,
        ["hello_response", "server_unavailable", "hello_response"],
        ["hello_response", "server_unavailable", "server_unavailable"],
    ),
    "unavailable-silent": Probe(_greeting(1), ["server_unavailable"], [], {"draining": True}),
    "transfer-failure-ignored": Probe(_dialling(False), ["data_transfer_failed"], [_open], _PROBING),
    "transfer-wrong-code": Probe(_dialling(False), ["data_transfer_failed"], ["invalid_tunnel_info"], _PROBING),
    "transfer-failure-stays": Probe(_after_failure, [_open], ["data_transfer_failed"], _PROBING),
    "input-pipelined-behind-dialled-lost": Probe(_beat_while_dialling, [_open, _beat], [_open], _PROBING),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)
