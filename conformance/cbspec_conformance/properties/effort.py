"""The effort of a run: examples of each property, steps of a stateful one, and the random seed of their values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """The amount of property testing.

    `examples` are per property, `steps` per example of a stateful property. `enough` is the time in seconds spent
    waiting for a slow relay after which a property stops early (None: never).
    """

    name: str
    examples: int
    steps: int
    enough: float | None


QUICK = Effort("quick", 5, 10, 3.0)
DEFAULT = Effort("default", 20, 20, 6.0)
THOROUGH = Effort("thorough", 1500, 30, None)

EFFORTS = {effort.name: effort for effort in (QUICK, DEFAULT, THOROUGH)}
"""Every effort by its name."""


@dataclass(frozen=True, slots=True)
class EffortPlan:
    """The effort of one run: `examples` replaces the effort's own number, `seed` is the random seed."""

    effort: Effort
    examples: int
    seed: int

    def __str__(self) -> str:
        return f"effort {self.effort.name}, {self.examples} examples of each property, seed {self.seed}"
