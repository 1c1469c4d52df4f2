"""Output queries to a relay: many words at once, each on connections of its own, cached and checked for determinism."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from cbspec_conformance.judging.errors import Inconclusive, NotExercised, RateLimited
from cbspec_conformance.judging.verdicts import Finding
from cbspec_conformance.learning.alphabet import NO_ANSWER, Alphabet, WordPlayer
from cbspec_conformance.learning.machine import Word
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


@dataclass(slots=True)
class _Node:
    output: str = ""
    then: dict[str, _Node] = field(default_factory=dict)


class Queries:
    """Asks a relay for the outputs of words.

    Arguments: `make` returns the relay for one word; `jobs` is the number of words at once, and `waiting` that of words
    whose answers are missing; `end` is the time of the clock at which `LearningStopped` is raised (None: never). `tell`
    is called after each batch. A `patient` session waits for the relay to close its side of a closed connection.
    `findings` are the breaches of invariants in all exchanges, by requirement.
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
    ) -> None:
        self.alphabet = alphabet
        self.jobs = jobs
        self.made = 0
        self.steps = 0
        self.findings: dict[str, Finding] = {}
        self.blips: list[Word] = []
        self._make, self._clock, self._end, self._tell, self._patient = make, clock, end, tell, patient
        self._waiting = waiting
        self._root = _Node()

    def ask(self, word: Sequence[str]) -> Word:
        """Return the outputs of a word. Raises LearningStopped or Corrected."""
        known = self._known(word)
        while len(known) < len(word):  # an odd answer is dropped with the outputs after it
            self.prefetch([word])
            known = self._known(word)
        return known

    def prefetch(self, words: Sequence[Sequence[str]]) -> None:
        """Ask for words that are not yet known, several at once. Raises LearningStopped or Corrected."""
        left = [tuple(word) for word in words if len(self._known(word)) < len(word)]
        while left:
            batch, left = left[: self.jobs], left[self.jobs :]
            if self._end is not None and self._clock.monotonic() > self._end:
                raise LearningStopped("the time of --max-time is up")
            for word, outputs in zip(batch, at_once([partial(self._run, word) for word in batch]), strict=True):
                self._learn(word, outputs)
                if NO_ANSWER in outputs and self.jobs > 1:  # the words mostly wait
                    self.jobs = max(self.jobs, self._waiting)
            self._tell()

    def observed(self) -> Iterator[tuple[Word, Word]]:
        """Yield every longest word that was asked, with its outputs."""
        waiting: list[tuple[_Node, Word, Word]] = [(self._root, (), ())]
        while waiting:
            node, word, outputs = waiting.pop()
            if not node.then and word:
                yield word, outputs
            waiting.extend((each, (*word, letter), (*outputs, each.output)) for letter, each in node.then.items())

    def confirm(self, word: Word, outputs: Word) -> None:
        """Ask a known word again, alone. Raises NotDeterministic or Corrected unless it draws the same outputs."""
        self._learn(word, self._run(word)[: len(outputs)])

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

    def _run(self, word: Word) -> Word:
        """Return the outputs of a word on a new connection."""
        for attempt in range(_ATTEMPTS):
            relay = self._relay()
            try:
                outputs = self._converse(relay, word)
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

    def _converse(self, relay: RelayUnderTest, word: Word) -> Word:
        self.made += 1
        self.steps += len(word)
        conversation = WordPlayer(relay, self.alphabet)
        return tuple(conversation.send(self.alphabet.letters[letter]) for letter in word)

    def _known(self, word: Sequence[str]) -> Word:
        node, outputs = self._root, []
        for letter in word:
            if letter not in node.then:
                break
            node = node.then[letter]
            outputs.append(node.output)
        return tuple(outputs)

    def _learn(self, word: Word, outputs: Word) -> None:
        node = self._root
        for place, (letter, output) in enumerate(zip(word, outputs, strict=False)):
            known = node.then.get(letter)
            if known is None:
                known = node.then[letter] = _Node(output)
            elif known.output != output:
                self._conflict(word[: place + 1], outputs[:place], known, output)
                return
            node = known

    def _conflict(self, word: Word, before: Word, node: _Node, output: str) -> None:
        """Repeat a word whose last input drew two outputs. Raises NotDeterministic, or Corrected for an odd old one."""
        answers = Counter([node.output, output])
        for _ in range(_REPETITIONS):
            again = self._run(word)
            if again[:-1] == before:
                answers[again[-1]] += 1
        (usual, _), *others = answers.most_common()
        self.blips.append(word)
        if sum(count for _, count in others) > 1 or len(self.blips) > _BLIPS:
            raise NotDeterministic(word, before, answers)
        if usual != node.output:
            node.output, node.then = usual, {}
            raise Corrected
