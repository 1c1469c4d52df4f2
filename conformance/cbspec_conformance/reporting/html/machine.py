"""A learned machine as the page shows it: the picture, its states and edges, and the differences with their cases."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from cbspec_conformance.failures.failure import LEARNED
from cbspec_conformance.machines.drawing import as_svg
from cbspec_conformance.machines.machine import CLOSED, Difference, Distinction, Machine, distinctions
from cbspec_conformance.reporting.events import MachineLearned
from cbspec_conformance.reporting.stream import RecordedRun


@dataclass(frozen=True, slots=True)
class ShownDifference:
    """A difference from the specification; `number` finds the exchange of its case in the page's data (-1: none)."""

    difference: Difference
    number: int

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The inputs with their outputs."""
        return list(zip(self.difference.word, self.difference.outputs, strict=True))


@dataclass(frozen=True, slots=True)
class ShownMachine:
    """A learned machine; `machine` is None if learning stopped. `changes` distinguish it from the one of --against."""

    event: MachineLearned
    machine: Machine | None
    picture: Markup
    differences: tuple[ShownDifference, ...]
    earlier: Machine | None
    changes: tuple[Distinction, ...]


def shown_machine(run: RecordedRun) -> ShownMachine | None:
    """Return the machine that a run has learned, or None."""
    event = run.machine
    if event is None:
        return None
    machine = event.machine.machine if event.machine is not None else None
    earlier = event.earlier.machine if event.earlier is not None else None
    picture = as_svg(machine, event.differences, event.table_states, inline=True) if machine is not None else ""
    numbers = {tuple(case.event.name.removeprefix(LEARNED).split("; ")): n for n, case in enumerate(run.cases)}
    return ShownMachine(
        event,
        machine,
        Markup(picture),  # noqa: S704 - `as_svg` escapes every text
        tuple(ShownDifference(each, numbers.get(each.word, -1)) for each in event.differences),
        earlier,
        tuple(distinctions(machine, earlier, CLOSED)) if machine is not None and earlier is not None else (),
    )
