"""Equal seeds give equal bytes on the wire, independently of other connections; other seeds give other bytes."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from cbspec_simulator import Simulator
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.relay.events import Decided
from cbspec_simulator.settings.config import RelaySettings
from tests.simulator.faults.probe import CONFIG, ProbedRelay, auth, tunnel
from tests.support.client import RawClient
from tests.support.messages import BEAT, HELLO

CONNECTIONS: Final = 4
MESSAGES: Final = 120
FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "refused": {"kind": "error", "code": "rate_limit_exceeded", "when": {"probability": 0.1, "message": "tunnel_info"}},
    "doubled": {"kind": "duplicate", "when": {"probability": 0.1}},
    "damaged": {"kind": "damage-json", "when": {"probability": 0.1}},
    "respelt": {"kind": "spelling", "how": "order", "when": {"probability": 0.3}},
    "swapped": {"kind": "reorder", "seconds": 600, "when": {"probability": 0.1}},
    "late": {"kind": "latency", "seconds": 0.001, "jitter": 0.001, "when": {"probability": 0.1}},
    "turns": {
        "sequence": [{"kind": "pass"}, {"kind": "split", "at": [5, 20]}, {"kind": "oversize", "bytes": 10}],
        "repeat": True,
        "when": {"per": "connection", "probability": 0.5},
    },
}
# The order in which connections reach a common limit depends on timing, so there is no limit.
ROOMY: Final = replace(CONFIG, relay=RelaySettings(buffer_pool=None))
_TOKEN: Final = auth(subject="everybody")["token"]
Seen = dict[int, tuple[list[bytes], set[str]]]


def _converse(wire: RawClient, number: int) -> list[bytes]:
    """Send everything; return the plain text of each TLS record until the relay closes."""
    rest = [(BEAT, tunnel(f"{number}-{index}"), {"type": "made-up"})[index % 3] for index in range(MESSAGES - 2)]
    with wire:
        wire.send(HELLO, {**auth(), "token": _TOKEN}, *rest)
        wire.socket.shutdown(socket.SHUT_WR)
        wire.end()
    return [record for record in wire.records if record]


async def _seen(seed: int, transport: str, connections: int = CONNECTIONS) -> Seen:
    """Return the data that each of several simultaneous clients receives, and the faults that struck it."""
    struck: dict[int, set[str]] = defaultdict(set)

    def note(event: Decided) -> None:
        if event.decision.struck:
            struck[event.decision.occasion.connection].add(event.decision.fault)

    faults = tuple(Fault.read({"name": name, **data}) for name, data in FAULTS.items())
    async with Simulator(replace(ROOMY, faults=faults, seed=seed)) as simulator:
        simulator.relay.tell.add(note, Decided)
        relay = ProbedRelay(simulator, transport)
        wires = [await asyncio.to_thread(relay.wire) for _ in range(connections)]
        received = await asyncio.gather(*(asyncio.to_thread(_converse, wire, at) for at, wire in enumerate(wires, 1)))
    return {number: (records, struck[number]) for number, records in enumerate(received, 1)}


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
async def test_seeds(transport: str) -> None:
    first, second, other = [await _seen(seed, transport) for seed in (11, 11, 12)]
    assert first == second
    assert all(struck == set(FAULTS) and other[number][0] != records for number, (records, struck) in first.items())
    assert (await _seen(11, transport, 1))[1] == first[1]
