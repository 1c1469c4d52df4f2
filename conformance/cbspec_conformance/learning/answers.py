"""The answers of a relay: a tree of words with their outputs, and its file for a later run.

A relay may change between two runs, so an answer in a file is used only after the words that identify every state and
edge of the machine were asked again, and drew what the file says. Each run with a file asks some new words besides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from cbspec.errors import CommandError
from cbspec_conformance.machines.machine import Machine, MachineData, Word

_FORMAT: Final = "cbspec-answers-1"


@dataclass(slots=True)
class AnswerNode:
    """The output of the last input of a word, and the longer words."""

    output: str = ""
    then: dict[str, AnswerNode] = field(default_factory=dict)


class AnswerTree:
    """Words with their outputs; words with the same beginning share it."""

    def __init__(self) -> None:
        self.root = AnswerNode()

    def known(self, word: Sequence[str]) -> Word:
        """Return the outputs of the longest known beginning of a word."""
        node, outputs = self.root, []
        for letter in word:
            if letter not in node.then:
                break
            node = node.then[letter]
            outputs.append(node.output)
        return tuple(outputs)

    def add(self, word: Sequence[str], outputs: Sequence[str]) -> None:
        """Add a word, up to the first output that differs from a known one."""
        node = self.root
        for letter, output in zip(word, outputs, strict=True):
            node = node.then.setdefault(letter, AnswerNode(output))
            if node.output != output:
                return

    def observed(self) -> Iterator[tuple[Word, Word]]:
        """Yield every longest word, with its outputs."""
        waiting: list[tuple[AnswerNode, Word, Word]] = [(self.root, (), ())]
        while waiting:
            node, word, outputs = waiting.pop()
            if not node.then and word:
                yield word, outputs
            waiting.extend((each, (*word, letter), (*outputs, each.output)) for letter, each in node.then.items())


class AnswerFile:
    """The answers of earlier runs; a missing file has none.

    `about` are the facts on which the answers depend, by name. `unused` is the reason why the answers can't be used, or
    "", and `used` says that they are. `runs` counts the runs with these answers, and `machine` is the learned one.
    Raises CommandError if the file is another one, and OSError.
    """

    def __init__(self, file: Path, about: Mapping[str, object]) -> None:
        self.unused = ""
        self.used = False
        self.runs = 0
        self.answers = AnswerTree()
        self.machine: Machine | None = None
        self._file, self._about = file, json.loads(json.dumps(about))
        if not file.absolute().parent.is_dir():
            raise CommandError(f"{file}: there is no such folder")
        if file.exists():
            try:
                self._load(json.loads(file.read_text("utf-8")))
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                detail = f"{type(error).__name__}: {error}"
                raise CommandError(
                    f"{file} is no file of cbspec learn --cache ({detail}); delete it, or name another one"
                ) from None

    def _load(self, data: Any) -> None:  # noqa: ANN401 - any JSON value
        if not str(data["format"]).startswith(_FORMAT.rstrip("0123456789")):
            raise ValueError(f"format {data['format']}")
        if data["format"] != _FORMAT:
            self.unused = f"its format is {data['format']}, and that of this kit {_FORMAT}"
            return
        for name, value in self._about.items():
            if data["about"][name] != value:
                self.unused = f"its {name}: {json.dumps(data['about'][name])}; now: {json.dumps(value)}"
                return
        inputs, outputs = data["about"]["inputs"], data["outputs"]
        for places in data["words"]:
            self.answers.add([inputs[n] for n in places[::2]], [outputs[n] for n in places[1::2]])
        self.runs = int(data["runs"])
        self.machine = None if data["machine"] is None else msgspec.convert(data["machine"], MachineData).machine

    def differs(self, asked: Iterable[tuple[Word, Word]]) -> bool:
        """Compare answers of the relay with those of the file; if one differs, `unused` says which."""
        for word, outputs in asked:
            for place, (now, then) in enumerate(zip(outputs, self.answers.known(word), strict=False)):
                if now != then:
                    steps = ", ".join(word[:place])
                    self.used = False
                    self.unused = f"the relay has changed: after [{steps}], {word[place]} draws {now}; before: {then}"
                    return True
        return False

    def write(self, answers: AnswerTree, machine: Machine | None) -> None:
        """Replace the file, unless learning ended before its answers could be used. Raises OSError."""
        if self.runs and not (self.used or self.unused):
            return
        words = list(answers.observed())
        outputs = {each: n for n, each in enumerate(dict.fromkeys(chain.from_iterable(o for _, o in words)))}
        inputs = {each: n for n, each in enumerate(self._about["inputs"])}
        data = {
            "format": _FORMAT,
            "about": self._about,
            "runs": 1 if self.unused else self.runs + 1,
            "machine": None if machine is None else msgspec.to_builtins(MachineData.of(machine)),
            "outputs": list(outputs),
            "words": [
                [n for letter, output in zip(*pair, strict=True) for n in (inputs[letter], outputs[output])]
                for pair in words
            ],
        }
        part = self._file.with_name(f"{self._file.name}.new")
        part.write_text(json.dumps(data, separators=(",", ":")) + "\n", "utf-8")
        part.replace(self._file)
