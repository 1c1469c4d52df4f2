"""The findings of a case other than its own: violations that it saw along the way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cbspec_conformance.failures.recipes import Recipes
from cbspec_conformance.failures.recording import record
from cbspec_conformance.judging.case import blamed
from cbspec_conformance.judging.errors import Broken
from cbspec_conformance.judging.follow_ups import accepted_in_spite_of
from cbspec_conformance.judging.invariants import check, redaction_of
from cbspec_conformance.judging.verdicts import BROKEN, Finding
from cbspec_conformance.record.conclusions import (
    INVARIANT,
    Blamed,
    Breach,
    Concluded,
    Ending,
    Expectation,
    Judged,
    Observed,
    TriedAgain,
)
from cbspec_conformance.record.excerpt import decisive_places
from cbspec_conformance.record.exchange import Exchange, Redaction
from cbspec_conformance.record.exchange import exchanges as all_exchanges
from cbspec_conformance.record.render import change_of, render
from cbspec_conformance.record.transcript import Transcript


class FindingsLog:
    """Records the conclusions of a case in its transcript, and collects findings."""

    def __init__(
        self, transcript: Transcript, case: str, address: str, recipes: Recipes, requirement: str = ""
    ) -> None:
        self.transcript = transcript
        self.case = case
        self.requirement = requirement
        self.findings: list[Finding] = []
        self.remarks: list[str] = []
        self.observations: dict[str, str] = {}
        self._address = address
        self._recipes = recipes
        self._breached: dict[tuple[str, str], tuple[Exchange, ...]] = {}

    def begin_again(self) -> None:
        """Record that the case begins again, and forget what it found so far."""
        self.transcript.add(TriedAgain(self.transcript.now(), 0))
        for found in (self.findings, self.remarks, self.observations, self._breached):
            found.clear()

    @property
    def blames(self) -> bool:
        """Whether any finding blames the relay."""
        return any(finding.outcome in BROKEN for finding in self.findings)

    @property
    def breached(self) -> list[tuple[Exchange, ...]]:
        """The exchanges of each breach that was found."""
        return list(self._breached.values())

    def remark(self, sentence: str) -> None:
        """Add a sentence to the verdict of a pass, for example which side refused."""
        self.remarks.append(sentence)

    def saw(self, value: str, of: str = "") -> None:
        """Record the relay's behaviour on an open point, in a few words of a fixed vocabulary.

        `of` names the situation, if the case looks at several.
        """
        self.observations[of] = value
        self.transcript.add(Observed(self.transcript.now(), 0, value, of))

    def observe(self, exchange: Exchange) -> Exchange:
        """Record an exchange, check it against the invariants, and return it with its number."""
        redaction = exchange.redaction or redaction_of(exchange)
        breaches = check(exchange, redaction)
        exchange = self._numbered(exchange, redaction, tuple(breaches))
        for breach in breaches:
            self._found(breach, (exchange,), INVARIANT)
        return exchange

    def _numbered(self, exchange: Exchange, redaction: Redaction | None, breaches: tuple[Breach, ...] = ()) -> Exchange:
        transcript, redacted = self.transcript, redaction or Redaction()
        connection = next((m.connection for m in (exchange.request, *exchange.answers) if m is not None), 0)
        number = transcript.add(
            Concluded(
                transcript.now(),
                connection,
                None if exchange.request is None else transcript.place(exchange.request),
                tuple(transcript.place(answer) for answer in exchange.answers),
                exchange.silence,
                exchange.tenant,
                exchange.waited,
                exchange.relay_alive,
                redaction is not None,
                redacted.leaking,
                redacted.nameless,
                breaches,
            )
        )
        return replace(exchange, number=number, redaction=redaction, record=partial(_judged, transcript))

    def numbers(self, exchanges: Sequence[Exchange]) -> tuple[int, ...]:
        """Return the numbers of exchanges; those made by the case itself are recorded first."""
        return tuple((self._numbered(e, None) if e.number < 0 else e).number for e in exchanges)

    def breach(self, breach: Breach, *exchanges: Exchange, expectation: Expectation | None = None) -> None:
        """Record that the case saw a breach of another requirement."""
        where = self.numbers(exchanges)
        self.transcript.add(Blamed(self.transcript.now(), 0, breach, where, expectation))
        self._found(breach, exchanges, expectation)

    def went_down(self, suspect: str, breach: Breach, *, reason: str, certain: bool, exchange: str) -> None:
        """Record that the relay went down in the case `suspect`."""
        record = Blamed(self.transcript.now(), 0, breach, certain=certain, reason=reason, case=suspect)
        self.transcript.add(record)
        self.findings.append(blamed(record, self.case, exchange=exchange))

    def judge_invariant(self, requirement: str) -> None:
        """Make an invariant the case's own judgement. Raises Broken if it was broken in this case.

        The breach is forgotten: a case that tries again finds it again.
        """
        for finding in [finding for finding in self.findings if finding.requirement == requirement]:
            self.findings.remove(finding)
            breach = Breach(requirement, finding.expected, finding.seen)
            self.transcript.add(Blamed(self.transcript.now(), 0, breach, claimed=True))
            exchanges = self._breached.pop((requirement, finding.seen))
            raise Broken(finding.expected, finding.seen, *exchanges, requirement=requirement, expectation=INVARIANT)

    def unsuccessful(self) -> tuple[Exchange, ...]:
        """Return the last exchange that was not as the case expected: it explains a failure without exchanges."""
        bad = (Ending.BROKEN, Ending.INCONCLUSIVE)
        places = [r.exchange for r in self.transcript.records if isinstance(r, Judged) and r.result in bad]
        return (all_exchanges(self.transcript)[places[-1]],) if places and places[-1] >= 0 else ()

    def shown(self, exchanges: Sequence[Exchange], expectation: Expectation | None) -> dict[str, Any]:
        """Return exchange, decisive places, change and steps of a finding; no steps if no replay is possible."""
        recorded = record(self.transcript, exchanges, expectation, self._recipes, self._address)
        return {
            "exchange": render(self.transcript, exchanges),
            "decisive": decisive_places(self.transcript, exchanges),
            "change": change_of(self.transcript, exchanges),
            "steps": json.dumps(recorded) if recorded else "",
        }

    def _found(self, breach: Breach, exchanges: tuple[Exchange, ...], expectation: Expectation | None) -> None:
        if (breach.requirement, breach.seen) in self._breached:
            return
        self._breached[breach.requirement, breach.seen] = exchanges
        found = Blamed(0.0, 0, breach, tuple(exchange.number for exchange in exchanges))
        mistake = accepted_in_spite_of(exchanges[-1]) if exchanges else ""
        shown = self.shown(exchanges, expectation)
        self.findings.append(blamed(found, self.case, mistake=mistake, own=self.requirement, **shown))


def _judged(transcript: Transcript, number: int, expectation: Expectation, result: Ending) -> None:
    """Record a judgement. An exchange refers to the transcript only: a cycle would delay its release."""
    transcript.add(Judged(transcript.now(), 0, number, expectation, result))
