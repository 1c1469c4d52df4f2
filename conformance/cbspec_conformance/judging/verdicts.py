"""Findings of cases and invariants, as plain data, and the verdicts from them: pure functions.

A run is green only if no MUST failed or is inconclusive, and every MUST that needs nothing from the profile passed. A
requirement that was not exercised or is inconclusive never counts as passed. It does not spoil the run if the profile
lacks a key or the relay does not offer the feature; it does if the time was too short. INFO rows spoil nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from cbspec.catalogue.requirements import Level, Requirement

TIME_UP = "the time given by --max-time was up"
CUT_SHORT = "the run ended before its cases did"
PARTIAL = "only its own cases ran, and others may break it, too (--own-cases)"
OWN_REQUIREMENT = {
    "hello": "CB-HEL-001",
    "auth": "CB-AUT-001",
    "tunnel_info": "CB-TUN-001",
    "heartbeat": "CB-HBT-001",
}
"""The requirement to serve a type of request. A run that does not exercise all four (for lack of tokens, say) is not
green; and if a type is never served, no other requirement is to blame."""

UNFINISHED = (TIME_UP, CUT_SHORT)
"""The reasons of cases that had not enough time."""


class Outcome(StrEnum):
    """How a case ended for its requirement. Only verdicts are KNOWN: broken, and in the run's baseline.

    A FOLLOW_UP is a breach whose cause is a breach of another requirement; it fails nothing.
    """

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    INCONCLUSIVE = "inconclusive"
    NOT_EXERCISED = "not exercised"
    OBSERVED = "observed"
    KNOWN = "known"
    FOLLOW_UP = "follow-up"


BROKEN = (Outcome.FAILED, Outcome.WARNED)
"""The outcomes of a requirement that is broken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One outcome for one requirement.

    `case` is the case's node id; `reason` explains an inconclusive or skipped case; `expected`, `seen` and `exchange`
    describe a failure, and `change` the intended mistake in its request, or the request's place in a series. `number`
    is the place of its last exchange in the case's transcript, `decisive` those of the decisive records. `kinds` name
    the kinds of mistakes that the relay accepted, or the wrong codes ("code " and the code) that refused them. For an
    observation, `seen` is the relay's behaviour in the situation `aspect`. `steps` is the content of a failure file, as
    JSON.
    """

    requirement: str
    outcome: Outcome
    case: str = ""
    reason: str = ""
    expected: str = ""
    seen: str = ""
    exchange: str = ""
    aspect: str = ""
    change: str = ""
    steps: str = ""
    number: int = -1
    kinds: tuple[str, ...] = ()
    decisive: tuple[int, ...] = ()


def without_values(sentence: str) -> str:
    """Return a sentence without the values in it: equal ones describe the same way to fail."""
    return re.sub(r'"[^"]*"|\([^)]*\)|\d+', "…", sentence)


_WORST_FIRST = (
    Outcome.FAILED,
    Outcome.WARNED,
    Outcome.KNOWN,
    Outcome.INCONCLUSIVE,
    Outcome.FOLLOW_UP,
    Outcome.PASSED,
    Outcome.OBSERVED,
    Outcome.NOT_EXERCISED,
)


def worst(outcomes: Iterable[Outcome]) -> Outcome | None:
    """Return the outcome that decides about a requirement, or None if there is none."""
    return min(outcomes, key=_WORST_FIRST.index, default=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one requirement. `outcome` is None if none of its cases was selected."""

    requirement: Requirement
    outcome: Outcome | None
    findings: tuple[Finding, ...] = ()

    @property
    def reasons(self) -> list[str]:
        """The reasons of an inconclusive or not exercised verdict, without duplicates; a case's own come first."""
        found = dict.fromkeys(f.reason for f in self.findings if f.outcome is self.outcome and f.reason)
        return sorted(found, key=lambda reason: reason == PARTIAL)

    @property
    def remarks(self) -> list[str]:
        """The remarks of the cases that passed, whatever the verdict is."""
        return list(dict.fromkeys(f.reason for f in self.findings if f.outcome is Outcome.PASSED and f.reason))

    @property
    def observed(self) -> dict[str, str]:
        """The observed behaviour by situation."""
        seen = {f.aspect: f.seen for f in self.findings if f.outcome is Outcome.OBSERVED}
        return dict(sorted(seen.items()))


def of_interest(findings: Iterable[Finding], own: str, only: Collection[str]) -> list[Finding]:
    """Return the findings of a case with the requirement `own` that a run of `only` some requirements shows.

    Cases of other requirements are in such a run because they can break one of them: if the time was up for one, those
    did not pass. Without `only`, all findings are shown.
    """
    if not only:
        return list(findings)
    broken = BROKEN if own in only or not own else ()
    findings = list(findings)
    cut = [each for each in findings if each.reason == TIME_UP][: own not in only]
    return [
        *(finding for finding in findings if finding.requirement in only or finding.outcome in broken),
        *(replace(each, requirement=id_) for each in cut for id_ in only),
    ]


def partial_findings(only: Iterable[str]) -> list[Finding]:
    """Return the findings of a run of some requirements that skips the cases of others."""
    return [Finding(id_, Outcome.NOT_EXERCISED, reason=PARTIAL) for id_ in only]


def judge_run(
    requirements: Mapping[str, Requirement], findings: Iterable[Finding], selected: Iterable[str]
) -> list[Verdict]:
    """Return the verdict on every requirement, in the order of the catalogue.

    `selected` holds the requirement of each selected case.
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
    if any(finding.reason in (*UNFINISHED, PARTIAL) for finding in findings):
        outcomes -= {Outcome.PASSED, Outcome.OBSERVED}  # a case without enough time might have failed
    return Verdict(requirement, worst(outcomes), tuple(findings))


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
        unfinished = any(finding.reason in UNFINISHED for finding in verdict.findings)
        return require_all or unfinished or verdict.requirement.id in OWN_REQUIREMENT.values()
    return False


def is_green(verdicts: Iterable[Verdict], *, fail_on_should: bool = False, require_all: bool = False) -> bool:
    """Whether no verdict spoils the run."""
    return not any(spoils(verdict, fail_on_should=fail_on_should, require_all=require_all) for verdict in verdicts)
