"""Runs failures again: first the recorded steps, and the whole case if the steps do not show the failure.

The verdict "fixed" therefore never rests on steps that lack the cause of the failure.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile
from cbspec_conformance.failures.failure import Failure
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.record.render import render
from cbspec_conformance.replay.outcome import ReplayOutcome, ReplayVerdict
from cbspec_conformance.replay.player import Player
from cbspec_conformance.replay.rerun import rerun
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.preflight import NoTarget, examine
from cbspec_conformance.target.relay import RelayUnderTest

_NOTHING_SHOWN = ReplayOutcome(ReplayVerdict.UNCLEAR, "the failure has no steps that can be played without its case")


class Replayer:
    """Runs failures again on one relay.

    Arguments: `profile` is the relay's. Raises NoTarget if it cannot be reached.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.facts = Facts()
        self._pace = Pacer(profile)
        self._issuer = Issuer(profile.tokens, time.time)
        target = self.target()
        try:
            self.facts = examine(target)
        except NotExercised as error:
            raise NoTarget(str(error)) from None
        finally:
            target.close()

    def target(self) -> RelayUnderTest:
        """Return the relay for one play."""
        tempo = Tempo.of(self.profile.target, self.facts.latency)
        known = (self.profile, self.facts, "replay")
        return RelayUnderTest(*known, locks=Locks(None), pace=self._pace, issuer=self._issuer, tempo=tempo)

    def play(self, failure: Failure) -> ReplayOutcome:
        """Play a failure's steps; return whether they show it."""
        if failure.expectation is None or failure.steps is None:
            return _NOTHING_SHOWN
        target = self.target()
        try:
            Player(target, failure.tokens or {}).play(failure.steps, failure.expectation)
        except Broken as broken:
            exchange = render(target.transcript, broken.exchanges)
            return ReplayOutcome(
                ReplayVerdict.FAILING, f"expected {broken.expected}; seen: {broken.seen}", exchange, played=True
            )
        except (Inconclusive, NotExercised, RateLimited) as error:
            return self._breach(failure, target) or ReplayOutcome(
                ReplayVerdict.UNCLEAR, str(error), render(target.transcript, ())
            )
        finally:
            target.close()
        return self._breach(failure, target) or ReplayOutcome(ReplayVerdict.FIXED, "the steps no longer show it")

    @staticmethod
    def _breach(failure: Failure, target: RelayUnderTest) -> ReplayOutcome | None:
        """Return the outcome of an invariant of the failure's own requirement that was broken during the play."""
        for finding in target.log.findings:
            if finding.requirement == failure.requirement:
                seen = f"expected {finding.expected}; seen: {finding.seen}"
                return ReplayOutcome(ReplayVerdict.FAILING, seen, finding.exchange, played=True)
        return None


def replay(relay: Replayer, failures: Sequence[Failure], options: Sequence[str]) -> list[ReplayOutcome]:
    """Return whether each failure is still there; `options` name the relay for the suite."""
    outcomes = [relay.play(failure) for failure in failures]
    hidden = [index for index, outcome in enumerate(outcomes) if outcome.verdict is not ReplayVerdict.FAILING]
    again = rerun([failures[index] for index in hidden], options) if hidden else []
    for index, outcome in zip(hidden, again, strict=True):
        outcomes[index] = _settled(outcomes[index], outcome)
    return outcomes


def _settled(played: ReplayOutcome, case: ReplayOutcome) -> ReplayOutcome:
    """Return the outcome of the case, or of the play if both are unclear: the reason of the play is more specific."""
    if (
        case.verdict is ReplayVerdict.UNCLEAR
        and played.verdict is ReplayVerdict.UNCLEAR
        and played is not _NOTHING_SHOWN
    ):
        return played
    return case
