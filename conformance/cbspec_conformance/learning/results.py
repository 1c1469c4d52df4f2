"""The results of learning: findings, verdicts and the stream, as the suite has them, and the report on the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cbspec.catalogue.requirements import JudgedRole
from cbspec.exit_codes import ExitCode
from cbspec.profile.writing import dump_public
from cbspec_conformance.judging.follow_ups import of_a_run
from cbspec_conformance.judging.verdicts import CUT_SHORT, TIME_UP, Finding, Outcome, judge_run
from cbspec_conformance.learning.setting import LearningSetting
from cbspec_conformance.learning.telling import LearnedMachine, change_lines, head_lines, listed, wrapped
from cbspec_conformance.learning.words import WordCase
from cbspec_conformance.machines.machine import CLOSED, Machine, MachineData
from cbspec_conformance.record.conclusions import CaseEnded, Ending
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.reporting.events import CaseReported, MachineLearned
from cbspec_conformance.reporting.report import RunResult, Write, counts, write_report
from cbspec_conformance.reporting.stream import case_lines, line_of, made
from cbspec_conformance.reporting.subject import JudgedSubject, judged_relay
from cbspec_conformance.runner.options import Options, relay_options
from cbspec_conformance.runner.outputs import write_outputs
from cbspec_conformance.runner.streaming import RunStream

PARTLY: Final = "learning found no breach, and tries only a part of what cbspec verify tries"
_CHECKED: Final = {
    "CB-HEL-007": "auth A",
    "CB-TUN-003": "tunnel A",
    "CB-TUN-004": "tunnel A",
    "CB-TEN-007": "tunnel B",
}
"""The requirements of which a machine shows all, and an input that each needs.

