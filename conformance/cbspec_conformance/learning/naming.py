"""Names the states of a learned machine by their distinguishing behaviour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cbspec_conformance.machines.machine import CLOSED, CONNECTED, NONE_DUE, Machine

_NAMED: Final = 2  # unusual inputs that a name lists


def with_names(machine: Machine, known: Machine) -> Machine:
    """Return a machine whose states have the names of the specification's states that they resemble most.

    A state that is unlike all of them is named by the inputs on which it differs.
    """
    return named(machine, [_name(machine, known, state) for state in machine.states])


def named(machine: Machine, names: Sequence[str]) -> Machine:
    """Return a machine with names for its states; equal ones are numbered."""
    times, number, different = Counter(names), Counter[str](), list(names)
    for place, name in enumerate(names):
        if times[name] > 1:
            number[name] += 1
            different[place] = f"{name} ({number[name]})"
    return replace(machine, names=tuple(different))


def _name(machine: Machine, known: Machine, state: int) -> str:
    outputs = {letter: machine.edges[state, letter][0] for letter in machine.inputs}
    if {*outputs.values()} <= {CLOSED, CONNECTED, NONE_DUE}:
        return "closed"

    def unlike(place: int) -> list[str]:
        return [letter for letter in machine.inputs if outputs[letter] != known.edges[place, letter][0]]

    moved = _moved(machine, known, state)
    if not unlike(moved):
        return known.names[moved]
    nearest = min(known.states, key=lambda place: len(unlike(place)))
    different = unlike(nearest)
    if not different:
        return f"{known.names[nearest]}, later"
    served = [each for each in different if outputs[each].endswith("_response")] or different
    about = ", ".join(served[:_NAMED]) + (", …" if len(served) > _NAMED else "")
    return f"{known.names[nearest]}, but: {about}"


def _moved(machine: Machine, known: Machine, state: int) -> int:
    """Return the specification's state after the access word."""
    place = 0
    for letter in machine.access[state]:
        _, place = known.edges[place, letter]
    return place
