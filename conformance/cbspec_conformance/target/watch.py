"""The watch over every exchange of a case: a violation seen on the way is blamed on the requirement that it breaks."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cbspec.catalogue.requirements import Level, find
from cbspec_conformance.failures.recipes import Recipes
from cbspec_conformance.failures.recording import record
from cbspec_conformance.judging.errors import Broken
from cbspec_conformance.judging.expectation import INVARIANT, Expectation
from cbspec_conformance.judging.findings import Finding, Outcome
from cbspec_conformance.judging.invariants import Breach, check
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.render import render
from cbspec_conformance.record.transcript import Transcript


class Watch:
    """Gathers the findings of a case beside its own.

    Arguments: `transcript` is the case's, `case` its node id, `address` the target's.
    """

    def __init__(self, transcript: Transcript, case: str, address: str = "") -> None:
        self.transcript = transcript
        self.recipes = Recipes()
        self.findings: list[Finding] = []
        self.remarks: list[str] = []
        self.observations: dict[str, str] = {}
        self.case = case
        self._breaches: set[tuple[str, str]] = set()
        self._breached: dict[str, tuple[Exchange, ...]] = {}
        self._address = address

    def remark(self, sentence: str) -> None:
        """Say with the verdict what a pass rests on, for example who refused."""
        self.remarks.append(sentence)

    def saw(self, value: str, of: str = "") -> None:
        """Record what the relay does where the page is silent: a few words of a small vocabulary, always the same.

        `of` names the situation, where the case looks at several.
        """
        self.observations[of] = value

    def observe(self, exchange: Exchange) -> None:
        """Hold an exchange against the invariants; what they find is blamed where it belongs."""
        for breach in check(exchange):
            self.breach(breach, exchange, expectation=INVARIANT)

    def breach(self, breach: Breach, *exchanges: Exchange, expectation: Expectation | None = None) -> None:
        """Take a breach of another requirement than the case's own."""
        if (breach.requirement, breach.seen) in self._breaches:
            return
        self._breaches.add((breach.requirement, breach.seen))
        self._breached.setdefault(breach.requirement, exchanges)
        outcome = Outcome.FAILED if find(breach.requirement).level is Level.MUST else Outcome.WARNED
        self.findings.append(
            Finding(
                breach.requirement,
                outcome,
                self.case,
                expected=breach.expected,
                seen=breach.seen,
                exchange=render(self.transcript, exchanges),
                steps=self.steps(exchanges, expectation),
            )
        )

    def steps(self, exchanges: Sequence[Exchange], expectation: Expectation | None) -> str:
        """Return what a failure file is to hold of what happened, as JSON; "" where it can't be played again."""
        recorded = record(self.transcript, exchanges, expectation, self.recipes, self._address)
        return json.dumps(recorded) if recorded else ""

    def judge_invariant(self, requirement: str) -> None:
        """Make an invariant the case's own judgement. Raises Broken where it was broken in this case."""
        for finding in [finding for finding in self.findings if finding.requirement == requirement]:
            self.findings.remove(finding)
            exchanges = self._breached[requirement]
            raise Broken(finding.expected, finding.seen, *exchanges, requirement=requirement, expectation=INVARIANT)
