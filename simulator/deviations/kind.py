"""What a deviation is."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.compose import Change


@dataclass(frozen=True, slots=True)
class Deviation:
    """One way to be wrong: `change` makes a behaviour break `requirement` and nothing else."""

    id: str
    requirement: str
    sentence: str
    change: Change
