"""The same seed and the same clients: the same faults, to the byte; another seed: others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from cbspec_simulator import Simulator
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.relay.events import Decided, Event
from cbspec_simulator.settings.config import RelaySettings
from tests.simulator.faults.probe import CONFIG, ProbedRelay, auth, tunnel
from tests.support.client import RawClient
from tests.support.messages import BEAT, HELLO

CONNECTIONS: Final = 4
MESSAGES: Final = 300
FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "refused": {"kind": "error", "code": "rate_limit_exceeded", "when": {"probability": 0.1, "message": "tunnel_info"}},
    "lost": {"kind": "drop", "when": {"probability": 0.05}},
    "doubled": {"kind": "duplicate", "when": {"probability": 0.1}},
    "damaged": {"kind": "damage-json", "when": {"probability": 0.1}},
    "cut": {"kind": "truncate", "when": {"every": 7, "per": "connection"}},
    "respelt": {"kind": "spelling", "how": "order", "when": {"probability": 0.3}},
    "swapped": {"kind": "reorder", "seconds": 600, "when": {"probability": 0.1}},
    "late": {"kind": "latency", "seconds": 0.001, "jitter": 0.001, "when": {"probability": 0.1}},
    "turns": {
        "sequence": [{"kind": "pass"}, {"kind": "split", "at": [5, 20]}, {"kind": "oversize", "bytes": 10}],
        "repeat": True,
        "when": {"per": "connection", "probability": 0.5},
    },
}
# Without a limit that connections share: who meets it first is a matter of time, not of chance.
ROOMY: Final = replace(CONFIG, relay=RelaySettings(buffer_pool=None))
Seen = dict[int, tuple[list[bytes], list[tuple[object, ...]]]]


def _asked(number: int) -> list[dict[str, Any]]:
    """Return what a client says."""
    rest = [(BEAT, tunnel(f"{number}-{index}"), {"type": "made-up"})[index % 3] for index in range(MESSAGES - 2)]
    return [HELLO, {**auth(), "token": _TOKEN}, *rest]


_TOKEN: Final = auth(subject="everybody")["token"]


def _all_said(wire: RawClient, number: int) -> list[bytes]:
    """Say everything, and return the plain text of each TLS record that comes until the relay has no more to say."""
    wire.send(*_asked(number))
    wire.half_close()
    wire.end()
    return [record for record in wire.records if record]


async def _seen(seed: int, transport: str, names: tuple[str, ...] = tuple(FAULTS)) -> Seen:
    """Return what each of some clients that talk at the same time sees, and what was decided about it."""
    faults = tuple(Fault.read({"name": name, **FAULTS[name]}) for name in names)
    decided: dict[int, list[tuple[object, ...]]] = defaultdict(list)

    def note(event: Event) -> None:
        if isinstance(event, Decided):
            decision = event.decision
            decided[decision.occasion.connection].append(
                (decision.fault, decision.kind, decision.struck, decision.chance)
            )

    async with Simulator(replace(ROOMY, faults=faults, seed=seed)) as simulator:
        simulator.relay.tell.add(note)
        relay = ProbedRelay(simulator)
        wires = [await asyncio.to_thread(relay.wire, transport) for _ in range(CONNECTIONS)]
        said = await asyncio.gather(*(asyncio.to_thread(_all_said, wire, at) for at, wire in enumerate(wires, 1)))
        for wire in wires:
            wire.socket.close()
    return {number: (records, decided[number]) for number, records in enumerate(said, 1)}


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
async def test_the_same_seed_twice_and_another(transport: str) -> None:
    first, second, other = [await _seen(seed, transport) for seed in (11, 11, 12)]
    assert CONNECTIONS * MESSAGES >= 1_000
    assert len(FAULTS) >= 6
    assert first == second
    for number, (records, decisions) in first.items():
        assert other[number] != first[number]
        assert b"".join(other[number][0]) != b"".join(records)
        struck = {decision[0] for decision in decisions if decision[2]}
        assert struck == set(FAULTS), "each of them had its turn"
    assert len({b"".join(records) for records, _ in first.values()}) == CONNECTIONS


async def test_one_connection_more_or_less_changes_nothing_for_the_others() -> None:
    seen = await _seen(11, "tcp")
    async with Simulator(replace(ROOMY, seed=11)) as simulator:
        for name, data in FAULTS.items():
            simulator.relay.faults.add(Fault.read({"name": name, **data}), simulator.clock.monotonic())
        wire = await asyncio.to_thread(ProbedRelay(simulator).wire, "tcp")
        with wire:
            assert await asyncio.to_thread(_all_said, wire, 1) == seen[1][0]


async def test_one_fault_more_changes_nothing_in_the_decisions_of_the_others() -> None:
    few = await _seen(11, "tcp", ("refused", "lost"))
    for number, (_, decisions) in (await _seen(11, "tcp", ("lost", "respelt", "refused"))).items():
        for name in ("refused", "lost"):
            chosen = [[each for each in found if each[0] == name] for found in (decisions, few[number][1])]
            assert chosen[0] == chosen[1]
            assert chosen[0]


_DECIDE: Final = """
from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.when import MessageDirection, Occasion
faults = Faults(7)
faults.add(Fault.read({"kind": "drop", "name": "it", "when": {"probability": 0.5}}), 0.0)
print([bool(faults.at(Occasion(MessageDirection.ANSWER, 1, "tcp", "a", "u", "error"), 0.0)) for _ in range(100)])
"""


def test_another_process_decides_the_same() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _DECIDE],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1
    (output,) = outputs
    assert output.count(b"True") > 20
    assert output.count(b"False") > 20
