"""A Mealy machine as plain data: its canonical form, its file, and the shortest words that tell two machines apart."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from cbspec.errors import CommandError

Word = tuple[str, ...]
_State = TypeVar("_State", bound=Hashable)
_FORMAT: Final = "cbspec-machine-1"


@dataclass(frozen=True, slots=True)
class Machine:
    """A deterministic machine whose states are numbers, 0 the first.

    `edges` has the output and the next state for each state and input. `access` are the shortest words that lead to the
    states, and `names` describe the states. `origin` names the relay. Two machines are equal if they behave alike.
    """

    inputs: tuple[str, ...]
    edges: Mapping[tuple[int, str], tuple[str, int]]
    access: tuple[Word, ...]
    names: tuple[str, ...] = field(default=(), compare=False)
    origin: str = field(default="", compare=False)

    @property
    def states(self) -> range:
        """The numbers of the states."""
        return range(len(self.access))

    def run(self, word: Sequence[str], state: int = 0) -> Word:
        """Return the outputs of a word."""
        outputs = []
        for letter in word:
            output, state = self.edges[state, letter]
            outputs.append(output)
        return tuple(outputs)


@dataclass(frozen=True, slots=True)
class Distinction:
    """A shortest word on whose last input two machines differ, with the outputs of both.

    `also` are inputs that show the same difference in the place of the last one.
    """

    word: Word
    outputs: Word
    others: Word
    also: tuple[str, ...] = ()


def machine_of(
    inputs: Sequence[str],
    first: _State,
    step: Callable[[_State, str], tuple[str, _State]],
    origin: str = "",
    name: Callable[[_State], str] = str,
) -> Machine:
    """Return the smallest machine that behaves like a step function, with its states in breadth-first order."""
    numbers: dict[_State, int] = {first: 0}
    edges: dict[tuple[int, str], tuple[str, int]] = {}
    waiting = deque([first])
    while waiting:
        state = waiting.popleft()
        for letter in inputs:
            output, then = step(state, letter)
            if then not in numbers:
                numbers[then] = len(numbers)
                waiting.append(then)
            edges[numbers[state], letter] = output, numbers[then]
    classes = _classes(inputs, edges, len(numbers))
    names = {each: name(state) for state, each in reversed(list(zip(numbers, classes, strict=True)))}
    return _numbered(inputs, edges, classes, names, origin)


def _classes(inputs: Sequence[str], edges: Mapping[tuple[int, str], tuple[str, int]], count: int) -> list[int]:
    """Return the class of each state: states of one class behave alike (Moore's refinement)."""
    classes = [0] * count
    while True:
        rows = [
            (classes[state], tuple((out, classes[then]) for out, then in (edges[state, each] for each in inputs)))
            for state in range(count)
        ]
        known = {row: number for number, row in enumerate(dict.fromkeys(rows))}
        refined = [known[row] for row in rows]
        if len(known) == len(set(classes)):
            return refined
        classes = refined


def _numbered(
    inputs: Sequence[str],
    edges: Mapping[tuple[int, str], tuple[str, int]],
    classes: list[int],
    names: Mapping[int, str],
    origin: str,
) -> Machine:
    """Return the machine of the classes, numbered in breadth-first order."""
    order, found = {classes[0]: 0}, dict[tuple[int, str], tuple[str, int]]()
    words: list[Word] = [()]
    waiting = deque([0])
    while waiting:
        state = waiting.popleft()
        number = order[classes[state]]
        for letter in inputs:
            output, then = edges[state, letter]
            if classes[then] not in order:
                order[classes[then]] = len(order)
                words.append((*words[number], letter))
                waiting.append(then)
            found[number, letter] = output, order[classes[then]]
    return Machine(tuple(inputs), found, tuple(words), tuple(names[each] for each in order), origin)


def distinctions(one: Machine, other: Machine, sink: str = "") -> list[Distinction]:
    """Return a shortest word for each way in which two machines differ: the outputs of both.

    An output `sink` differs from all others in one way.
    """
    inputs = [each for each in one.inputs if each in other.inputs]
    seen, found = {(0, 0)}, dict[tuple[str, str], Distinction]()
    waiting: deque[tuple[int, int, Word]] = deque([(0, 0, ())])
    while waiting:
        left, right, word = waiting.popleft()
        for letter in inputs:
            (output, then), (another, elsewhere) = one.edges[left, letter], other.edges[right, letter]
            longer = (*word, letter)
            if output != another:
                key = (output, "") if output == sink else ("", another) if another == sink else (output, another)
                known = found.setdefault(key, Distinction(longer, one.run(longer), other.run(longer)))
                if letter not in (known.word[-1], *known.also):
                    found[key] = replace(known, also=(*known.also, letter))
            elif (then, elsewhere) not in seen:
                seen.add((then, elsewhere))
                waiting.append((then, elsewhere, longer))
    return list(found.values())


def as_data(machine: Machine) -> dict[str, object]:
    """Return a machine as JSON's values."""
    return {
        "format": _FORMAT,
        "origin": machine.origin,
        "inputs": list(machine.inputs),
        "states": [
            {"name": name, "access": list(word)} for name, word in zip(machine.names, machine.access, strict=True)
        ],
        "edges": [
            {"from": state, "input": letter, "output": output, "to": then}
            for (state, letter), (output, then) in machine.edges.items()
        ],
    }


def load_machine(file: Path) -> Machine:
    """Return the machine in a file of `cbspec learn --save`. Raises CommandError if it is none, or OSError."""
    try:
        data = json.loads(file.read_text("utf-8"))
        if data["format"] != _FORMAT:
            raise CommandError(f"{file}: its format is {data['format']!r}; this kit reads {_FORMAT}")
        return machine_of_data(data)
    except (ValueError, KeyError, TypeError) as error:
        detail = f"{type(error).__name__}: {error}"
        raise CommandError(f"{file} is no machine of cbspec learn --save ({detail})") from None


def machine_of_data(data: Any) -> Machine:  # noqa: ANN401 - any JSON value
    """Return the machine of `as_data`. Raises KeyError, TypeError or ValueError if it is none."""
    edges = {(e["from"], e["input"]): (e["output"], e["to"]) for e in data["edges"]}
    inputs = tuple(data["inputs"])
    made = machine_of(inputs, 0, lambda state, letter: edges[state, letter], str(data["origin"]))
    names = {tuple(each["access"]): str(each["name"]) for each in data["states"]}
    known = tuple(names.get(word, str(number)) for number, word in enumerate(made.access))
    return Machine(made.inputs, made.edges, made.access, known, made.origin)
