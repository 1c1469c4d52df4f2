"""Findings from the way a case ended, and pytest's outcome from the findings."""

from __future__ import annotations

import traceback

import pytest

from cbspec.catalogue.requirements import Level, find
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.findings import Finding, Outcome
from cbspec_conformance.judging.verdicts import TIME_UP
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.render import render
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.target.target import Target

_FINDINGS = "cbspec_findings"  # the report's attribute that carries findings from a worker to the controller
_KNOWN = "cbspec_known"  # the report's attribute that marks a failure of the baseline

_OWN_REQUIREMENT = {
    "hello": "CB-HEL-001",
    "auth": "CB-AUT-001",
    "tunnel_info": "CB-TUN-001",
    "heartbeat": "CB-HBT-001",
}
"""The requirement to blame if a type of request is never served."""

_KIT_ERROR = "cbspec: error of the kit"
_LETTERS = {Outcome.WARNED: "w", Outcome.INCONCLUSIVE: "?", Outcome.NOT_EXERCISED: "-", Outcome.OBSERVED: "o"}


class TimeUp(BaseException):
    """The time of --max-time is up. Not an Exception, so that no handler takes it for the relay's fault."""


def requirement_of(item: pytest.Item) -> str:
    """Return the requirement of a case, or "" if it has none."""
    mark = item.get_closest_marker("requirement")
    return str(mark.args[0]) if mark else ""


def case_name(item: pytest.Item) -> str:
    """Return the case's name as reports show it."""
    return item.nodeid.removeprefix("conformance/").removeprefix("cbspec_conformance/")


