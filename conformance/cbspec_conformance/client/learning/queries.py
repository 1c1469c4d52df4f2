"""Output queries to a client: it is started once for each word, several at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.excerpt import excerpt
from cbspec_conformance.client.habits import Habits, learn, usual_form
from cbspec_conformance.client.learning.answers import OK, AnswerLetter, forced, step_of
from cbspec_conformance.client.learning.exploring import add_column, counting, guess
from cbspec_conformance.client.learning.word import WordSession
from cbspec_conformance.client.rules.always import judge_always
from cbspec_conformance.client.rules.case import SituationCase
from cbspec_conformance.client.run import RUNNING, has_own_port
from cbspec_conformance.client.session import Session, Slots
from cbspec_conformance.client.situations import CLEAN, Kind, Situation
from cbspec_conformance.judging.verdicts import BROKEN, TIME_UP, Finding
from cbspec_conformance.learning.queries import LearningStopped, WordQueries
from cbspec_conformance.machines.machine import Machine, Word
from cbspec_conformance.record.cost import Timekeeper

_WORD: Final = Situation("word", "a sequence of answers", Kind.OBSERVED, "CC-TOL-102")
_ATTEMPTS: Final = 3
_LAG: Final = 0.5  # seconds by which the judge's own loop may be late, before a word is run again
_SETTLE: Final = 0.3  # seconds for the client's output after its last message
_PATIENCE: Final = 3.0  # seconds after a declared time-out


@dataclass(frozen=True, slots=True)
class ClientRuns:
    """How a client is run: its profile, the transport, and the time in seconds after which it is taken to wait.

    `jobs` clients run at once (None: as many as useful).
    """

    profile: ClientProfile
    transport: str
    pause: float
    jobs: int | None = None


class GuessedWrong(Exception):
    """A word contradicts the guessed machine."""


class ClientQueries(WordQueries):
    """Asks a client for the outputs of words; `words` is the number of runs after which `LearningStopped` is raised.

    A context manager, which learns the client's `habits` from a clean session first. `first` is the client's first
    message.
    """

    subject = "client"

    def __init__(
        self,
        runs: ClientRuns,
        letters: Mapping[str, AnswerLetter],
        clock: Timekeeper,
        *,
        words: int | None = None,
        end: float | None = None,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(clock, jobs=runs.jobs or RUNNING, end=end, tell=tell)
        self.letters = dict(letters)
        self._names = tuple(letters)
        self.habits = Habits()
        self.findings: dict[str, Finding] = {}
        self.first = ""
        self._usual: frozenset[str] = frozenset()
        self._guess: Machine | None = None
        self._columns: list[Word] = []
        self._runs, self._words = runs, words
        self._pause = max(runs.pause, (runs.profile.answer_timeout or -_PATIENCE) + _PATIENCE)
        self._profile = replace(runs.profile, stop_time=0.0)
        self._runner = asyncio.Runner()
        self._slots = Slots(self.jobs, min(self.jobs, 2 * (os.cpu_count() or 1)))

    def __enter__(self) -> Self:
        try:
            self._learn_habits()
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def _learn_habits(self) -> None:
        clean = Session(CLEAN, self._runs.profile, self.habits, self._runs.transport, quick=False)
        self._runner.run(clean.run(self._slots))
        self.habits = learn(clean.seen)
        self._usual = self.habits.usual
        if self.habits.fault:
            raise LearningStopped(f"the clean session doesn't work: {self.habits.fault}")
        if self._runs.profile.one_at_a_time or has_own_port(clean, self.habits):
            self.jobs, self._slots = 1, Slots(1, 1)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return self._names

    def leave_out(self, name: str) -> None:
        """Ask no further words with an input."""
        self._columns = [word for word in self._columns if name not in word]
        self._names = tuple(each for each in self._names if each != name)

    def guess(self) -> Machine:
        """Guess the machine, and answer from it instead of asking, until a word contradicts it.

        Raises LearningStopped or Corrected.
        """
        self._guess = None
        self._columns = self._columns or [counting(self)]
        self._guess = guess(self, self._columns)
        return self._guess

    def ask(self, word: Sequence[str]) -> Word:
        """Return the outputs of a word, some of them perhaps guessed. Raises LearningStopped or Corrected."""
        known = self.known(word)
        if self._guess is not None and len(known) < len(word):
            return (*known, *self._guess.run(word)[len(known) :])
        return super().ask(word)

    def prefetch(self, words: Sequence[Sequence[str]]) -> None:
        """Ask for words that are not yet known, several at once.

        Raises LearningStopped, Corrected, or GuessedWrong if one contradicts the guess.
        """
        unknown = [tuple(word) for word in words if len(self.known(word)) < len(word)]
        super().prefetch(list(dict.fromkeys(map(self._plain, unknown))))
        if (machine := self._guess) is None:
            return
        found = {word: self.known(word) for word in unknown}
        wrong = [word for word, outputs in found.items() if machine.run(word)[: len(outputs)] != outputs]
        if wrong:
            self._guess = None
            add_column(self, self._columns, machine, min(wrong, key=len))
            raise GuessedWrong

    def confirm(self, word: Word, outputs: Word) -> None:
        """Run a known word again, alone. Raises NotDeterministic or Corrected unless it draws the same outputs."""
        self._learn(word, self._run_all([word])[0][: len(outputs)], patiently=True)

    def said(self, word: Word) -> list[str]:
        """Run a word again, and return the client's unusual output after the last answer."""
        return self._runner.run(self._session(word, settle=_SETTLE)).said(self._usual)

    def exchange(self, word: Word) -> str:
        """Run a word again, and return the exchange as text."""
        return excerpt(self._runner.run(self._session(word, settle=_SETTLE)).seen)

    # ------------------------------------------------------------------ the cache

    def known(self, word: Sequence[str]) -> Word:
        """Return the outputs of the longest known beginning of a word."""
        return self._walked(word)[1]

    def _plain(self, word: Sequence[str]) -> Word:
        """Return a word with the same outputs in which an input that doesn't apply to its request is `ok`."""
        return self._walked(word)[0]

    def _walked(self, word: Sequence[str]) -> tuple[Word, Word]:
        """Return the plain form of a word, and the outputs of its known beginning."""
        node, last, outputs = self.answers.root, self.first, list[str]()
        plain = list(word)
        for place, name in enumerate(word):
            output = forced(last, self.letters[name])
            if not output:
                plain[place] = self._effective(last, name)
                if plain[place] not in node.then:
                    break
                node = node.then[plain[place]]
                output = node.output
            outputs.append(output)
            last = output
        return tuple(plain), tuple(outputs)

    def _effective(self, last: str, name: str) -> str:
        step = step_of(last)
        return OK.name if step and step not in self.letters[name].steps else name

    def _learn(self, word: Word, outputs: Word, *, patiently: bool = False) -> None:
        last, names, drawn = self.first, list[str](), list[str]()
        for name, output in zip(word, outputs, strict=False):
            if not forced(last, self.letters[name]):
                names.append(self._effective(last, name))
                drawn.append(output)
            last = output
        super()._learn(tuple(names), tuple(drawn), patiently=patiently)

    # ------------------------------------------------------------------ the runs

    def _run_all(self, words: Sequence[Word], *, patiently: bool = False) -> Sequence[Word]:
        async def all_of_them() -> list[WordSession | BaseException]:
            async with asyncio.timeout(None if self.end is None else self.end - self._clock.monotonic()):
                return await asyncio.gather(*map(self._session, words), return_exceptions=True)

        if self._words is not None and self.made >= self._words:
            raise LearningStopped(f"the {self._words} runs of --words are over")
        try:
            done = self._runner.run(all_of_them())
        except TimeoutError:
            raise LearningStopped(TIME_UP) from None
        sessions = list[WordSession]()
        for word, session in zip(words, done, strict=True):
            if isinstance(session, BaseException):
                raise session
            sessions.append(session)
            if {*word} == {OK.name}:
                self._usual |= {usual_form(line) for line in session.seen.lines(until=session.seen.asked)}
        return [tuple(session.outputs) for session in sessions]

    async def _session(self, word: Word, *, settle: float = 0.0) -> WordSession:
        """Run a word, again if the machine was busy. Raises LearningStopped."""
        for _ in range(_ATTEMPTS):
            session = WordSession(
                _WORD,
                self._profile,
                self.habits,
                self._runs.transport,
                quick=False,
                word=[self.letters[name] for name in word],
                settle=settle,
                pause=self._pause,
            )
            self.made += 1
            self.steps += len(word)
            await session.run(self._slots)
            self.first = self.first or session.first
            if session.seen.lag <= _LAG and session.first == self.first and len(session.outputs) == len(word):
                self._judge(session)
                return session
        raise LearningStopped(
            f"the client's first message was {session.first or 'none'} in {_ATTEMPTS} runs, and {self.first} before"
            if session.first != self.first
            else "the machine is too busy: give fewer --jobs"
        )

    def _judge(self, session: WordSession) -> None:
        """Add the breaches of the rules that hold in every situation."""
        seen = session.seen
        if seen.ended_itself is None:  # the judge's own signal says nothing about the client
            seen = replace(seen, exit=None)
        case = SituationCase(_WORD, self._profile, self.habits, seen, self._runs.transport)
        judge_always(case, session.token)
        found = {each.requirement: each for each in case.findings if each.outcome in BROKEN}
        self.findings = found | self.findings
