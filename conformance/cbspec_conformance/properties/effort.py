"""How hard the properties try: examples of each, steps of a stateful one, and the seed that their values come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """A measure of work.

    `examples` is for each property, `steps` for one example of a stateful one; `enough` is the seconds after which a
    property on a slow relay has been tried enough (None: it is tried to the end, however long that takes).
    """

    name: str
    examples: int
    steps: int
    enough: float | None


QUICK = Effort("quick", 5, 10, 1.5)
DEFAULT = Effort("default", 20, 20, 3.0)
THOROUGH = Effort("thorough", 1500, 30, None)

EFFORTS = {effort.name: effort for effort in (QUICK, DEFAULT, THOROUGH)}
"""Every effort by its name."""


@dataclass(frozen=True, slots=True)
class EffortPlan:
    """How a run explores: `examples` of each property instead of the effort's own, values from `seed`."""

    effort: Effort
    examples: int
    seed: int

    def __str__(self) -> str:
        return f"effort {self.effort.name}, {self.examples} examples of each property, seed {self.seed}"
