"""Output queries to a relay: many words at once, each on connections of its own, cached and checked for determinism."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from cbspec_conformance.judging.errors import Inconclusive, NotExercised, RateLimited
from cbspec_conformance.judging.verdicts import Finding
from cbspec_conformance.learning.alphabet import NO_ANSWER, Alphabet, WordPlayer
from cbspec_conformance.learning.answers import AnswerFile, AnswerNode, AnswerTree
from cbspec_conformance.learning.machine import Machine, Word
from cbspec_conformance.learning.silences import AnsweredLate, Silences
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.waits import at_once
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.cost import Timekeeper
from cbspec_conformance.record.exchange import exchanges
from cbspec_conformance.record.render import render
from cbspec_conformance.target.relay import RelayUnderTest

_REPETITIONS: Final = 5  # of a query that drew two answers
_BLIPS: Final = 3  # answers that never came again, after which a relay counts as non-deterministic
_ATTEMPTS: Final = 4  # at a connection, or below an undeclared rate limit
_PAUSE: Final = 0.5  # seconds before the second attempt; more before each later one


class LearningStopped(Exception):
    """Learning ends before the machine is known; the text gives the reason."""


class NotDeterministic(LearningStopped):
    """The same word drew different answers; `word` is it, and `answers` counts the outputs of its last input."""

    def __init__(self, word: Word, before: Word, answers: Counter[str]) -> None:
        counted = ", ".join(f"{output} ({count} of {answers.total()})" for output, count in answers.most_common())
        steps = "; ".join(f"{letter}: {output}" for letter, output in zip(word, before, strict=False))
        super().__init__(f"the relay is not deterministic: after [{steps}] {word[-1]} draws {counted}")
        self.word = word
        self.answers = answers


class Corrected(Exception):
    """A cached output was wrong: the relay gave it once and never again. Learning begins again with the others."""


class Queries:
    """Asks a relay for the outputs of words.

    Arguments: `make` returns the relay for one word; `jobs` is the number of words at once, and `waiting` that of words
    whose answers are missing; `end` is the time of the clock at which `LearningStopped` is raised (None: never). `tell`
    is called after each batch. A `patient` session waits for the relay to close its side of a closed connection.
    `silences` says how long missing answers are awaited. `findings` are the breaches of invariants in all exchanges, by
    requirement.
    """

    def __init__(
        self,
        make: Callable[[], RelayUnderTest],
        alphabet: Alphabet,
        clock: Timekeeper,
        *,
        jobs: int = 1,
        end: float | None = None,
        tell: Callable[[], None] = lambda: None,
        waiting: int = 1,
        patient: bool = False,
        silences: Silences | None = None,
    ) -> None:
        self.alphabet = alphabet
        self.jobs = jobs
        self.made = 0
        self.steps = 0
        self.findings: dict[str, Finding] = {}
        self.blips: list[Word] = []
        self._make, self._clock, self._end, self._tell, self._patient = make, clock, end, tell, patient
        self._waiting = waiting
        self._silences = silences or Silences()
        self._recalled: AnswerFile | None = None
        self.answers = AnswerTree()

    def ask(self, word: Sequence[str]) -> Word:
        """Return the outputs of a word. Raises LearningStopped or Corrected."""
        known = self.answers.known(word)
        while len(known) < len(word):  # an odd answer is dropped with the outputs after it
            self.prefetch([word])
            known = self.answers.known(word)
        return known

    def prefetch(self, words: Sequence[Sequence[str]]) -> None:
        """Ask for words that are not yet known, several at once. Raises LearningStopped or Corrected."""
        left = [tuple(word) for word in words if len(self.answers.known(word)) < len(word)]
        while left:
            batch, left = left[: self.jobs], left[self.jobs :]
            if self._end is not None and self._clock.monotonic() > self._end:
                raise LearningStopped("the time of --max-time is up")
            for word, outputs in zip(batch, at_once([partial(self._run, word) for word in batch]), strict=True):
                self._learn(word, outputs)
                if NO_ANSWER in outputs and self.jobs > 1:  # the words mostly wait
                    self.jobs = max(self.jobs, self._waiting)
            self._tell()

    def recall(self, stored: AnswerFile, words: Sequence[Word]) -> None:
        """Use the answers of a file if the relay still gives its answers to some words. Raises as `ask`."""
        self.prefetch(words)
        if not stored.differs((word, self.ask(word)) for word in words):
            stored.used, self._recalled = True, stored
            for word, outputs in stored.answers.observed():
                self.answers.add(word, outputs)

    def confirm(self, word: Word, outputs: Word) -> None:
        """Ask a known word again, alone and with full waits.

        Raises NotDeterministic or Corrected unless it draws the same outputs.
        """
        self._learn(word, self._run(word, patiently=True)[: len(outputs)], patiently=True)

    def confirm_silences(self, machine: Machine) -> None:
        """Await each missing answer of a machine fully. Raises LearningStopped or Corrected."""
        silent = [(state, letter) for (state, letter), (output, _) in machine.edges.items() if output == NO_ANSWER]
        words = [(*machine.access[state], letter) for state, letter in silent]
        for start in range(0, len(words), self.jobs):
            batch = words[start : start + self.jobs]
            steps = [partial(self._run, word, patiently=True) for word in batch]
            for word, outputs in zip(batch, at_once(steps), strict=True):
                self._learn(word, outputs, patiently=True)

    def exchange(self, word: Word) -> str:
        """Return the exchange of a word as text, with its last messages marked."""
        relay = self._relay()
        try:
            self._converse(relay, word)
            return render(relay.transcript, list(exchanges(relay.transcript).values())[-len(word) :])
        finally:
            relay.close()

    # ------------------------------------------------------------------ mechanics

    def _relay(self) -> RelayUnderTest:
        relay = self._make()
        relay.room.patient = self._patient
        return relay

    def _run(self, word: Word, *, patiently: bool = False) -> Word:
        """Return the outputs of a word on a new connection; `patiently`: await each missing answer fully."""
        for attempt in range(_ATTEMPTS):
            relay = self._relay()
            try:
                outputs = self._converse(relay, word, None if patiently else self._silences)
            except AnsweredLate:
                self._silences.answered_late()
                reason, patiently = "its answers come late", True
                continue
            except (Unreachable, HandshakeFailure) as error:
                reason = f"no new connection after {self.made} queries: {error}"
            except RateLimited:
                reason = "the relay answers rate_limit_exceeded; declare tenants.rate, or lower --jobs"
            except (Inconclusive, NotExercised) as error:
                reason = str(error)
            else:
                self.findings |= {each.requirement: each for each in relay.log.findings} | self.findings
                return outputs
            finally:
                relay.close()
            self._clock.sleep(_PAUSE * (attempt + 1))
        raise LearningStopped(reason)

    def _converse(self, relay: RelayUnderTest, word: Word, silences: Silences | None = None) -> Word:
        self.made += 1
        self.steps += len(word)
        conversation = WordPlayer(relay, self.alphabet, silences)
        outputs = tuple(conversation.send(self.alphabet.letters[letter]) for letter in word)
        conversation.settle()
        return outputs

    def _learn(self, word: Word, outputs: Word, *, patiently: bool = False) -> None:
        node = self.answers.root
        for place, (letter, output) in enumerate(zip(word, outputs, strict=False)):
            known = node.then.get(letter)
            if known is None:
                known = node.then[letter] = AnswerNode(output)
            elif known.output != output:
                brief = {known.output} if patiently else {known.output, output}
                self._conflict(word[: place + 1], outputs[:place], known, output, guessed=NO_ANSWER in brief)
                return
            node = known

    def _conflict(self, word: Word, before: Word, node: AnswerNode, output: str, *, guessed: bool) -> None:
        """Repeat a word whose last input drew two outputs; one of them may be `guessed` after a brief wait.

        Raises NotDeterministic, or Corrected for an odd old one.
        """
        answers = Counter([node.output, output])
        for _ in range(_REPETITIONS):
            again = self._run(word, patiently=True)
            if again[:-1] == before:
                answers[again[-1]] += 1
        (usual, _), *others = answers.most_common()
        once = [count for _, count in others] == [1]
        outdated = self._recalled is not None and once and self._recalled.differs([(word, (*before, usual))])
        if outdated or (guessed and self._silences.stop() and once):
            self.answers, self._recalled = AnswerTree(), None  # others may be wrong, too
            raise Corrected
        self.blips.append(word)
        if sum(count for _, count in others) > 1 or len(self.blips) > _BLIPS:
            raise NotDeterministic(word, before, answers)
        if usual != node.output:
            node.output, node.then = usual, {}
            raise Corrected
