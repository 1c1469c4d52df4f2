"""The cases of a run as tests, which is what JUnit, CTRF and Allure know.

A case is a test of its own requirement. The first case that shows a breach of another one is a test of that, too: a
violation that every exchange shows is one failure, not hundreds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cbspec.catalogue.requirements import Requirement
from cbspec_conformance.judging.verdicts import BROKEN, UNFINISHED, Finding, Outcome
from cbspec_conformance.reporting.stream import RecordedCase, RecordedRun


class CaseStatus(StrEnum):
    """How a test ended. An error has no verdict although it could have one."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class ReportedCase:
    """A test: `name` begins with the requirement's id, `case` is the case's own name.

    `message` is a line that explains the status, `detail` has the exchanges. `row` is the requirement (None: the
    test is about the run). `at` and `seconds` are the times of its begin, since the run's, and of its duration.
    """

    name: str
    case: str
    status: CaseStatus
    row: Requirement | None = None
    message: str = ""
    detail: str = ""
    about: str = ""
    at: float = 0.0
    seconds: float = 0.0
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def group(self) -> str:
        """The file of the case."""
        return self.case.partition("::")[0]


NOTHING: Final = "nothing to judge"
_OF_THE_RUN: Final = "run"


def cases_of(run: RecordedRun) -> list[ReportedCase]:
    """Return the cases of a run as tests, and a test for each fact that decides about the run without a case."""
    blamed: set[str] = set()
    cases = (each for case, findings in run.findings_by_case for each in _tests(run, case, findings, blamed))
    return [*cases, *_without_case(run)]


def _tests(
    run: RecordedRun, case: RecordedCase, findings: Sequence[Finding], blamed: set[str]
) -> Iterator[ReportedCase]:
    """Yield a test for the requirement of a case, and one for each other requirement that it is the first to blame."""
    event = case.event
    broken: dict[str, list[Finding]] = {}
    for finding in _broken(run, findings):
        broken.setdefault(finding.requirement, []).append(finding)
    named = {"sources": event.sources, "identifiers": event.identifiers}
    facts = tuple((name, " ".join(values)) for name, values in named.items() if values)
    for id_ in dict.fromkeys(filter(None, (event.requirement, *(each for each in broken if each not in blamed)))):
        bad = broken.get(id_, [])
        own = [finding for finding in findings if finding.requirement == id_]
        status, message = _status(run, event.outcome, own, bad)
        detail = "\n\n".join(_told(run, finding) for finding in bad or [each for each in own if each.exchange])
        if status is CaseStatus.ERROR and event.outcome is None:
            detail = next((text for text in _kit_errors(run) if text.startswith(f"{event.name}\n")), "")
        yield ReportedCase(
            f"{id_} {event.name.rpartition('::')[2]}",
            event.name,
            status,
            run.requirements.get(id_),
            message,
            detail,
            event.about,
            event.at,
            event.seconds if id_ == event.requirement else 0.0,
            facts,
        )
    blamed.update(broken)


def _kit_errors(run: RecordedRun) -> Sequence[str]:
    return run.ended.kit_errors if run.ended is not None else ()


def _status(
    run: RecordedRun, outcome: Outcome | None, own: Sequence[Finding], bad: Sequence[Finding]
) -> tuple[CaseStatus, str]:
    if bad:
        return CaseStatus.FAILED, "; ".join(dict.fromkeys(map(sentence, bad)))
    if outcome is None:
        return CaseStatus.ERROR, "an error of the kit"
    for finding in own:
        entry = run.baseline.known(finding.requirement)
        if entry is not None and (finding.outcome in BROKEN or run.baseline.hides(finding)):
            return CaseStatus.SKIPPED, f"known: {entry}"
        if finding.outcome is Outcome.INCONCLUSIVE or finding.reason in UNFINISHED:
            return CaseStatus.ERROR, f"{finding.outcome}: {finding.reason}"
        if finding.outcome is Outcome.NOT_EXERCISED:
            return CaseStatus.SKIPPED, f"{finding.outcome}: {finding.reason}"
    warned = next((finding for finding in own if finding.outcome is Outcome.WARNED), None)
    return CaseStatus.PASSED, f"warned: {sentence(warned)}" if warned else next((f.reason for f in own if f.reason), "")


def _broken(run: RecordedRun, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the findings that fail the run."""
    failing = BROKEN if run.started.fail_on_should else (Outcome.FAILED,)
    for finding in findings:
        if finding.outcome in failing and run.baseline.known(finding.requirement) is None:
            yield finding


def sentence(finding: Finding) -> str:
    """Return a failure on one line."""
    return " ".join(f"expected {finding.expected}; seen: {finding.seen}".split())


def _told(run: RecordedRun, finding: Finding) -> str:
    row = run.requirements.get(finding.requirement)
    demand = f": {row.demand}" if row else ""
    lines = (
        f"{finding.requirement}{demand}",
        f"expected {finding.expected}",
        f"seen     {finding.seen}",
        finding.exchange,
    )
    return "\n".join(filter(None, lines))


def _without_case(run: RecordedRun) -> Iterator[ReportedCase]:
    ended, known = run.ended, {case.event.name for case in run.cases}
    if ended is not None and ended.reason:
        yield ReportedCase(NOTHING, _OF_THE_RUN, CaseStatus.ERROR, message=ended.reason)
        return
    if run.result.interrupted:
        told = "the run is going on, or was killed" if ended is None else "the run was interrupted"
        yield ReportedCase("the run did not end", _OF_THE_RUN, CaseStatus.ERROR, message=told)
    for text in _kit_errors(run):
        name, _, rest = text.partition("\n")
        if name not in known:
            yield ReportedCase(name, name, CaseStatus.ERROR, message="an error of the kit", detail=rest or text)
    for id_ in run.result.stale:
        told = f"it passes now: remove its entry from {run.started.baseline_file}"
        yield ReportedCase(
            f"{id_} is stale in the baseline", "baseline", CaseStatus.FAILED, run.requirements.get(id_), told
        )
    for verdict in run.verdicts:
        for finding in verdict.findings:
            if not finding.case and finding.outcome in (Outcome.NOT_EXERCISED, Outcome.INCONCLUSIVE):
                cut = finding.reason in UNFINISHED
                unclear = cut or finding.outcome is Outcome.INCONCLUSIVE
                status = CaseStatus.ERROR if unclear else CaseStatus.SKIPPED
                name = f"{finding.requirement} {'unfinished' if cut else finding.outcome}"
                yield ReportedCase(
                    name, _OF_THE_RUN, status, verdict.requirement, f"{finding.outcome}: {finding.reason}"
                )
