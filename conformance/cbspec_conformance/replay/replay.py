"""Replays failures: first the recorded steps, then the whole case if the steps do not show the failure.

So the verdict "fixed" never rests on steps that lack the cause of the failure.
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

_NO_STEPS = ReplayOutcome(ReplayVerdict.UNCLEAR, "the failure has no steps that can be played without its case")


class Replayer:
    """Plays the steps of failures on one relay.

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
        """Return the relay for one replay."""
        tempo = Tempo.of(self.profile.target, self.facts.latency)
        known = (self.profile, self.facts, "replay")
        return RelayUnderTest(*known, locks=Locks(None), pace=self._pace, issuer=self._issuer, tempo=tempo)

    def play(self, failure: Failure) -> ReplayOutcome:
        """Play a failure's steps; return whether they show it."""
        if failure.expectation is None or failure.steps is None:
            return _NO_STEPS
        target = self.target()
        outcome = ReplayOutcome(ReplayVerdict.FIXED, "the steps no longer show it")
        try:
            Player(target, failure.tokens or {}).play(failure.steps, failure.expectation)
        except Broken as broken:
            return _failing(broken.expected, broken.seen, render(target.transcript, broken.exchanges))
        except (Inconclusive, NotExercised, RateLimited) as error:
            outcome = ReplayOutcome(ReplayVerdict.UNCLEAR, str(error), render(target.transcript, ()))
        finally:
            target.close()
        for finding in target.log.findings:  # a violated invariant
            if finding.requirement == failure.requirement:
                return _failing(finding.expected, finding.seen, finding.exchange)
        return outcome


def _failing(expected: str, seen: str, exchange: str) -> ReplayOutcome:
    return ReplayOutcome(ReplayVerdict.FAILING, f"expected {expected}; seen: {seen}", exchange)


def replay(replayer: Replayer, failures: Sequence[Failure], options: Sequence[str]) -> list[ReplayOutcome]:
    """Return whether each failure still occurs. `options` are the suite's options that name the relay."""
    outcomes = [replayer.play(failure) for failure in failures]
    left = [index for index, outcome in enumerate(outcomes) if outcome.verdict is not ReplayVerdict.FAILING]
    for index, case in zip(left, rerun([failures[index] for index in left], options), strict=True):
        played = outcomes[index]
        both_unclear = case.verdict is played.verdict is ReplayVerdict.UNCLEAR
        if not both_unclear or played is _NO_STEPS:  # the steps give the more specific reason
            outcomes[index] = case
    return outcomes