They are about the order of messages, whatever else these contain: the learner has tried each request in every state.
"""


@dataclass(frozen=True, slots=True)
class LearnedRelay(LearnedMachine):
    """What learning a relay has found.

    `table` is the specification's machine, `cases` are the words that show the differences with a requirement, and
    breaches in the form of an answer. `tried` are the requirements that another answer would have broken.
    """

    table: Machine = field(kw_only=True)
    cases: Sequence[WordCase] = field(kw_only=True)
    tried: Iterable[str] = field(kw_only=True)
    interrupted: bool = field(default=False, kw_only=True)


@dataclass(slots=True)
class LearningResults:
    """The files and the report of one run. `began` is the time of its beginning in seconds since 1970."""

    options: Options
    setting: LearningSetting
    stream: RunStream | None
    began: float
    findings: list[Finding] = field(default_factory=list)

    def begin(self) -> None:
        """Write the beginning of the stream: what is known after the preflight."""
        setting, preflight = self.setting, self.setting.preflight
        self.findings += preflight.log.findings
        if self.stream is not None:
            more = {"command": self._command, "profile": dump_public(setting.profile), "facts": setting.facts}
            self.stream.begin(self._subject, **more, learning=True)
            self.stream.preflight(preflight.transcript, self.findings)

    def end(self, learned: LearnedRelay, line: Write) -> ExitCode:
        """Write the rest of the stream, the reports, the other files, and the report; return the exit code."""
        for place, case in enumerate(learned.cases, 1):
            self.findings += case.findings
            self._add(case.lines(place, self.began))
        self._conclude(learned)
        self._add(line_of(_event(learned, self.setting.alphabet.left_out)))
        result = self._result(interrupted=learned.interrupted)
        for text in _head(learned, self.setting):
            line(text)
        write_report(result, line, table=False)
        line(counts(result))
        verdicts = judge_run(self.options.catalogue.of(JudgedRole.RELAY), of_a_run(self.findings), ())
        repeat = (f"--tenant={self.setting.alphabet.tenants['A'].id}", f"--transport={self.setting.facts.transport}")
        write_outputs(self.options, result, self.findings, verdicts, line, narrowed=False, repeat=repeat)
        for text in self.stream.end(result) if self.stream is not None else ():
            line(text)
        return result.exit_code

    def _add(self, lines: bytes) -> None:
        if self.stream is not None:
            self.stream.add(lines)

    def _conclude(self, learned: LearnedRelay) -> None:
        """Say about each requirement without a finding what learning shows."""
        for id_ in sorted({*learned.tried} - {each.requirement for each in self.findings}):
            if learned.machine is not None and _CHECKED.get(id_) in self.setting.alphabet.letters:
                finding = Finding(id_, Outcome.PASSED, f"learn::every request in every state, {id_}")
                about = f"The learner sent each request in each of the {len(learned.machine.states)} states."
                case = CaseReported(finding.case, id_, about, place=len(learned.cases) + 1)
                ended = CaseEnded(0.0, 0, Ending.PASSED)
                self._add(case_lines(case, Transcript(records=[ended], epoch=self.began), [finding], self.began))
            else:
                finding = _without_verdict(id_, learned)
                self._add(line_of(made(finding)))
            self.findings.append(finding)

    @property
    def _subject(self) -> JudgedSubject:
        return judged_relay(self.setting.profile, self.setting.facts, self.setting.preflight.transcript)

    @property
    def _command(self) -> str:
        given = self.options.given
        own = [word for name in ("--transport", "--tenant") if name in given for word in (name, given[name])]
        return shlex.join(["cbspec", "learn", *relay_options(self.options), *own])

    def _result(self, *, interrupted: bool) -> RunResult:
        options, catalogue = self.options, self.options.catalogue
        verdicts = options.baseline.applied(judge_run(catalogue.of(JudgedRole.RELAY), of_a_run(self.findings), ()))
        return RunResult(
            verdicts,
            self._subject,
            options.fail_on_should,
            interrupted=interrupted,
            baseline=options.baseline,
            stale=options.baseline.stale(verdicts),
            exchanges=options.exchanges,
            command=self._command,
            observed_only=True,
        )


def end_without(stream: RunStream, options: Options, address: str, reason: str) -> list[str]:
    """Write the stream of a run that had nothing to learn; return errors."""
    subject = JudgedSubject(JudgedRole.RELAY, address, address, "tcp")
    stream.begin(subject, learning=True)
    nothing = RunResult(judge_run(options.catalogue.of(JudgedRole.RELAY), (), ()), subject, observed_only=True)
    return stream.end(nothing, reason, ExitCode.NOTHING_TO_JUDGE)


def _without_verdict(requirement: str, learned: LearnedRelay) -> Finding:
    if learned.interrupted:
        return Finding(requirement, Outcome.NOT_EXERCISED, reason=CUT_SHORT)
    if learned.machine is not None or learned.stopped == TIME_UP:
        return Finding(requirement, Outcome.NOT_EXERCISED, reason=learned.stopped or PARTLY)
    return Finding(requirement, Outcome.INCONCLUSIVE, reason=learned.stopped)


def _event(learned: LearnedRelay, left_out: dict[str, str]) -> MachineLearned:
    machine, earlier = learned.machine, learned.earlier
    return MachineLearned(
        learned.queries,
        learned.inputs,
        len(learned.table.states),
        None if machine is None else MachineData.of(machine),
        learned.stopped,
        tuple(learned.differences),
        left_out,
        None if earlier is None else MachineData.of(earlier),
    )


def _head(learned: LearnedRelay, setting: LearningSetting) -> Iterator[str]:
    relay, left_out = str(setting.profile.target.address), setting.alphabet.left_out
    yield from head_lines(learned, relay, setting.facts.transport, left_out)
    if learned.machine is not None and not learned.differences:
        yield "No difference from the specification."
    for each in learned.differences:
        if not each.requirement:
            yield from wrapped(f"another choice: {listed(each.word)}: {each.outputs[-1]}; usual: {each.expected}")
    yield from change_lines(learned, CLOSED)
