"""Target 3: the memory of a connection that is authenticated, has a tunnel, and says nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from bench.figures import Figure, Plan, Target
from bench.processes import Client, configured

_KIB: Final = 1024
_NUMBERS: Final = (2_000, 10_000)
_MOST: Final = 25.0  # KiB
_ROUNDS: Final = 3  # one takes a minute, and they hardly differ


def measure(plan: Plan) -> list[Figure]:
    """Open connections up to each number in turn, and see how the relay's process has grown."""
    grown: dict[int, list[float]] = {number: [] for number in _NUMBERS}
    rounds = min(plan.rounds, _ROUNDS)
    for nth in range(rounds):
        with (
            tempfile.TemporaryDirectory(prefix="cbspec-bench-") as folder,
            configured(Path(folder), 10) as server,
            Client(server, tenants=10) as client,
        ):
            before = 0
            for number in _NUMBERS:
                client.do("open", number - before)
                before = number
                grown[number].append((server.resident() - server.began_with) / number / _KIB)
                plan.progress(f"{number:,} connections are open, round {nth + 1} of {rounds}")
    return [Figure(f"memory per connection at {number:,}", grown[number], _MOST, unit="KiB") for number in _NUMBERS]


TARGET: Final = Target(3, "An idle connection with a tunnel, memory over the process's start size", measure)
