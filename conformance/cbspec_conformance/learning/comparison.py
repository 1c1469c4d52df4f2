"""Compares a learned machine with the specification: one shortest word for each difference, with its verdict."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from typing import Protocol, TypeVar

from cbspec.catalogue.requirements import Level, find
from cbspec_conformance.learning.alphabet import BEAT, KEY_UPDATE, RECONNECT, RESUME, SPLIT_BEAT
from cbspec_conformance.machines.machine import CLOSED, Difference, Machine, Word


class KnownSoFar(Hashable, Protocol):
    """What the rules know of a connection after some inputs."""

    @property
    def over(self) -> bool:
        """Whether nothing more can be judged."""


_Known = TypeVar("_Known", bound=KnownSoFar)


class Rules(Protocol[_Known]):
    """The rules of the catalogue for words and their outputs, step by step; `start` is their beginning."""

    @property
    def start(self) -> _Known:
        """What is known before the first input."""

    def judge(self, standing: _Known, name: str, output: str) -> tuple[str, _Known]:
        """Return the requirement that an output breaks, or "", and what is known after it."""

    def open_point(self, standing: _Known, name: str) -> str:
        """Return the open point of the catalogue that an unusual output to an input shows, or ""."""


def compare(machine: Machine, known: Machine, conduct: Rules[_Known]) -> list[Difference]:
    """Return the differences of a learned machine from the specification's, the gravest first.

    The search follows both machines and the rules of the catalogue together. After a breach it goes no further. After a
    difference that breaks nothing, only the rules still apply, unless both machines refuse.
    """
    found = dict[tuple[str, ...], Difference]()
    start: tuple[int, int | None, _Known] = (0, 0, conduct.start)
    seen, waiting = {start}, deque([(start, Word())])
    while waiting:
        (state, place, standing), word = waiting.popleft()
        for letter in machine.inputs:
            output, then = machine.edges[state, letter]
            expected, follows = known.edges[place, letter] if place is not None else (output, None)
            breach, after = conduct.judge(standing, letter, output)
            longer = (*word, letter)
            if (breach or output == CLOSED) and _by_new_keys(machine, longer, output):
                breach = "CB-TLS-009"
            twin = letter == SPLIT_BEAT.name and output == machine.edges[state, BEAT.name][0]
            if (breach or output != expected) and not standing.over and not twin:
                requirement = breach or ("" if output == CLOSED else conduct.open_point(standing, letter))
                key = (requirement, output, "" if breach or output == CLOSED else expected)
                usual = "" if place is None else expected
                _add(found, key, _difference(machine, longer, usual, requirement, breaks=bool(breach)))
            if breach:
                continue
            if output != expected and not (_refuses(output) and _refuses(expected)):
                follows = None
            if letter in (RECONNECT.name, RESUME.name):
                follows = 0
            step = (then, follows, after)
            if step not in seen:
                seen.add(step)
                waiting.append((step, longer))
    blamed = {
        (letter, each.outputs[-1])
        for each in found.values()
        if each.level is not Level.INFO
        for letter in (each.word[-1], *each.also)
    }  # in a state that the specification leaves open, the same output is no other difference
    found = {
        key: each
        for key, each in found.items()
        if each.level is not Level.INFO or (each.word[-1], each.outputs[-1]) not in blamed
    }
    order = [Level.MUST, Level.SHOULD, Level.INFO]
    return sorted(found.values(), key=lambda each: (order.index(each.level), len(each.word)))


def judge_words(observed: Iterable[tuple[Word, Word]], conduct: Rules[_Known]) -> list[Difference]:
    """Return the breaches in single words: the part that is known of a relay whose machine could not be learned."""
    found = dict[tuple[str, str, str], Difference]()
    for word, outputs in sorted(observed, key=lambda each: len(each[0])):
        for difference in _breaches(word, outputs, conduct):
            key = (difference.requirement, difference.word[-1], difference.outputs[-1])
            if key not in found or len(difference.word) < len(found[key].word):
                found[key] = difference
    beats = {output for requirement, _, output in found if requirement == "CB-HBT-001"}
    return [each for key, each in found.items() if key[::2] not in {("CB-MSG-009", output) for output in beats}]


def _breaches(word: Word, outputs: Word, conduct: Rules[_Known]) -> Iterator[Difference]:
    standing = conduct.start
    for number, (letter, output) in enumerate(zip(word, outputs, strict=True), 1):
        breach, standing = conduct.judge(standing, letter, output)
        if breach:
            yield Difference(word[:number], outputs[:number], "", breach, find(breach).level)
            return


def _by_new_keys(machine: Machine, word: Word, output: str) -> bool:
    """Whether the last output of a word is due to its KeyUpdates."""
    without = tuple(letter for letter in word if letter != KEY_UPDATE.name)
    return without != word and machine.run(without)[-1] != output


def _refuses(output: str) -> bool:
    return output.startswith("error ")


def _add(found: dict[tuple[str, ...], Difference], key: tuple[str, ...], new: Difference) -> None:
    """Add a difference, or only its input to a known one that shows the same."""
    known = found.setdefault(key, new)
    if known is not new and new.word[-1] not in (known.word[-1], *known.also):
        found[key] = replace(known, also=(*known.also, new.word[-1]))


def _difference(machine: Machine, word: Word, expected: str, requirement: str, *, breaks: bool) -> Difference:
    level = find(requirement).level if breaks else Level.INFO
    return Difference(word, machine.run(word), expected, requirement, level)
