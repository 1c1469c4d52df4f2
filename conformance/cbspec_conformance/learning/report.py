"""The result of learning as text and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cbspec.catalogue.requirements import CATALOGUE, Level, find
from cbspec.exit_codes import ExitCode
from cbspec_conformance.judging.verdicts import Finding
from cbspec_conformance.learning.comparison import Difference
from cbspec_conformance.learning.machine import Distinction, Machine, as_data


@dataclass(frozen=True, slots=True)
class LearnedRelay:
    """The result of learning.

    `machine` is None if learning stopped, with the reason in `stopped`. `differences` are those from the specification,
    `findings` the breaches of invariants, by requirement; `left_out` are the inputs that the profile can't make.
    `earlier` is the machine of --against, and `changes` distinguish it from this one. `exchange` shows the gravest
    difference.
    """

    relay: str
    transport: str
    machine: Machine | None
    stopped: str
    differences: list[Difference]
    findings: Mapping[str, Finding]
    left_out: Mapping[str, str]
    queries: int
    inputs: int
    seconds: float
    exchange: str = ""
    earlier: Machine | None = None
    changes: list[Distinction] = field(default_factory=list)

    @property
    def levels(self) -> set[Level]:
        """The levels of everything that was found."""
        return {each.level for each in self.differences} | {find(each).level for each in self.findings}

    @property
    def exit_code(self) -> ExitCode:
        """Not conforming if a MUST is broken or the machine is unknown."""
        failed = Level.MUST in self.levels or self.machine is None
        return ExitCode.NOT_CONFORMING if failed else ExitCode.SUCCESS


def as_text(learned: LearnedRelay) -> str:
    """Return the report for a terminal."""
    return "\n".join(_lines(learned)) + "\n"


def _lines(learned: LearnedRelay) -> Iterator[str]:
    machine = learned.machine
    work = f"{learned.queries} queries with {learned.inputs} inputs in {learned.seconds:.1f} s"
    if machine is None:
        yield from textwrap.wrap(f"The machine of {learned.relay} was not learned: {learned.stopped} ({work}).", 110)
    else:
        yield f"The machine of {learned.relay} ({learned.transport}): {len(machine.states)} states; {work}."
        for name, word in zip(machine.names, machine.access, strict=True):
            yield f"  {name}" + (f" (after {', '.join(word)})" if word else "")
    for name, reason in learned.left_out.items():
        yield f"  left out: {name}: {reason}"
    yield ""
    if not learned.differences:
        yield "No difference from the specification." if machine else "No breach in the words that were asked."
    for each in learned.differences:
        yield from _about(each)
    for requirement, finding in learned.findings.items():
        yield f"{find(requirement).level} {requirement}: expected {finding.expected}; seen: {finding.seen}"
    if learned.exchange:
        yield "The first of them on the wire:"
        yield textwrap.indent(learned.exchange, "  ")
    if machine is not None and learned.earlier is not None:
        yield from _changes(machine, learned.earlier, learned.changes)


def _about(each: Difference) -> Iterator[str]:
    demand = find(each.requirement).demand if each.requirement else "The specification leaves it open."
    yield f"{each.level} {each.requirement or 'open point'}: {demand}"
    for letter, output in zip(each.word, each.outputs, strict=True):
        yield f"    {letter} / {output}"
    if each.expected:
        yield f"    expected: {each.expected}" if each.level is not Level.INFO else f"    usual: {each.expected}"
    yield from _also(each.also)


def _also(letters: tuple[str, ...]) -> list[str]:
    text = f"also: {'; '.join(letters)}" if letters else ""
    return textwrap.wrap(text, 106, initial_indent="    ", subsequent_indent="    ")


def _changes(now: Machine, earlier: Machine, changes: Iterable[Distinction]) -> Iterator[str]:
    found, missing = list(changes), set(now.inputs) ^ set(earlier.inputs)
    yield ""
    if missing:
        yield f"Not compared, because only one machine has them: {', '.join(sorted(missing))}."
    if not found:
        yield f"It behaves like the machine of {earlier.origin} in the file."
        return
    yield f"It differs from the machine of {earlier.origin} in the file:"
    for each in found:
        yield f"  after [{', '.join(each.word[:-1])}], {each.word[-1]}: now {each.outputs[-1]}, then {each.others[-1]}"
        yield from _also(each.also)


def as_json(learned: LearnedRelay) -> dict[str, object]:
    """Return the report as JSON's values."""
    return {
        "catalogue": CATALOGUE,
        "relay": learned.relay,
        "transport": learned.transport,
        "machine": None if learned.machine is None else as_data(learned.machine),
        "stopped": learned.stopped,
        "differences": [
            {
                "requirement": each.requirement,
                "level": each.level,
                "inputs": list(each.word),
                "outputs": list(each.outputs),
                "expected": each.expected,
                "also": list(each.also),
            }
            for each in learned.differences
        ],
        "invariants": [
            {"requirement": name, "level": find(name).level, "expected": each.expected, "seen": each.seen}
            for name, each in learned.findings.items()
        ],
        "left_out": dict(learned.left_out),
        "changes": [
            {"inputs": list(each.word), "outputs": list(each.outputs), "others": list(each.others)}
            for each in learned.changes
        ],
        "queries": learned.queries,
        "inputs": learned.inputs,
        "seconds": round(learned.seconds, 3),
        "exit_code": int(learned.exit_code),
    }
