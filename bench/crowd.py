"""Measurements outside pyperf: memory per idle connection, and the cost of a message among many connections."""

from __future__ import annotations

from typing import Final

from bench.load import Load
from bench.server import simulator

NUMBERS: Final = (2_000, 10_000)
_FEW: Final = 50
_MESSAGES: Final = 4_000


def measure(numbers: tuple[int, ...] = NUMBERS) -> dict[str, float]:
    """Open connections up to each of `numbers`; return KiB per connection, and the cost of messages as ratios."""
    found: dict[str, float] = {}
    with simulator() as server:
        load, initial = Load(server.address), server.holding().memory

        def cost(among: int | None = None) -> float:
            before = server.holding().processor
            for _ in range(_MESSAGES // 10):
                load.heartbeats(10, among)
            return server.holding().processor - before

        load.open(_FEW)
        cost()
        few, opened = cost(), _FEW
        for number in numbers:
            load.open(number - opened)
            opened = number
            memory = (server.holding().memory - initial) / number
            found[f"memory per idle connection at {number:,}, KiB"] = memory
        found[f"message with {opened:,} connections, ten of them active / with {_FEW}"] = cost(10) / few
        found[f"message with {opened:,} connections, all active / with {_FEW}"] = cost() / few
        load.close()
    return found