class Outcomes:
    """Attaches findings to pytest's reports, and remembers which requirements failed before.

    Arguments: `baseline` holds the known failures, which pytest does not count as failures.
    """

    def __init__(self, baseline: Baseline) -> None:
        self._blamed: set[str] = set()
        self._baseline = baseline

    def settle(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Set the outcome of `report` and attach the case's findings."""
        error = call.excinfo.value if call.excinfo else None
        if call.when == "setup":
            item.user_properties.append(("requirement", requirement_of(item)))
        if call.when == "call" or (call.when == "setup" and error is not None):
            self._settle_case(item, error, report)
        report.user_properties = list(item.user_properties)

    def _settle_case(self, item: pytest.Item, error: BaseException | None, report: pytest.TestReport) -> None:
        relay = getattr(item, "funcargs", {}).get("relay")
        target = relay if isinstance(relay, Target) else None
        finding, own = _finding(item, error, target), requirement_of(item)
        findings = [*([finding] if finding else []), *(target.findings if target else [])]
        findings += [observed for observed in _observed(item, target) if observed != finding]
        if isinstance(error, KeyboardInterrupt):
            return
        if finding is None or finding.requirement != own:
            cause = f"a breach of {finding.requirement}" if finding else "an error of the kit"
            findings.append(Finding(own, Outcome.INCONCLUSIVE, case_name(item), f"{cause} ended its case"))
        vars(report)[_FINDINGS] = [found.to_dict() for found in findings]
        if finding is None:
            if error is not None:
                report.sections.append((_KIT_ERROR, f"{case_name(item)}\n{''.join(traceback.format_exception(error))}"))
            return
        _show(report, finding)
        entry = self._baseline.known(finding.requirement)
        if entry is not None and report.outcome == "failed":
            vars(report)[_KNOWN] = True
            report.outcome = "skipped"
            report.longrepr = (report.location[0], report.location[1] or 0, f"{Outcome.KNOWN}: {entry}")
        self._blame(report, findings, own)

    def _blame(self, report: pytest.TestReport, findings: list[Finding], own: str) -> None:
        """Fail the first case that saw a MUST broken, so that JUnit XML and other reports of pytest show the breach."""
        for finding in findings:
            if finding.outcome is not Outcome.FAILED or self._baseline.known(finding.requirement):
                continue
            new = finding.requirement not in self._blamed
            self._blamed.add(finding.requirement)
            if new and finding.requirement != own and report.outcome != "failed":
                report.outcome, report.longrepr = "failed", _sentence(finding)


def findings_of(report: pytest.TestReport) -> list[Finding]:
    """Return the findings of a report."""
    return [Finding.from_dict(found) for found in vars(report).get(_FINDINGS, [])]


def kit_errors_of(report: pytest.TestReport) -> list[str]:
    """Return the kit's own errors in a report, each with its traceback."""
    return [text for name, text in report.sections if name == _KIT_ERROR]


def status_of(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Return category, letter and word of an outcome that pytest does not know; None for the others."""
    if report.when != "call" or report.outcome == "failed":
        return None
    if vars(report).get(_KNOWN):
        return str(Outcome.KNOWN), "k", str(Outcome.KNOWN).upper()
    requirement = next((value for name, value in report.user_properties if name == "requirement"), "")
    for finding in findings_of(report):
        if finding.requirement == requirement and finding.outcome in _LETTERS:
            return str(finding.outcome), _LETTERS[finding.outcome], str(finding.outcome).upper()
    return None


def _finding(item: pytest.Item, error: BaseException | None, target: Target | None) -> Finding | None:
    """Return the case's own finding, or None if the kit is at fault."""
    identifier, case = requirement_of(item), case_name(item)
    if error is None and find(identifier).level is Level.INFO:
        return next(iter(_observed(item, target)), None)
    if error is None:
        return Finding(identifier, Outcome.PASSED, case, "; ".join(target.remarks) if target else "")
    if isinstance(error, Broken):
        return _breach(identifier, case, error, target)
    if isinstance(error, TimeUp):
        return Finding(identifier, Outcome.NOT_EXERCISED, case, TIME_UP)
    if isinstance(error, NotExercised):
        return Finding(identifier, Outcome.NOT_EXERCISED, case, str(error))
    if isinstance(error, Inconclusive | Unreachable | HandshakeFailure):
        return Finding(identifier, Outcome.INCONCLUSIVE, case, str(error))
    return None


def _breach(identifier: str, case: str, error: Broken, target: Target | None) -> Finding:
    blamed = error.requirement or identifier
    level = find(blamed).level
    if level is Level.INFO:
        return Finding(identifier, Outcome.INCONCLUSIVE, case, str(error))
    never = target.facts.why_not(error.unserved) if target else ""
    if never and blamed != _OWN_REQUIREMENT[error.unserved]:
        reason = f"{error.unserved} is never served on this relay: {never}"
        return Finding(identifier, Outcome.INCONCLUSIVE, case, reason)
    outcome = Outcome.FAILED if level is Level.MUST else Outcome.WARNED
    exchange = render(target.transcript, error.exchanges) if target else ""
    steps = target.steps(error.exchanges, error.expectation) if target else ""
    return Finding(blamed, outcome, case, expected=error.expected, seen=error.seen, exchange=exchange, steps=steps)


def _observed(item: pytest.Item, target: Target | None) -> list[Finding]:
    """Return the case's observations, a finding for each situation."""
    seen = target.observations.items() if target else ()
    own, case = requirement_of(item), case_name(item)
    return [Finding(own, Outcome.OBSERVED, case, seen=value, aspect=aspect) for aspect, value in seen]


def _show(report: pytest.TestReport, finding: Finding) -> None:
    if finding.outcome is Outcome.FAILED:
        report.outcome, report.longrepr = "failed", _sentence(finding)
    elif finding.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_EXERCISED):
        report.outcome = "skipped"
        report.longrepr = (report.location[0], report.location[1] or 0, f"{finding.outcome}: {finding.reason}")
    else:
        report.outcome, report.longrepr = "passed", None


def _sentence(finding: Finding) -> str:
    return (
        f"{finding.requirement}: {find(finding.requirement).demand}\n"
        f"expected {finding.expected}\nseen     {finding.seen}\n{finding.exchange}"
    )
