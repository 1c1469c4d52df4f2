"""The result of learning a client as text and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from cbspec.catalogue.requirements import CATALOGUE, Level, find
from cbspec.exit_codes import ExitCode
from cbspec_conformance.client.learning.answers import OVER
from cbspec_conformance.judging.verdicts import Finding
from cbspec_conformance.learning.telling import LearnedMachine, change_lines, head_lines, listed, wrapped
from cbspec_conformance.machines.folding import fold
from cbspec_conformance.machines.machine import Machine, MachineData, distinctions


@dataclass(frozen=True, slots=True)
class LearnedClient(LearnedMachine):
    """What learning a client has found.

    `client` is its command. `findings` are the breaches of the rules for every message, by requirement; `left_out` has
    the reason for each answer that was left out. `exchange` shows the gravest difference. `so_far` is the last
    hypothesis.
    """

    client: str = field(kw_only=True)
    transport: str = field(kw_only=True)
    findings: Mapping[str, Finding] = field(kw_only=True)
    left_out: Mapping[str, str] = field(kw_only=True)
    exchange: str = field(kw_only=True)
    so_far: Machine | None = field(kw_only=True)

    @property
    def exit_code(self) -> ExitCode:
        """Not conforming if a MUST is broken or the machine is unknown."""
        levels = {each.level for each in self.differences} | {find(each).level for each in self.findings}
        failed = Level.MUST in levels or self.machine is None
        return ExitCode.NOT_CONFORMING if failed else ExitCode.SUCCESS


def client_text(learned: LearnedClient) -> str:
    """Return the report for a terminal."""
    return "\n".join(_lines(learned))


def _lines(learned: LearnedClient) -> Iterator[str]:
    yield from head_lines(learned, learned.client, learned.transport, learned.left_out)
    yield ""
    if not learned.differences:
        yield "No difference from the specification." if learned.machine else "No breach in the words that were asked."
    for each in learned.differences:
        yield f"{each.level} {each.requirement}: {find(each.requirement).demand}"
        yield from (f"    {answer} / {output}" for answer, output in zip(each.word, each.outputs, strict=True))
        yield from wrapped(f"also: {listed(each.also)}", "    ") if each.also else ()
    for requirement, finding in learned.findings.items():
        yield f"{find(requirement).level} {requirement}: expected {finding.expected}; seen: {finding.seen}"
    if learned.exchange:
        yield "The first of them on the wire:"
        yield textwrap.indent(learned.exchange, "  ")
    yield from change_lines(learned, OVER)
    yield from _table(learned)


def _table(learned: LearnedClient) -> Iterator[str]:
    """Yield the edges of the machine, or of the last hypothesis."""
    machine = learned.machine or learned.so_far
    if machine is None:
        return
    yield ""
    yield "The client's next message after each answer:" if learned.machine else "The client's machine so far:"
    edges, remarks = fold(machine, learned.differences)
    for state, name in enumerate(machine.names):
        mine = [each for each in edges if each.source == state]
        if mine:
            yield f"  {name}"
        for each in mine:
            mark = f"{each.mark}! " if each.mark else ""
            yield f"    {mark}{', '.join(each.inputs)} / {each.output} -> {machine.names[each.target]}"
    yield from (f"  {each}" for each in remarks)


def client_json(learned: LearnedClient) -> str:
    """Return the report as JSON; machine and differences are those of the stream of results."""
    machine, earlier = learned.machine, learned.earlier
    data = {
        "client": learned.client,
        "catalogue": CATALOGUE,
        "transport": learned.transport,
        "machine": None if machine is None else MachineData.of(machine),
        "stopped": learned.stopped,
        "differences": learned.differences,
        "findings": [
            {"requirement": name, "level": find(name).level, "expected": each.expected, "seen": each.seen}
            for name, each in learned.findings.items()
        ],
        "left_out": learned.left_out,
        "changes": [] if machine is None or earlier is None else distinctions(machine, earlier, OVER),
        "queries": learned.queries,
        "inputs": learned.inputs,
        "seconds": round(learned.seconds, 3),
        "exit_code": int(learned.exit_code),
    }
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
