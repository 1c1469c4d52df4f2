"""The edges of a machine as a picture shows them: those with the same ends and output are one, with marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Final

from cbspec.catalogue.requirements import Level
from cbspec_conformance.machines.machine import CLOSED, CONNECTED, NONE_DUE, Difference, Machine

_ORDER: Final = (Level.MUST, Level.SHOULD, Level.INFO)


@dataclass(frozen=True, slots=True)
class FoldedEdge:
    """Inputs with the same ends and output. `mark` is the level of a difference from the specification, or None."""

    source: int
    target: int
    inputs: tuple[str, ...]
    output: str
    mark: Level | None

    @property
    def level(self) -> str:
        """The mark as a word in lower case, or ""."""
        return "" if self.mark is None else self.mark.value.lower()


def fold(machine: Machine, differences: Iterable[Difference]) -> tuple[list[FoldedEdge], list[str]]:
    """Return the folded edges, and remarks on the edges of every state that are not among them."""
    marks = _marks(machine, differences)
    alike = [
        letter
        for letter in machine.inputs
        if all(machine.edges[state, letter] == (CONNECTED, 0) for state in machine.states)
        and not any(mark for (_, each), mark in marks.items() if each == letter)
    ]
    constant = _constant(machine, {letter for (_, letter), mark in marks.items() if mark})
    ends = [state for state in machine.states if len({machine.edges[state, each] for each in machine.inputs}) == 1]
    groups: dict[tuple[int, int, str, Level | None], list[str]] = {}
    for (state, letter), (output, then) in machine.edges.items():
        ended = output in (CLOSED, NONE_DUE) or (state in ends and (state, letter) not in marks)
        if letter in alike or letter in constant or (ended and then == state) or (state, letter) in machine.hidden:
            continue  # a connection, or a client, that has ended stays so
        groups.setdefault((state, then, output, marks.get((state, letter))), []).append(letter)
    edges = [FoldedEdge(s, t, tuple(inputs), output, mark) for (s, t, output, mark), inputs in groups.items()]
    remarks = [f"From every state, {' and '.join(alike)} lead to a new connection."] if alike else []
    if NONE_DUE in {output for output, _ in machine.edges.values()}:
        remarks.append("A KeyUpdate that is not shown changes nothing.")
    for output in dict.fromkeys(constant.values()):
        letters = " · ".join(letter for letter, each in constant.items() if each == output)
        remarks.append(f"In every state: {letters} → {output}.")
    if any(output == CLOSED for output, _ in machine.edges.values()):
        remarks.append("A closed connection answers nothing.")
    return edges, remarks


def _constant(machine: Machine, marked: Set[str]) -> dict[str, str]:
    """Return the outputs of the inputs that draw the same one in every open state of several, and change none."""
    silent = {CLOSED, CONNECTED, NONE_DUE}
    states = [s for s in machine.states if {machine.edges[s, each][0] for each in machine.inputs} - silent]
    rows = {each: {machine.edges[state, each][0] for state in states} for each in machine.inputs if each not in marked}
    stay = [each for each in rows if all(machine.edges[state, each][1] == state for state in states)]
    same = [each for each in stay if len(rows[each]) == 1 and not rows[each] & silent and len(states) > 1]
    return {each: next(iter(rows[each])) for each in same}


def _marks(machine: Machine, differences: Iterable[Difference]) -> Mapping[tuple[int, str], Level]:
    found: dict[tuple[int, str], Level] = {}
    for each in differences:
        state = 0
        for letter in each.word[:-1]:
            state = machine.edges[state, letter][1]
        for letter in (each.word[-1], *each.also):
            if machine.edges[state, letter][0] == each.outputs[-1]:
                known = found.get((state, letter), each.level)
                found[state, letter] = min(known, each.level, key=_ORDER.index)
    return found
