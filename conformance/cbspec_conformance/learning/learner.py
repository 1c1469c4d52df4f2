"""Learns a machine: L# of AALpy, with words of the specification's table and random ones as the oracle."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from random import Random
from typing import Any, Final

from aalpy.base import SUL, Oracle
from aalpy.learning_algs import run_Lsharp

from cbspec_conformance.learning.answers import AnswerFile
from cbspec_conformance.learning.queries import Corrected, WordQueries
from cbspec_conformance.machines.machine import Machine, Word, machine_of

_WALKS: Final = 60  # random words from each state
_MORE: Final = 5  # new random words from each state in a run with the answers of an earlier one
_LONGEST: Final = 14  # inputs of a random word
_PAIRS_ONLY: Final = (
    "hello without version",
    "KeyUpdate",
    "reconnect",
    "resume",
)  # not in triples
_TOUR: Final = 20  # inputs of one word of a tour: each tunnel of a connection takes room of the relay
_SEED: Final = 20  # the words are the same in each run, so that two runs can be compared

Propose = Callable[[Machine], None]
MoreWords = Callable[[Machine], Iterable[Word]]


def learn(
    queries: WordQueries,
    known: Machine,
    propose: Propose = lambda machine: None,
    *,
    walks: int = _WALKS,
    stored: AnswerFile | None = None,
    more: MoreWords = lambda machine: (),
) -> Machine:
    """Return the machine of a relay; `known` is the specification's, which guides the search for differences.

    `propose` is called with each hypothesis; `walks` are the random words from each of its states, and `more` returns
    further words on which it is tested. The answers `stored` in a file are used if the relay still gives them to the
    words that identify the machine's states and edges. Raises LearningStopped.
    """
    while True:
        try:
            if stored is not None and stored.runs and not (stored.used or stored.unused):
                words = [word for each in (known, stored.machine) if each is not None for word in identifying(each)]
                queries.recall(stored, list(dict.fromkeys(words)))
            rounds = stored.runs if stored is not None and stored.used else 0
            machine = _learned(queries, _WordOracle(queries, known, propose, walks, rounds, more))
            queries.confirm_silences(machine)
        except Corrected:
            continue
        return machine


def _learned(queries: WordQueries, oracle: _WordOracle) -> Machine:
    """Return the machine that no word of the oracle refutes. Raises LearningStopped or Corrected."""
    letters = list(queries.names)
    queries.prefetch(list(identifying(oracle.known)))
    found = run_Lsharp(
        letters,
        _Subject(queries),
        oracle,
        "mealy",
        extension_rule="SepSeq",
        separation_rule="SepSeq",
        cache_and_non_det_check=False,  # `Queries` does both
        print_level=0,
    )
    return _plain(found, letters)


class _Subject(SUL):  # type: ignore[misc] # AALpy has no types
    """The relay, or the client, as AALpy sees it. Its algorithm asks whole words only."""

    def __init__(self, queries: WordQueries) -> None:
        super().__init__()
        self._queries = queries

    def query(self, word: Sequence[str]) -> list[str]:
        return list(self._queries.ask(word))

    def pre(self) -> None:
        raise NotImplementedError

    def post(self) -> None:
        raise NotImplementedError

    def step(self, letter: str) -> str:
        raise NotImplementedError


class _WordOracle(Oracle):  # type: ignore[misc] # as above
    """Compares hypothesis and relay on the table's words, on tours of all pairs and triples, and on random words.

    `rounds` counts the earlier runs whose answers are used: their random words tell nothing new.
    """

    def __init__(
        self,
        queries: WordQueries,
        known: Machine,
        propose: Propose,
        walks: int,
        rounds: int,
        more: MoreWords,
    ) -> None:
        super().__init__(list(queries.names), None)
        self.known = known
        self._queries = queries
        self._propose = propose
        self._walks = walks
        self._rounds = rounds
        self._more = more

    def find_cex(self, hypothesis: Any) -> Word | None:  # noqa: ANN401 - AALpy's own class
        machine = _plain(hypothesis, self._queries.names)
        self._propose(machine)
        more = _walks(machine, _MORE if self._rounds else 0, _SEED + self._rounds)
        names = self._queries.names
        kinds = {name: re.split(r"\W", name)[0] for name in names if name not in _PAIRS_ONLY}
        for words in (
            self._more(machine),
            identifying(self.known),
            identifying(machine),
            _tours(machine, dict(zip(names, names, strict=True)), 2),
            _tours(self.known, kinds, 3),
            chain(_walks(machine, self._walks), more),
        ):
            found, size = list(words), self._queries.jobs
            for start in range(0, len(found), size):
                batch = found[start : start + size]
                self._queries.prefetch(batch)
                for word in batch:
                    outputs, expected = self._queries.ask(word), machine.run(word)
                    if outputs != expected:
                        place = next(n for n, (a, b) in enumerate(zip(outputs, expected, strict=True)) if a != b)
                        self._queries.repeat(word[: place + 1])
                        return word[: place + 1]
        return None


def _plain(found: Any, letters: Sequence[str]) -> Machine:  # noqa: ANN401 - AALpy's own class
    return machine_of(
        letters, found.initial_state, lambda state, letter: (state.output_fun[letter], state.transitions[letter])
    )


def separating(machine: Machine) -> Word:
    """Return a word of inputs that change no state of the machine, and tell as many of its states apart as any."""
    classes: dict[int, Word] = dict.fromkeys(machine.states, ())
    chosen: list[str] = []
    still = [each for each in machine.inputs if all(machine.edges[s, each][1] == s for s in machine.states)]
    while True:
        best = max(still, key=lambda each: len(_refined(machine, classes, each)), default="")
        if not best or len(_refined(machine, classes, best)) == len(set(classes.values())):
            return tuple(chosen)
        classes = {state: (*row, machine.edges[state, best][0]) for state, row in classes.items()}
        chosen.append(best)


def _telling(machine: Machine) -> Word:
    """Return a word that tells the states apart, and shows every request that is served where it should not be."""
    word = separating(machine)
    served = (
        each
        for each in machine.inputs
        if all(machine.edges[state, each][1] == state for state in machine.states)
        and any(machine.edges[state, each][0].endswith("_response") for state in machine.states)
    )
    return (*word, *(each for each in served if each not in word))


def _refined(machine: Machine, classes: dict[int, Word], letter: str) -> set[Word]:
    return {(*row, machine.edges[state, letter][0]) for state, row in classes.items()}


def identifying(machine: Machine) -> Iterator[Word]:
    """Yield words for each edge: they take it, and tell the state to which it leads, and those after it.

    Of two machines of which the other has no more states, they tell any difference (the W-method). An edge to another
    state is taken again after requests that are served in some state, since a relay may remember them: once so, and
    once straight to the last of the new states.
    """
    end, others = _telling(machine), _distinguishing(machine)
    for state, word in zip(machine.states, machine.access, strict=True):
        for letter in machine.inputs:
            then = machine.edges[state, letter][1]
            yield (*word, letter, *end, *_onward(machine, then, end))
            if then != state:
                yield (*word, *end, letter, *end, *_onward(machine, then, end))
                yield (*word, *end, letter, *_onward(machine, then, ()), *end)
            yield from ((*word, letter, *other) for other in others)


def _distinguishing(machine: Machine) -> list[Word]:
    """Return shortest words for the states that `_telling` does not tell apart."""
    words = [_telling(machine)]
    for one, other in combinations(machine.states, 2):
        if all(machine.run(word, one) == machine.run(word, other) for word in words):
            words.append(_between(machine, one, other))
    return words[1:]


def _between(machine: Machine, one: int, other: int) -> Word:
    """Return a shortest word that tells two states apart."""
    waiting, seen = deque[tuple[int, int, Word]]([(one, other, ())]), set[tuple[int, int]]()
    while True:
        left, right, word = waiting.popleft()
        for letter in machine.inputs:
            (output, then), (another, elsewhere) = machine.edges[left, letter], machine.edges[right, letter]
            if output != another:
                return (*word, letter)
            if (then, elsewhere) not in seen:
                seen.add((then, elsewhere))
                waiting.append((then, elsewhere, (*word, letter)))


def _onward(machine: Machine, state: int, end: Word) -> Iterator[str]:
    """Yield inputs that lead from a state to new states, one after the other, and tell each.

    A state that a relay keeps secretly, across a connection say, may show only there.
    """
    seen = {state}
    while True:
        edges = ((letter, machine.edges[state, letter][1]) for letter in machine.inputs)
        letter, state = next((edge for edge in edges if edge[1] not in seen), ("", state))
        if not letter:
            return
        seen.add(state)
        yield from (letter, *end)


def _tours(machine: Machine, kinds: Mapping[str, str], run: int) -> Iterator[Word]:
    """Yield words that send every run of so many inputs that change no state in each state, and then identify it.

    `kinds` are those of the inputs: of one kind that draw the same output, the first stands for all.
    """
    end = _telling(machine)
    for state, access in zip(machine.states, machine.access, strict=True):
        loops = [each for each in reversed(machine.inputs) if machine.edges[state, each][1] == state]
        distinct = {(kinds[each], machine.edges[state, each][0]): each for each in loops if each in kinds}
        tour = _all_runs([*distinct.values()], run)
        for start in range(0, len(tour) - run + 1, _TOUR - run + 1):
            yield (*access, *tour[start : start + _TOUR], *end)


def _all_runs(letters: Sequence[str], length: int) -> list[str]:
    """Return a sequence that holds every run of `length` letters (a de Bruijn sequence, made of Lyndon words)."""
    places, word = list[int](), [-1] if letters else []
    while word:
        word[-1] += 1
        size = len(word)
        if length % size == 0:
            places += word
        word += [word[place % size] for place in range(size, length)]
        while word and word[-1] == len(letters) - 1:
            word.pop()
    return [letters[place] for place in [*places, *(places * length)[: length - 1]]]


def _walks(machine: Machine, count: int, seed: int = _SEED) -> Iterator[Word]:
    """Yield random words from each state (the randomized W-method)."""
    random, end = Random(seed), _telling(machine)  # noqa: S311 - no secret
    for _ in range(count):
        for access in machine.access:
            yield (*access, *random.choices(machine.inputs, k=random.randint(2, _LONGEST)), *end)
