"""Guesses the machine of a client from words that are asked many at once.

The learner asks one word after the other, and each means a start of the client. So the machine is guessed first, with
the rows and columns of Angluin's L*, and the learner gets its answers from the guess. All words on which it tests its
machine are asked; if one contradicts the guess, the guess gets a column more (Rivest and Schapire).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from cbspec_conformance.client.learning.answers import OK, OVER
from cbspec_conformance.learning.queries import LearningStopped, WordQueries
from cbspec_conformance.machines.machine import Machine, Word, machine_of

_TIMES: Final = 6
"""How often the answer is repeated that counts a client's attempts: deployed clients try again three times."""

_MOST: Final = 100
"""States. A client that never behaves as before has no machine."""

_Row = tuple[Word, ...]


def counting(queries: WordQueries) -> Word:
    """Return a good answer, and the one that the client bears most often before it ends: they tell states apart."""
    words = [(each,) * (_TIMES + 1) for each in queries.names]
    queries.prefetch(words)
    usual = queries.ask((OK.name,))
    failed = [word for word in words if queries.ask(word)[:1] != usual] or words  # the others mean `ok` at times
    ended = [word for word in failed if queries.ask(word)[-1] == OVER] or failed
    return (OK.name, *max(ended, key=lambda word: sum(output != OVER for output in queries.ask(word))))


def guess(queries: WordQueries, columns: list[Word]) -> Machine:
    """Return a machine that agrees with every word that was asked; `columns` tell its states apart, and may grow.

    Raises LearningStopped or Corrected.
    """
    while True:
        machine = _table(queries, columns)
        seen = [(word, outputs) for word, outputs in queries.answers.observed() if {*word} <= {*queries.names}]
        wrong = [word for word, outputs in seen if machine.run(word) != outputs]
        if not wrong:
            return machine
        add_column(queries, columns, machine, min(wrong, key=len))


def _table(queries: WordQueries, columns: list[Word]) -> Machine:
    def rows(words: list[Word]) -> list[_Row]:
        queries.prefetch([(*word, *column) for word in words for column in columns])
        return [tuple(queries.ask((*word, *column))[len(word) :] for column in columns) for word in words]

    (first,) = rows([()])
    access, new, edges = {first: Word()}, [first], dict[tuple[_Row, str], tuple[str, _Row]]()
    while new:
        steps = [(row, each) for row in new for each in queries.names]
        words = [(*access[row], each) for row, each in steps]
        new = []
        for step, word, row in zip(steps, words, rows(words), strict=True):
            edges[step] = queries.ask(word)[-1], row
            if row not in access:
                access[row] = word
                new.append(row)
        if len(access) > _MOST:
            raise LearningStopped(f"it has more than {_MOST} states; give fewer answers with --answer")
    return machine_of(queries.names, first, lambda row, letter: edges[row, letter])


def add_column(queries: WordQueries, columns: list[Word], machine: Machine, word: Word) -> None:
    """Add the end of a word that tells two words apart which lead to the same state of a wrong machine.

    Raises LearningStopped or Corrected.
    """
    pairs = zip(queries.ask(word), machine.run(word), strict=True)
    word = word[: next(place for place, (seen, guessed) in enumerate(pairs) if seen != guessed) + 1]
    state, words = 0, [word]
    for place, letter in enumerate(word):
        state = machine.edges[state, letter][1]
        words.append((*machine.access[state], *word[place + 1 :]))
    queries.prefetch(words)
    last = [queries.ask(each)[-1:] for each in words]
    places = [place for place, (one, next_one) in enumerate(pairwise(last), 1) if one == last[0] != next_one]
    column = word[places[0] :] if places and places[0] < len(word) else word[1:]
    if column in columns or not column:
        raise LearningStopped(f"its words contradict each other, the last time in [{', '.join(word)}]")
    columns.append(column)
