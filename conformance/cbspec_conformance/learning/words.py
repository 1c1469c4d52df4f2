"""A word as a case of a requirement: how its last output breaks it, and the findings and records that show it."""

from __future__ import annotations

from dataclasses import dataclass

from cbspec.catalogue.requirements import Level
from cbspec_conformance.failures.failure import LEARNED
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.learning.comparison import judge_words
from cbspec_conformance.learning.conduct import Conduct
from cbspec_conformance.learning.queries import PlayedWord, Queries
from cbspec_conformance.learning.setting import LearningSetting
from cbspec_conformance.machines.machine import Difference, Word
from cbspec_conformance.reporting.events import CaseReported
from cbspec_conformance.reporting.stream import case_lines
from cbspec_conformance.runner.outcomes import end_case

_BETWEEN = "; "


def case_name(word: Word) -> str:
    """Return the name of a word's case."""
    return LEARNED + _BETWEEN.join(word)


def word_of(case: str) -> Word:
    """Return the word of a case's name."""
    return tuple(case.removeprefix(LEARNED).split(_BETWEEN))


@dataclass(frozen=True, slots=True)
class WordCase:
    """A word that was played to show a requirement, and the findings."""

    requirement: str
    played: PlayedWord
    findings: tuple[Finding, ...]

    @property
    def name(self) -> str:
        """The name of the case."""
        return case_name(self.played.word)

    def lines(self, place: int, began: float) -> bytes:
        """Return the lines of the stream of results; `began` is the time of its beginning in seconds since 1970."""
        event = CaseReported(self.name, self.requirement, "A sequence that the learner found.", place=place)
        return case_lines(event, self.played.relay.transcript, self.findings, began)


def case_of(played: PlayedWord, difference: Difference, conduct: Conduct) -> WordCase:
    """Return the case of a difference that has a requirement, from the word as it was played again."""
    if difference.level is Level.INFO:
        played.relay.log.saw(played.outputs[-1], f"after {_BETWEEN.join(played.word)}")
        return _ended(played, difference.requirement, None)
    return _ended(played, difference.requirement, _breach(played, difference, conduct))


def case_of_invariant(played: PlayedWord, requirement: str) -> WordCase:
    """Return the case of a word in which an answer breaks a requirement on every exchange."""
    try:
        played.relay.log.judge_invariant(requirement)
    except Broken as error:
        return _ended(played, requirement, error)
    return _ended(played, requirement, Inconclusive("it was broken once, and not when the sequence was repeated"))


def play_again(case: str, requirement: str, setting: LearningSetting) -> list[Finding]:
    """Return the findings of a word's case from playing it on a relay.

    Raises NotExercised if the profile lacks an input, or LearningStopped.
    """
    word = word_of(case)
    if missing := [each for each in word if each not in setting.alphabet.letters]:
        raise NotExercised(f"{missing[0]}: {setting.alphabet.left_out.get(missing[0], 'this kit has no such input')}")
    queries = Queries(setting.relay, setting.alphabet, setting.shared.clock, patient=setting.limited)
    played = queries.play(word)
    if requirement in queries.breaches:
        return [*case_of_invariant(played, requirement).findings]
    for breach in judge_words([(word, played.outputs)], setting.conduct):
        if (breach.requirement, breach.word) == (requirement, word):
            return [*case_of(played, breach, setting.conduct).findings]
        told = f"the sequence breaks {breach.requirement} with {breach.outputs[-1]} after {_BETWEEN.join(breach.word)}"
        return [Finding(requirement, Outcome.INCONCLUSIVE, case, told)]
    return [Finding(requirement, Outcome.PASSED, case)]


def _ended(played: PlayedWord, requirement: str, error: Exception | None) -> WordCase:
    _, findings = end_case(requirement, case_name(played.word), error, played.relay)
    return WordCase(requirement, played, tuple(findings))


def _breach(played: PlayedWord, difference: Difference, conduct: Conduct) -> Exception:
    """Return the suite's own judgement of the last exchange, with the whole word as its evidence."""
    made = [each for each in played.exchanges if each is not None]
    if played.outputs != difference.outputs:
        return Inconclusive(f"it was broken once, but the same sequence then drew {', '.join(played.outputs)}")
    last, too = played.exchanges[-1], f" (broken, too: {'; '.join(difference.also)})" if difference.also else ""
    if last is not None:
        try:
            judge.hold(conduct.expectation(difference), last)
        except Broken as error:
            error.exchanges, error.seen = tuple(made), error.seen + too
            return error
        except Inconclusive as error:
            return error
    expected = judge.named(difference.expected) if difference.expected else "an answer"
    return Broken(expected, difference.outputs[-1] + too, *made)
