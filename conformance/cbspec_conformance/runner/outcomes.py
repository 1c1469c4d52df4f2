"""Findings from the end of a case, and pytest's outcome from the findings."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Sequence
from typing import Final

import msgspec
import pytest

from cbspec.catalogue.requirements import find
from cbspec.catalogue.revisions import PRESENT, CatalogueRevision
from cbspec.exit_codes import ExitCode
from cbspec_conformance.judging.case import all_findings, own_finding
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.follow_ups import of_a_run
from cbspec_conformance.judging.verdicts import Finding, Outcome, of_interest
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.conclusions import Breach, CaseEnded, Ending
from cbspec_conformance.record.cost import Cost
from cbspec_conformance.record.render import chronicle
from cbspec_conformance.record.transcript import Transcript, WireRecord
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.reporting.events import CaseReported
from cbspec_conformance.reporting.pinning import pinned
from cbspec_conformance.reporting.stream import case_lines
from cbspec_conformance.runner.captures import CAPTURED, captured
from cbspec_conformance.target.relay import RelayUnderTest

EXIT_CODES: Final = {
    pytest.ExitCode.INTERRUPTED: ExitCode.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR: ExitCode.KIT_ERROR,
    pytest.ExitCode.USAGE_ERROR: ExitCode.WRONG_USE,
    pytest.ExitCode.NO_TESTS_COLLECTED: ExitCode.NOTHING_TO_JUDGE,
}
"""The exit codes of all commands for those of pytest."""

# Attributes of a report, which carry data from a worker to the controller.
_FINDINGS = "cbspec_findings"
_LINES = "cbspec_lines"
_EXCHANGES = "cbspec_exchanges"
_KNOWN = "cbspec_known"  # marks a failure of the baseline

_MOST_CONNECTIONS: Final = 8  # of which -v shows the exchanges
_KIT_ERROR = "cbspec: error of the kit"
_COST = "cbspec_cost"
_UNKNOWN_TO_PYTEST = (Outcome.WARNED, Outcome.INCONCLUSIVE, Outcome.NOT_EXERCISED, Outcome.OBSERVED)


RunImpossible: Final = type("cbspec", (pytest.exit.Exception,), {})
"""Ends a run that can't begin: arguments are the reason and the exit code. pytest prints the class's name before it."""


class TimeUp(BaseException):
    """The time of --max-time is up. Not an Exception, so that no handler takes it for a fault of the relay."""


class Postponed(BaseException):
    """The case begins again later, when no other runs."""


def requirement_of(item: pytest.Item) -> str:
    """Return the requirement of a case, or "" if it has none."""
    return next(iter(requirements_of(item)), "")


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """Return the requirement of a case, and the invariants of which it has the best evidence."""
    mark = item.get_closest_marker("requirement")
    return tuple(map(str, mark.args)) if mark else ()


def case_name(node: str) -> str:
    """Return the name of a case as reports show it, from pytest's node id."""
    return node.removeprefix("conformance/").removeprefix("cbspec_conformance/")


