"""From findings to verdicts: pure functions.

A run is green only where no MUST failed or is inconclusive, and every MUST that needs nothing from the profile passed.
What was not exercised or is inconclusive never looks like a pass. A requirement that was left out for what the profile
lacks or the relay doesn't offer spoils nothing; one that was left out for want of time does. What is only observed
(INFO) spoils nothing, however it went.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cbspec.catalogue.requirements import Level, Requirement
from cbspec_conformance.judging.findings import Finding, Outcome

TIME_UP = "the time given by --max-time was up"
CUT_SHORT = "the run ended before its cases did"
_CORE = ("CB-HEL-001", "CB-AUT-001", "CB-TUN-001", "CB-HBT-001")
"""Requirements without which nothing was judged: a run that couldn't try them, for want of tokens, is not green."""

_UNFINISHED = (TIME_UP, CUT_SHORT)

_WORST_FIRST = (
    Outcome.FAILED,
    Outcome.WARNED,
    Outcome.KNOWN,
    Outcome.INCONCLUSIVE,
    Outcome.PASSED,
    Outcome.OBSERVED,
    Outcome.NOT_EXERCISED,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the run says of one requirement. `outcome` is None where no case of it was selected."""

    requirement: Requirement
    outcome: Outcome | None
    findings: tuple[Finding, ...] = ()

    @property
    def reasons(self) -> list[str]:
        """Return why, for what was not exercised or is inconclusive; each sentence once."""
        return list(dict.fromkeys(f.reason for f in self.findings if f.outcome is self.outcome and f.reason))

    @property
    def observed(self) -> dict[str, str]:
        """Return what the relay was seen to do, by situation."""
        seen = {f.aspect: f.seen for f in self.findings if f.outcome is Outcome.OBSERVED}
        return dict(sorted(seen.items()))


def judge_run(
    requirements: Mapping[str, Requirement], findings: Iterable[Finding], selected: Iterable[str]
) -> list[Verdict]:
    """Return the verdict on every requirement, in the catalogue's order.

    `selected` holds the id of each case of the run, as often as there are cases.
    """
    by_id: dict[str, list[Finding]] = {}
    for finding in findings:
        by_id.setdefault(finding.requirement, []).append(finding)
    cases = Counter(selected)
    return [_verdict(row, by_id.get(row.id, []), cases[row.id]) for row in requirements.values()]


def _verdict(requirement: Requirement, findings: list[Finding], cases: int) -> Verdict:
    if len(findings) < cases:
        findings = [*findings, Finding(requirement.id, Outcome.NOT_EXERCISED, reason=CUT_SHORT)]
    outcomes = {finding.outcome for finding in findings}
    if any(finding.reason in _UNFINISHED for finding in findings):
        outcomes -= {Outcome.PASSED, Outcome.OBSERVED}  # a case that had no time might have failed
    outcome = next((outcome for outcome in _WORST_FIRST if outcome in outcomes), None)
    return Verdict(requirement, outcome, tuple(findings))


def spoils(verdict: Verdict, *, fail_on_should: bool = False, require_all: bool = False) -> bool:
    """Whether the verdict keeps the run from being green."""
    level, outcome = verdict.requirement.level, verdict.outcome
    if outcome is Outcome.FAILED:
        return True
    if outcome is Outcome.WARNED:
        return fail_on_should
    if level is not Level.MUST:
        return False
    if outcome is Outcome.INCONCLUSIVE:
        return True
    if outcome is Outcome.NOT_EXERCISED:
        unfinished = any(finding.reason in _UNFINISHED for finding in verdict.findings)
        return require_all or unfinished or verdict.requirement.id in _CORE
    return False


def is_green(verdicts: Iterable[Verdict], *, fail_on_should: bool = False, require_all: bool = False) -> bool:
    """Whether the relay conforms, as far as the run could tell."""
    return not any(spoils(verdict, fail_on_should=fail_on_should, require_all=require_all) for verdict in verdicts)
