"""A figure: ratios measured in rounds, side by side with what they are a ratio to, and the limit that they keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """What one measurement gave.

    `name` says what was divided by what; `samples` are its values, one a round; `limit` is the bound that their median
    must keep: at least (`least`) or at most. A `limit` of None is a figure that only explains another. `parts` are the
    medians that the ratio was made of, as text.
    """

    name: str
    samples: Sequence[float]
    limit: float | None = None
    least: bool = False
    unit: str = "x"
    parts: str = ""

    @property
    def value(self) -> float:
        """The median."""
        return median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest of the samples."""
        return min(self.samples), max(self.samples)

    @property
    def met(self) -> bool:
        """Whether the median keeps its limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.least else self.value <= self.limit

    def __str__(self) -> str:
        low, high = self.spread
        limit = "" if self.limit is None else f", {'at least' if self.least else 'at most'} {self.limit:g}"
        verdict = "" if self.limit is None else f": {'met' if self.met else 'MISSED'}"
        return f"{self.name}: {self.value:.2f} {self.unit} ({low:.2f} to {high:.2f}{limit}){verdict}; {self.parts}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: so many `rounds`, and `progress` is told in words how far it is."""

    rounds: int
    progress: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """One target of the benchmarks: its number, what it asks for, and what measures it."""

    number: int
    title: str
    measure: Callable[[Plan], list[Figure]]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [over / under for over, under in zip(above, below, strict=True)]


def microseconds(**costs: Sequence[float]) -> str:
    """Name the medians of processor times, given in seconds."""
    return ", ".join(f"{name.replace('_', ' ')} {median(values) * 1e6:.0f} µs" for name, values in costs.items())
