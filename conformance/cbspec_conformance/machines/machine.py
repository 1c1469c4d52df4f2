"""A Mealy machine as plain data: its canonical form, its file, and the shortest words that tell two machines apart.

The inputs and outputs are names; see `cbspec_conformance.learning.alphabet`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from cbspec.catalogue.requirements import Level
from cbspec.errors import CommandError

Word = tuple[str, ...]
_State = TypeVar("_State", bound=Hashable)
_FORMAT: Final = "cbspec-machine-1"

CONNECTED: Final = "connected"
CLOSED: Final = "closed"
NO_ANSWER: Final = "no answer"
NONE_DUE: Final = "no answer due"
"""The outputs that are no messages."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A deterministic machine whose states are numbers, 0 the first.

    `edges` has the output and the next state for each state and input. `access` are the shortest words that lead to the
    states, and `names` describe the states. `origin` names the relay or client. A picture leaves out the edges in
    `hidden`. Two machines are equal if they behave alike.
    """

    inputs: tuple[str, ...]
    edges: Mapping[tuple[int, str], tuple[str, int]]
    access: tuple[Word, ...]
    names: tuple[str, ...] = field(default=(), compare=False)
    origin: str = field(default="", compare=False)
    hidden: frozenset[tuple[int, str]] = field(default=frozenset(), compare=False)

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


@dataclass(frozen=True, slots=True)
class Difference:
    """A shortest word whose last output isn't that of the specification's table.

    `requirement` is the one that it breaks, or the open point that it shows ("": none has an id); `level` is INFO if it
    breaks none. `also` are other inputs that show the same in the place of the last one.
    """

    word: Word
    outputs: Word
    expected: str
    requirement: str
    level: Level
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


class MachineState(msgspec.Struct, frozen=True):
    """A state: the name, and a shortest sequence of inputs that leads to it."""

    name: str
    access: Word


class MachineEdge(msgspec.Struct, frozen=True, rename={"source": "from", "target": "to"}):
    """The output to an input in a state, and the next state."""

    source: int
    input: str
    output: str
    target: int


class MachineData(msgspec.Struct, frozen=True):
    """A machine as JSON. The first state is number 0; `origin` names the relay."""

    origin: str
    inputs: tuple[str, ...]
    states: tuple[MachineState, ...]
    edges: tuple[MachineEdge, ...]

    def __post_init__(self) -> None:
        states = range(len(self.states))
        found = {(each.source, each.input) for each in self.edges if each.target in states}
        if found != {(state, letter) for state in states for letter in self.inputs} or not states:
            raise ValueError("its edges must have an output and a next state for each state and input")

    @classmethod
    def of(cls, machine: Machine) -> MachineData:
        """Return the data of a machine."""
        states = zip(machine.names, machine.access, strict=True)
        edges = ((state, letter, *edge) for (state, letter), edge in machine.edges.items())
        return cls(
            machine.origin,
            machine.inputs,
            tuple(MachineState(*state) for state in states),
            tuple(MachineEdge(*edge) for edge in edges),
        )

    @property
    def machine(self) -> Machine:
        """The machine."""
        edges = {(each.source, each.input): (each.output, each.target) for each in self.edges}
        made = machine_of(self.inputs, 0, lambda state, letter: edges[state, letter], self.origin)
        names = {each.access: each.name for each in self.states}
        return replace(made, names=tuple(names.get(word, str(number)) for number, word in enumerate(made.access)))


def dump_machine(machine: Machine) -> str:
    """Return the text of a file for --against."""
    return json.dumps({"format": _FORMAT, **msgspec.to_builtins(MachineData.of(machine))}, indent=1) + "\n"


def load_machine(file: Path) -> Machine:
    """Return the machine in a file of `dump_machine`. Raises CommandError if it is none, or OSError."""
    try:
        data = json.loads(file.read_text("utf-8"))
        if data["format"] != _FORMAT:
            raise CommandError(f"{file}: its format is {data['format']!r}; this kit reads {_FORMAT}")
        return msgspec.convert(data, MachineData).machine
    except (ValueError, KeyError, TypeError) as error:  # msgspec's errors are ValueErrors
        detail = f"{type(error).__name__}: {error}"
        raise CommandError(f"{file} is no machine of cbspec learn --save ({detail})") from None
