"""Learns a client by the learner for relays, and judges its machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import repeat
from typing import Final

from cbspec_conformance.client.learning.answers import OK, UNASKED, WAITS, step_of
from cbspec_conformance.client.learning.conduct import ClientConduct
from cbspec_conformance.client.learning.queries import ClientQueries, GuessedWrong
from cbspec_conformance.learning.comparison import compare, judge_words
from cbspec_conformance.learning.learner import learn
from cbspec_conformance.learning.naming import named
from cbspec_conformance.learning.progress import LearningProgress
from cbspec_conformance.learning.queries import Corrected, NotDeterministic
from cbspec_conformance.machines.machine import Difference, Machine, Word, distinctions

_CLEAN: Final = 8  # good answers in the word that shows the clean session
_AGAIN: Final = 6  # times that an answer is repeated: deployed clients try again three times
_WALKS: Final = 2  # random words from each state
_UNSTABLE: Final = 3  # answers that may be left out


class ClientLearner:
    """Learns the client of some queries.

    `left_out` has the answers to which it reacts differently each time, with the reason. `declares`: it declares its
    time-out.
    """

    def __init__(self, queries: ClientQueries, progress: LearningProgress, *, declares: bool) -> None:
        self.left_out: dict[str, str] = {}
        self._queries, self._progress, self._declares = queries, progress, declares
        self._conduct: ClientConduct | None = None

    @property
    def so_far(self) -> Machine | None:
        """The last hypothesis."""
        machine = self._progress.machine
        return None if machine is None else self._named(machine)

    def machine(self) -> tuple[Machine, list[Difference]]:
        """Return the machine and its differences, each of which was seen twice. Raises LearningStopped."""
        queries = self._queries
        clean = queries.ask((OK.name,) * _CLEAN)
        clean = (queries.first, *clean)
        conduct = self._conduct = ClientConduct(queries.letters, queries.habits, clean, declares=self._declares)
        while True:
            try:
                guessed = queries.guess()
                words = partial(_words, guessed)
                found = learn(queries, guessed, self._progress.propose, walks=_WALKS, more=words)
                differences = compare(found, found, conduct)
                for each in differences:
                    queries.confirm(each.word, each.outputs)
            except (Corrected, GuessedWrong):
                continue
            except NotDeterministic as error:
                self._leave_out(error)
                continue
            # A message about the missing tunnel is no claim that it is open.
            judged = [each for each in differences if not (self._lacks_tunnel(each) and queries.said(each.word))]
            return self._named(found), [replace(each, expected="") for each in judged]

    def in_words(self) -> list[Difference]:
        """Return the breaches in the words that were asked: the part that is known without the machine.

        A client that goes on without its tunnel is left out: it may have said so.
        """
        found = [] if self._conduct is None else judge_words(self._queries.answers.observed(), self._conduct)
        return [each for each in found if not self._lacks_tunnel(each)]

    def _leave_out(self, error: NotDeterministic) -> None:
        """Go on without the answer to which the client reacts differently each time. Raises NotDeterministic."""
        odd = [each for each in reversed(error.word) if each != OK.name]
        if not odd or len(self.left_out) == _UNSTABLE:
            raise error
        name = UNASKED.name if UNASKED.name in odd else odd[0]
        self.left_out[name] = str(error)
        self._queries.leave_out(name)

    def _lacks_tunnel(self, difference: Difference) -> bool:
        """Whether a client goes on without its tunnel."""
        before = (self._queries.first, *difference.outputs)[-2]
        return step_of(before) == "tunnel_info" and bool(step_of(difference.outputs[-1]))

    def _named(self, machine: Machine) -> Machine:
        """Return the machine whose states have the names of the request that the next answer is for."""
        outputs = [(self._queries.first, *machine.run(word))[-1] for word in machine.access]
        names = [f"{each} sent" if step_of(each) else each if each == WAITS else "over" for each in outputs]
        letters = self._queries.letters
        hidden = {
            (state, name)
            for state, output in enumerate(outputs)
            for name in machine.inputs
            if step_of(output) and step_of(output) not in letters[name].steps
        }
        return named(replace(machine, hidden=frozenset(hidden)), names)


def _words(guessed: Machine, machine: Machine) -> Iterator[Word]:
    """Yield words on which a machine is tested: those that tell it from the guess, and those that repeat an answer.

    Clients count attempts, so an answer is repeated, also alternating with good ones. These words begin in the states
    of a clean session: in each state, they would double the time.
    """
    yield from (each.word for each in distinctions(machine, guessed))
    for access in machine.access:
        for letter in machine.inputs if {*access} <= {OK.name} else ():
            yield (*access, *repeat(letter, _AGAIN))
            yield (*access, *(letter, OK.name) * (_AGAIN // 2), letter)