class Outcomes:
    """Attaches findings, and on request the stream's lines and the text of the exchanges, to pytest's reports.

    Arguments: `baseline` holds the known failures, which pytest does not count as failures. The run judges the
    requirements in `only` (none: all) by the revision `catalogue`, and began at the time `began` of the clock (None: no
    stream is wanted).
    """

    def __init__(
        self,
        baseline: Baseline,
        only: Sequence[str] = (),
        began: float | None = None,
        catalogue: CatalogueRevision = PRESENT,
        *,
        exchanges: bool = False,
    ) -> None:
        self._only = only
        self._began = began
        self._exchanges = exchanges
        self._blamed: set[str] = set()
        self._baseline = baseline
        self._catalogue = catalogue

    def settle(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Set the outcome of `report` and attach the case's findings."""
        error = call.excinfo.value if call.excinfo else None
        if call.when == "setup":
            item.user_properties.append(("requirement", requirement_of(item)))
        if call.when == "call" or (call.when == "setup" and error is not None):
            self._settle_case(item, error, report)
        report.user_properties = list(item.user_properties)

    def _settle_case(self, item: pytest.Item, error: BaseException | None, report: pytest.TestReport) -> None:
        if isinstance(error, (KeyboardInterrupt, Postponed)):
            return
        relay = getattr(item, "funcargs", {}).get("relay")
        target = relay if isinstance(relay, RelayUnderTest) else None
        own, case = requirement_of(item), case_name(item.nodeid)
        if isinstance(error, Broken) and target is not None:
            error.exchanges = error.exchanges or target.log.unsuccessful()
        if target is None:
            ended = _end(own, error, target)
            transcript = Transcript(records=[ended])
            finding = own_finding(own, case, ended, {}, lambda request: "")
            findings = all_findings(own, case, finding, [], {})
        else:
            transcript = target.transcript
            finding, findings = end_case(own, case, error, target)
        findings = pinned(findings, self._catalogue)
        if finding is not None and not self._catalogue.is_present:
            finding = next((each for each in findings if each.requirement in (finding.requirement, own)), None)
        vars(report)[_FINDINGS] = msgspec.to_builtins(findings)
        vars(report)[_COST] = msgspec.to_builtins(transcript.cost)
        if self._began is not None:
            of = of_interest(findings, own, self._only)
            event = CaseReported(case, own, _about(item), place=item.session.items.index(item) + 1)
            vars(report)[_LINES] = case_lines(event, transcript, of, self._began)
        if self._exchanges:
            vars(report)[_EXCHANGES] = _told(transcript)
        if target is not None:
            own_exchanges = error.exchanges if isinstance(error, Broken) else ()
            vars(report)[CAPTURED] = captured(target.log, own_exchanges, findings)
        if finding is None:
            if error is not None:
                report.sections.append((_KIT_ERROR, f"{case}\n{''.join(traceback.format_exception(error))}"))
            return
        _show(report, finding)
        unclear = next((each for each in findings if each.requirement == own and _is_unclear(each)), None)
        if unclear is not None and report.outcome == "passed":
            _show(report, unclear)
        excused = finding if report.outcome == "failed" else unclear
        entry = self._baseline.known(excused.requirement) if excused is not None else None
        if entry is not None and excused is not None and (excused is finding or self._baseline.hides(excused)):
            vars(report)[_KNOWN] = True
            _skip(report, f"{Outcome.KNOWN}: {entry}")
        self._blame(report, findings, own)

    def _blame(self, report: pytest.TestReport, findings: list[Finding], own: str) -> None:
        """Fail the first case that saw a violation of another MUST, so that pytest's own reports show it."""
        for finding in findings:
            if finding.outcome is not Outcome.FAILED or self._baseline.known(finding.requirement):
                continue
            new = finding.requirement not in self._blamed
            self._blamed.add(finding.requirement)
            if new and finding.requirement != own and report.outcome != "failed":
                report.outcome, report.longrepr = "failed", _sentence(finding)


def end_case(
    own: str, case: str, error: BaseException | None, target: RelayUnderTest
) -> tuple[Finding | None, list[Finding]]:
    """Record how a case ended; return the finding on its own requirement (None: an error of the kit), and all."""
    log, ended = target.log, _end(own, error, target)
    target.transcript.add(ended)
    shown = log.shown(error.exchanges, error.expectation) if isinstance(error, Broken) else {}
    finding = own_finding(own, case, ended, log.observations, target.facts.why_not, **shown)
    return finding, all_findings(own, case, finding, log.findings, log.observations)


def attach(report: pytest.TestReport, findings: list[Finding], own: str, baseline: Baseline) -> None:
    """Attach the findings of a situation of a client to its report: the worst one sets the outcome."""
    vars(report)[_FINDINGS] = msgspec.to_builtins(findings)
    if report.outcome != "passed":
        report.sections.append((_KIT_ERROR, str(report.longrepr)))
        return
    bad = [finding for finding in findings if finding.outcome is Outcome.FAILED]
    new = [finding for finding in bad if not baseline.known(finding.requirement)]
    unclear = [finding for finding in findings if finding.requirement == own and finding.outcome in _UNKNOWN_TO_PYTEST]
    if new:
        _show(report, new[0])
    elif bad:
        vars(report)[_KNOWN] = True
        _skip(report, f"{Outcome.KNOWN}: {baseline.known(bad[0].requirement)}")
    elif unclear and not any(finding.outcome is Outcome.PASSED for finding in findings if finding.requirement == own):
        _show(report, unclear[0])


def findings_of(report: pytest.TestReport) -> list[Finding]:
    """Return the findings of a report."""
    return msgspec.convert(vars(report).get(_FINDINGS, []), list[Finding])


def cost_of(report: pytest.TestReport) -> Cost | None:
    """Return the cost of a case, if a report carries it."""
    return msgspec.convert(vars(report).get(_COST), Cost | None)


def take_lines(report: pytest.TestReport) -> bytes:
    """Return the lines of the stream that a report carries, if any, and remove them from it."""
    lines: bytes = vars(report).pop(_LINES, b"")
    return lines


def kit_errors_of(report: pytest.TestReport) -> list[str]:
    """Return the kit's own errors in a report, each with its traceback."""
    return [text for name, text in report.sections if name == _KIT_ERROR]


def new_failures(found: Sequence[Finding], every: Sequence[Finding], baseline: Baseline) -> list[Finding]:
    """Return the failures among the findings of a case that are neither known nor follow from another of the run."""
    failed = {finding.requirement for finding in found if finding.outcome is Outcome.FAILED}
    suspects = {requirement for requirement in failed if baseline.known(requirement) is None}
    run = of_a_run(every) if suspects else ()
    return [finding for finding in run if finding.requirement in suspects and finding.outcome is Outcome.FAILED]


def exchanges_of(report: pytest.TestReport) -> str:
    """Return the text of the case's exchanges that a report carries, or ""."""
    return str(vars(report).get(_EXCHANGES, ""))


def outcome_of(report: pytest.TestReport) -> Outcome | None:
    """Return the outcome of a case, or None for a report on its setup or teardown."""
    if report.when != "call":
        return Outcome.INCONCLUSIVE if report.when == "setup" and report.outcome != "passed" else None
    if vars(report).get(_KNOWN):
        return Outcome.KNOWN
    requirement = next((value for name, value in report.user_properties if name == "requirement"), "")
    own = {finding.outcome for finding in findings_of(report) if finding.requirement == requirement}
    shown = next((outcome for outcome in (Outcome.FAILED, *_UNKNOWN_TO_PYTEST) if outcome in own), None)
    return shown or (Outcome.PASSED if own or report.outcome == "passed" else Outcome.INCONCLUSIVE)


def status_of(report: pytest.TestReport) -> tuple[str, str, str]:
    """Return the category of a report for pytest, without a letter and a word: the suite shows the progress itself."""
    outcome = outcome_of(report)
    return (str(outcome) if outcome is not None else "", "", "")


def log_reports(item: pytest.Item, reports: Sequence[pytest.TestReport]) -> None:
    """Pass the reports on a case, which another process has made, to pytest."""
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _told(transcript: Transcript) -> str:
    """Return the exchanges of the case's last connections as text."""
    numbers = list(dict.fromkeys(record.connection for record in transcript.records if isinstance(record, WireRecord)))
    return "\n".join(chronicle(transcript, number) for number in numbers[-_MOST_CONNECTIONS:])


def _end(requirement: str, error: BaseException | None, target: RelayUnderTest | None) -> CaseEnded:
    """Return the end of a case as a record."""
    now = target.transcript.now() if target else 0.0
    match error:
        case None:
            return CaseEnded(now, 0, Ending.PASSED, "; ".join(target.log.remarks) if target else "")
        case Broken():
            breach = Breach(error.requirement or requirement, error.expected, error.seen)
            numbers = target.log.numbers(error.exchanges) if target else ()
            return CaseEnded(now, 0, Ending.BROKEN, "", breach, error.unserved, numbers, error.expectation, error.kinds)
        case TimeUp():
            return CaseEnded(now, 0, Ending.TIME_UP)
        case NotExercised():
            return CaseEnded(now, 0, Ending.NOT_EXERCISED, str(error))
        case Inconclusive() | Unreachable() | HandshakeFailure():
            return CaseEnded(now, 0, Ending.INCONCLUSIVE, str(error))
    return CaseEnded(now, 0, Ending.KIT_ERROR)


def _about(item: pytest.Item) -> str:
    """Return the first sentence of a case's docstring."""
    text = inspect.getdoc(getattr(item, "function", None)) or ""
    return re.split(r"(?<=\.)\s", " ".join(text.partition("\n\n")[0].split()), maxsplit=1)[0]


def _is_unclear(finding: Finding) -> bool:
    return finding.outcome is Outcome.INCONCLUSIVE


def _show(report: pytest.TestReport, finding: Finding) -> None:
    if finding.outcome is Outcome.FAILED:
        report.outcome, report.longrepr = "failed", _sentence(finding)
    elif finding.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_EXERCISED):
        _skip(report, f"{finding.outcome}: {finding.reason}")
    else:
        report.outcome, report.longrepr = "passed", None


def _skip(report: pytest.TestReport, reason: str) -> None:
    report.outcome = "skipped"
    report.longrepr = (report.location[0], report.location[1] or 0, reason)


def _sentence(finding: Finding) -> str:
    return (
        f"{finding.requirement}: {find(finding.requirement).demand}\n"
        f"expected {finding.expected}\nseen     {finding.seen}\n{finding.exchange}"
    )
