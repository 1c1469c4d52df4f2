"""A learned machine as lines of the report on a terminal, for relays and clients."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cbspec_conformance.machines.machine import Difference, Machine, distinctions
from cbspec_conformance.reporting.report import WIDTH


@dataclass(frozen=True, slots=True)
class LearnedMachine:
    """What learning has found, with `queries` words of altogether `inputs` inputs.

    `machine` is None if learning stopped, with the reason in `stopped`. `differences` are those from the specification,
    and `earlier` is the machine of --against.
    """

    machine: Machine | None
    stopped: str
    differences: Sequence[Difference]
    queries: int
    inputs: int
    seconds: float
    earlier: Machine | None = None


def head_lines(learned: LearnedMachine, subject: str, transport: str, left_out: Mapping[str, str]) -> Iterator[str]:
    """Yield the size of the machine of a subject and its states; `left_out` has the reason for each missing input."""
    machine = learned.machine
    work = f"{learned.queries} queries with {learned.inputs} inputs in {learned.seconds:.1f} s"
    if machine is None:
        yield from wrapped(f"The machine of {subject} was not learned: {learned.stopped} ({work}).", "")
    else:
        yield from wrapped(f"The machine of {subject} ({transport}): {len(machine.states)} states; {work}.", "")
        for name, word in zip(machine.names, machine.access, strict=True):
            yield from wrapped(f"{name}{f' (after {listed(word)})' if word else ''}")
    for name, reason in left_out.items():
        yield from wrapped(f"left out: {name}: {reason}")


def change_lines(learned: LearnedMachine, sink: str) -> Iterator[str]:
    """Yield what distinguishes a machine from the one of --against; `sink` is that of `distinctions`."""
    now, earlier = learned.machine, learned.earlier
    if now is None or earlier is None:
        return
    found, missing = distinctions(now, earlier, sink), {*now.inputs} ^ {*earlier.inputs}
    yield ""
    if missing:
        yield from wrapped(f"Not compared, because only one machine has them: {listed(sorted(missing))}.", "")
    relation = "It differs from" if found else "It behaves like"
    yield from wrapped(f"{relation} the machine of {earlier.origin} in the file.", "")
    for each in found:
        also = f"; also: {'; '.join(each.also)}" if each.also else ""
        yield from wrapped(f"{listed(each.word)}: now {each.outputs[-1]}, then {each.others[-1]}{also}")


def listed(word: Sequence[str]) -> str:
    """Return the inputs of a word as text."""
    return "; ".join(word)


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """Return the lines of a text."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")
