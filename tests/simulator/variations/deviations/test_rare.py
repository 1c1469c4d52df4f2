"""The rare deviations: there now and then, and only then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec_simulator import DEVIATIONS, RARE
from tests.simulator.variations.deviations.probe import Look, Probe, asking, enter, met, show
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth, token, tunnel


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


CHOSEN = next(f"t{number}" for number in range(10_000) if _digest(f"t{number}") % 500 == 0)
OTHER = next(f"t{number}" for number in range(10_000) if _digest(f"t{number}") % 500 == 1)


def _names(memory: MemoryRelay) -> list[object]:
    client = enter(memory)
    return [client.ask(tunnel(name))["tunnel_id"] for name in (OTHER, CHOSEN)]


def _beats(memory: MemoryRelay) -> list[int]:
    client = enter(memory)
    return [len(client.send(BEAT)) for _ in range(8)]


def _tenants(memory: MemoryRelay) -> list[object]:
    """Open three connections of one tenant, and one of another."""
    found: list[object] = []
    for tenant in ("a", "a", "a", "b"):
        client = memory.client()
        client.send(HELLO)
        found.append(client.ask(auth(tenant))["tenant_id"])
    return found


def _ports(*ports: int) -> Look:
    return lambda memory: [met(enter(memory), tunnel(remote_port=port)) for port in ports]


def _spelled(*names: str) -> Look:
    def look(memory: MemoryRelay) -> list[object]:
        client = enter(memory)
        text = json.dumps(tunnel("NAME")) + "\n"
        return [client.ask(text.replace("NAME", name).encode())["tunnel_id"] for name in names]

    return look


def _cut(*places: int) -> Look:
    """Cut a message at a place, and send a heartbeat behind it."""

    def look(memory: MemoryRelay) -> list[list[str]]:
        text = json.dumps(tunnel()).encode() + b"\n"
        found = []
        for place in places:
            client = enter(memory)
            found.append([*met(client, text[:place]), *met(client, text[place:]), *met(client, BEAT)])
        return found

    return look


def _with_bit_flipped(*places: int) -> Look:
    def look(memory: MemoryRelay) -> list[list[str]]:
        found = []
        for place in places:
            head, _, signature = token("a").rpartition(".")
            letters = [*signature]
            letters[place] = "A" if letters[place] != "A" else "B"
            client = memory.client()
            client.send(HELLO)
            found.append(met(client, {"type": "auth", "token": f"{head}.{''.join(letters)}"}))
        return found

    return look


def _after_strangers(count: int) -> Look:
    """Use up a limit of two tunnels, ask for another tenant's, and then for one more."""

    def look(memory: MemoryRelay) -> list[str]:
        client = enter(memory, "tunnels")
        found = [one for name in ("x", "y") for one in met(client, tunnel(name, "tunnels"))]
        for number in range(count):
            client.send(tunnel(f"z{number}", "b"))
            found += met(client, tunnel(f"more{number}", "tunnels"))
        return found

    return look


def _after_refusals(memory: MemoryRelay) -> list[int]:
    client = enter(memory)
    answered = []
    for _ in range(5):
        client.send({"type": "unknown"})
        answered.append(len(client.send(BEAT)))
    return answered


_COLONS = b'{"type"::"heartbeat"}\n'
_served, _full = "tunnel_response", "tenant_limit_exceeded"
_after_auth: Callable[[bytes], Look] = asking

PROBES = {
    "rare-tunnel-id": Probe(_names, [OTHER, CHOSEN], [OTHER, f"{CHOSEN.upper()}-"]),
    "rare-seventh-heartbeat": Probe(_beats, [1] * 8, [1, 1, 1, 1, 1, 1, 0, 1]),
    "rare-second-connection": Probe(_tenants, ["a", "a", "a", "b"], ["a", "b", "a", "b"]),
    "rare-ports": Probe(
        _ports(69_999, 70_000, 70_999, 71_000),
        [["invalid_tunnel_info"]] * 4,
        [["invalid_tunnel_info"], [_served], [_served], ["invalid_tunnel_info"]],
    ),
    "rare-escape": Probe(
        _spelled("\\ud83d\\ude01", "\\uD83D\\uDE00", "\\u00e9", "😀"),
        ["😁", "😀", "é", "😀"],
        ["😁", "\ufffd", "é", "😀"],
    ),
    "rare-cut": Probe(
        _cut(39, 40, 41),
        [[_served, "heartbeat_response"]] * 3,
        [[_served, "heartbeat_response"], ["heartbeat_response"], [_served, "heartbeat_response"]],
    ),
    "rare-signature": Probe(
        _with_bit_flipped(3, 12, 30),
        [["invalid_token"]] * 3,
        [["invalid_token"], ["auth_response"], ["invalid_token"]],
    ),
    "rare-colons": Probe(_after_auth(_COLONS), ["unknown_message_type"], ["heartbeat_response"]),
    "rare-uncounted-tunnel": Probe(_after_strangers(2), [_served, _served, _full, _full], [_served] * 4),
    "rare-heartbeat-after-refusals": Probe(_after_refusals, [1] * 5, [1, 1, 1, 0, 1]),
}


@pytest.mark.parametrize("id_", RARE)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


def test_they_are_apart_from_the_others_and_each_breaks_a_requirement() -> None:
    assert not set(RARE) & set(DEVIATIONS)
    assert set(RARE) == set(PROBES)
    assert all(id_ == deviation.id and id_.startswith("rare-") for id_, deviation in RARE.items())
    assert all(deviation.requirement in REQUIREMENTS for deviation in RARE.values())
