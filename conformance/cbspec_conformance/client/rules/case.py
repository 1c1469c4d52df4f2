"""Collects the findings of one situation: one mistake breaks one requirement."""

from __future__ import annotations

from dataclasses import dataclass, field

from cbspec.catalogue.requirements import Level, find
from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.habits import Habits
from cbspec_conformance.client.observed import Observation
from cbspec_conformance.client.situations import Situation
from cbspec_conformance.judging.verdicts import BROKEN, Finding, Outcome


@dataclass(slots=True)
class SituationCase:
    """One situation with everything that was observed, and the findings so far."""

    situation: Situation
    profile: ClientProfile
    habits: Habits
    seen: Observation
    transport: str
    findings: list[Finding] = field(default_factory=list)

    def passed(self, requirement: str) -> None:
        """Record that the client satisfies a requirement, unless it has broken it here."""
        if not self.has_broken(requirement):
            self.findings.append(Finding(requirement, Outcome.PASSED, self.situation.name))

    def broken(self, requirement: str, expected: str, seen: str) -> None:
        """Record that the client breaks a requirement."""
        outcome = Outcome.FAILED if find(requirement).level is Level.MUST else Outcome.WARNED
        finding = Finding(
            requirement, outcome, self.situation.name, expected=expected, seen=seen, change=self.situation.name
        )
        self.findings.append(finding)

    def unclear(self, requirement: str, reason: str) -> None:
        """Record that the situation gave no verdict on a requirement."""
        self.findings.append(Finding(requirement, Outcome.INCONCLUSIVE, self.situation.name, reason))

    def skipped(self, requirement: str, reason: str) -> None:
        """Record that a requirement was not exercised."""
        self.findings.append(Finding(requirement, Outcome.NOT_EXERCISED, self.situation.name, reason))

    def saw(self, requirement: str, aspect: str, value: str) -> None:
        """Record a behaviour on which the specification is silent."""
        self.findings.append(Finding(requirement, Outcome.OBSERVED, self.situation.name, seen=value, aspect=aspect))

    def has_broken(self, *requirements: str) -> bool:
        """Whether the client has broken one of some requirements in this situation (default: any)."""
        return any(
            each.outcome in BROKEN and (not requirements or each.requirement in requirements) for each in self.findings
        )
