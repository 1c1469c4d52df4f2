"""The watch over every exchange of a case: a violation seen on the way is blamed on the requirement that it breaks."""

from __future__ import annotations

from cbspec.requirements import Level, find
from conformance.errors import Broken
from conformance.exchange import Exchange
from conformance.findings import Finding, Outcome
from conformance.invariants import Breach, check
from conformance.render import render
from conformance.transcript import Transcript


class Watch:
    """Gathers the findings of a case beside its own.

    Arguments: `transcript` is the case's, `case` its node id.
    """

    def __init__(self, transcript: Transcript, case: str) -> None:
        self.transcript = transcript
        self.findings: list[Finding] = []
        self.remarks: list[str] = []
        self.observations: dict[str, str] = {}
        self.case = case
        self._breaches: set[tuple[str, str]] = set()
        self._breached: dict[str, tuple[Exchange, ...]] = {}

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
            self.breach(breach, exchange)

    def breach(self, breach: Breach, *exchanges: Exchange) -> None:
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
            )
        )

    def judge_invariant(self, requirement: str) -> None:
        """Make an invariant the case's own judgement. Raises Broken where it was broken in this case."""
        for finding in [finding for finding in self.findings if finding.requirement == requirement]:
            self.findings.remove(finding)
            exchanges = self._breached[requirement]
            raise Broken(finding.expected, finding.seen, *exchanges, requirement=requirement)
