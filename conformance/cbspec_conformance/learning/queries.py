"""Output queries: many words at once, each on connections of its own, cached and checked for determinism."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from cbspec_conformance.judging.errors import Inconclusive, NotExercised, RateLimited
from cbspec_conformance.judging.judge import FULL
from cbspec_conformance.judging.verdicts import TIME_UP
from cbspec_conformance.learning.alphabet import Alphabet, WordPlayer
from cbspec_conformance.learning.answers import AnswerFile, AnswerNode, AnswerTree
from cbspec_conformance.learning.silences import AnsweredLate, Silences
from cbspec_conformance.machines.machine import NO_ANSWER, Machine, Word
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.waits import at_once
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.cost import Timekeeper
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.target.relay import RelayUnderTest

_REPETITIONS: Final = 5  # of a query that drew two answers
_BLIPS: Final = 3  # answers that never came again, after which a relay counts as non-deterministic
_ATTEMPTS: Final = 4  # at a connection, or below an undeclared rate limit
_SLOWER: Final = 1.5  # factor on the time between inputs after each hit of an undeclared rate limit
_PAUSE: Final = 0.5  # seconds before the second attempt; more before each later one


class LearningStopped(Exception):
    """Learning ends before the machine is known; the text gives the reason."""


class NotDeterministic(LearningStopped):
    """The same word drew different answers; `word` is it, and `answers` counts the outputs of its last input."""

    def __init__(self, word: Word, before: Word, answers: Counter[str], subject: str) -> None:
        counted = ", ".join(f"{output} ({count} of {answers.total()})" for output, count in answers.most_common())
        steps = "; ".join(f"{letter}: {output}" for letter, output in zip(word, before, strict=False))
        super().__init__(f"the {subject} is not deterministic: after [{steps}] {word[-1]} draws {counted}")
        self.word = word
        self.answers = answers


class Corrected(Exception):
    """A cached output was wrong: the relay gave it once and never again. Learning begins again with the others."""


class WordQueries:
    """Asks for the outputs of words, and keeps them; a subclass knows the inputs (`names`) and runs words (`_run_all`).

    Arguments: `jobs` is the number of words at once, and `waiting` that of words whose answers are missing; `end` is
    the time of the clock at which `LearningStopped` is raised (None: never). `tell` is called after each batch.
    `silences` says how long missing answers are awaited.
    """

    subject = "relay"

    def __init__(
        self,
        clock: Timekeeper,
        *,
        jobs: int = 1,
        end: float | None = None,
        tell: Callable[[], None] = lambda: None,
        waiting: int = 1,
        silences: Silences | None = None,
    ) -> None:
        self.jobs = jobs
        self.made = 0
        self.steps = 0
        self.blips: list[Word] = []
        self._clock, self.end, self._tell, self._waiting = clock, end, tell, waiting
        self._silences = silences or Silences()
        self._recalled: AnswerFile | None = None
        self.answers = AnswerTree()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        raise NotImplementedError

    def ask(self, word: Sequence[str]) -> Word:
        """Return the outputs of a word. Raises LearningStopped or Corrected."""
        known = self.known(word)
        while len(known) < len(word):  # an odd answer is dropped with the outputs after it
            self.prefetch([word])
            known = self.known(word)
        return known

    def known(self, word: Sequence[str]) -> Word:
        """Return the outputs of the longest known beginning of a word."""
        return self.answers.known(word)

    def prefetch(self, words: Sequence[Sequence[str]]) -> None:
        """Ask for words that are not yet known, several at once. Raises LearningStopped or Corrected."""
        left = [tuple(word) for word in words if len(self.known(word)) < len(word)]
        while left:
            batch, left = left[: self.jobs], left[self.jobs :]
            for word, outputs in self._together(batch):
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

    def repeat(self, word: Word) -> None:
        """Ask a known word again, alone: words at once may disturb each other. Raises LearningStopped or Corrected."""
        for _, outputs in self._together([word]):
            self._learn(word, outputs)

    def confirm_silences(self, machine: Machine) -> None:
        """Await each missing answer of a machine fully. Raises LearningStopped or Corrected."""
        silent = [(state, letter) for (state, letter), (output, _) in machine.edges.items() if output == NO_ANSWER]
        words = [(*machine.access[state], letter) for state, letter in silent]
        for start in range(0, len(words), self.jobs):
            for word, outputs in self._together(words[start : start + self.jobs], patiently=True):
                self._learn(word, outputs, patiently=True)

    # ------------------------------------------------------------------ mechanics

    def _run_all(self, words: Sequence[Word], *, patiently: bool = False) -> Sequence[Word]:
        """Return the outputs of words that are run at once; `patiently`: await each missing answer fully."""
        raise NotImplementedError

    def _together(self, words: Sequence[Word], *, patiently: bool = False) -> list[tuple[Word, Word]]:
        """Ask words at once; return each with its outputs. Raises LearningStopped."""
        self._check_time()
        return list(zip(words, self._run_all(words, patiently=patiently), strict=True))

    def _check_time(self) -> None:
        if self.end is not None and self._clock.monotonic() > self.end:
            raise LearningStopped(TIME_UP)

    def _one_by_one(self) -> None:
        """Ask one word after the other: words at once use up an undeclared limit of connections."""
        self.jobs, self._waiting = 1, 1

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
        if self.jobs > 1 and any(each.removeprefix("error ") in FULL for each in answers):
            self._one_by_one()
            self.answers, self._recalled = AnswerTree(), None
            raise Corrected
        rounds = 1 if self.jobs >= _REPETITIONS else _REPETITIONS  # the words of a tenant with limits are asked alone
        for _ in range(rounds):
            for _, again in self._together([word] * (_REPETITIONS // rounds), patiently=True):
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
            raise NotDeterministic(word, before, answers, self.subject)
        if usual != node.output:
            node.output, node.then = usual, {}
            raise Corrected


@dataclass(frozen=True, slots=True)
class PlayedWord:
    """A word with its outputs, and the exchange of each input (None: it sent no message). `relay` has the records."""

    word: Word
    outputs: Word
    exchanges: tuple[Exchange | None, ...]
    relay: RelayUnderTest


class Queries(WordQueries):
    """Asks a relay for the outputs of words.

    Arguments: `make` returns the relay for one word. A `patient` session waits for the relay to close its side of a
    closed connection. The others are those of `WordQueries`. `breaches` has, for each requirement that an answer broke
    by its form, the shortest word in which one did.
    """

    def __init__(
        self,
        make: Callable[[], RelayUnderTest],
        alphabet: Alphabet,
        clock: Timekeeper,
        *,
        patient: bool = False,
        **options: Any,  # noqa: ANN401 - of the base class
    ) -> None:
        super().__init__(clock, **options)
        self.alphabet = alphabet
        self.breaches: dict[str, PlayedWord] = {}
        self._make, self._patient = make, patient
        self._interval = 0.0  # seconds between inputs, after an undeclared rate limit was hit
        self._began = self._slowed = clock.monotonic()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return self.alphabet.names

    def confirm(self, word: Word, outputs: Word) -> PlayedWord:
        """Play a known word again, alone and with full waits.

        Raises NotDeterministic or Corrected unless it draws the same outputs.
        """
        played = self.play(word)
        self._learn(word, played.outputs[: len(outputs)], patiently=True)
        return played

    def is_certain(self, word: Word, outputs: Word) -> bool:
        """Whether a known word has no missing answer, or draws the same outputs again with full waits."""
        try:
            return NO_ANSWER not in outputs or self._run(word, patiently=True) == outputs
        except (LearningStopped, Corrected):
            return False

    def play(self, word: Word, *, patiently: bool = True) -> PlayedWord:
        """Play a word on new connections; `patiently`: await each missing answer fully.

        Raises LearningStopped, or Corrected if words at once may have taken all connections: there will be one at once.
        """
        crowded, refused = self.jobs > 1, False
        for attempt in range(_ATTEMPTS):
            relay = self._make()
            relay.room.patient = self._patient
            try:
                played = self._played(relay, word, None if patiently else self._silences)
            except AnsweredLate:
                self._silences.answered_late()
                reason, patiently = "its answers come late", True
                continue
            except (Unreachable, HandshakeFailure) as error:
                reason, refused = f"no new connection after {self.made} queries: {error}", True
            except RateLimited:
                self._slow_down()
                reason = "the relay answers rate_limit_exceeded; declare tenants.rate, or lower --jobs"
            except (Inconclusive, NotExercised) as error:
                reason = str(error)
            else:
                for each in relay.log.findings:
                    known = self.breaches.setdefault(each.requirement, played)
                    self.breaches[each.requirement] = min(known, played, key=lambda each: len(each.word))
                return played
            finally:
                relay.close()
            self._clock.sleep(_PAUSE * (attempt + 1))
        if refused and crowded:
            self._one_by_one()
            raise Corrected
        raise LearningStopped(reason)

    # ------------------------------------------------------------------ mechanics

    def _run_all(self, words: Sequence[Word], *, patiently: bool = False) -> Sequence[Word]:
        return at_once([partial(self._run, word, patiently=patiently) for word in words])

    def _one_by_one(self) -> None:
        super()._one_by_one()
        self._patient = True

    def _slow_down(self) -> None:
        """Send inputs at a lower rate: an undeclared limit of the relay was hit."""
        now = self._clock.monotonic()
        if not self._interval or now > self._slowed + 2 * _PAUSE:  # several words hit it at once
            self._slowed = now
            self._interval = _SLOWER * max(self._interval, (now - self._began) / self.steps)

    def _sent(self, player: WordPlayer, letter: str) -> str:
        self._check_time()
        if self._interval:
            self._clock.sleep(self._interval * self.jobs)
        return player.send(self.alphabet.letters[letter])

    def _run(self, word: Word, *, patiently: bool = False) -> Word:
        return self.play(word, patiently=patiently).outputs

    def _played(self, relay: RelayUnderTest, word: Word, silences: Silences | None) -> PlayedWord:
        self.made += 1
        self.steps += len(word)
        player = WordPlayer(relay, self.alphabet, silences)
        outputs = tuple(self._sent(player, letter) for letter in word)
        player.settle()
        return PlayedWord(word, outputs, tuple(player.exchanges), relay)
