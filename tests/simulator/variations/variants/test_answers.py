"""More, less, or the same in other words."""

from __future__ import annotations

import pytest

from cbspec_simulator.variations.variants import answers
from tests.simulator.variations.deviations.probe import Look, Probe, enter, hello, member
from tests.simulator.variations.variants.probe import show
from tests.support.memory import HELLO, Body, MemoryRelay, auth, tunnel

_ALL = ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"]


def _each(memory: MemoryRelay) -> list[Body]:
    client = memory.client()
    requests: list[Body] = [HELLO, auth(), tunnel(), {"type": "heartbeat"}, {"type": "x"}]
    return [answer for request in requests for answer in client.send(request)]


def _lengths(memory: MemoryRelay) -> list[bool]:
    return [len(str(answer)) > 2 * 16 * 1024 for answer in _each(memory)]


def _error(memory: MemoryRelay) -> object:
    return enter(memory).ask({"type": "x"})["message"]


def _client(memory: MemoryRelay) -> object:
    memory.client()
    client = memory.greeted()
    return client.ask(auth())["client_id"]


def _features(clean: list[str], different: list[str]) -> Probe:
    return Probe(member(hello, "features"), [clean], [different])


_noted: Look = member(_each, "note")

PROBES = {
    "extra-members": Probe(_noted, [...] * 5, ["ünïcode ✓"] * 5),
    "long-answers": Probe(_lengths, [False] * 5, [True] * 5),
    "fewer-features": _features(_ALL, ["tls", "tunnel_info", "multi_tenancy"]),
    "only-multi-tenancy": _features(_ALL, ["multi_tenancy"]),
    "no-features": _features(_ALL, []),
    "more-features": _features(_ALL, [*_ALL, "drain"]),
    "feature-order": _features(_ALL, [*reversed(_ALL), "tls"]),
    "own-client-id": Probe(_client, "user123", "c/00000002"),
    "terse-errors": Probe(lambda memory: _error(memory) == "refused", False, True),
    "errors-in-russian": Probe(lambda memory: str(_error(memory)).isascii(), True, False),
}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_each_is_shown() -> None:
    assert {variant.id for variant in answers.VARIANTS} == set(PROBES)
