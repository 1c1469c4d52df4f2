"""Answers that are kept in a file for the next run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import assume, given, settings

from cbspec.errors import CommandError
from cbspec_conformance.learning.answers import AnswerFile, AnswerTree
from cbspec_conformance.learning.learner import learn
from cbspec_conformance.learning.queries import Queries
from cbspec_conformance.machines.machine import Machine, Word, distinctions
from tests.conformance.machines.test_machine import INPUTS, machines

ABOUT = {"relay": "127.0.0.1:1", "inputs": INPUTS}


class Modelled(Queries):
    """Queries of a relay that behaves like a machine."""

    def __init__(self, machine: Machine) -> None:
        nothing: Any = None
        super().__init__(nothing, cast("Any", SimpleNamespace(names=INPUTS)), time)
        self._machine = machine

    def _run(self, word: Word, *, patiently: bool = False) -> Word:
        self.made += 1
        return self._machine.run(word)


def learned(relay: Machine, known: Machine, file: Path) -> tuple[Machine, int, str]:
    """Learn a relay with a file; return its machine, the queries, and the reason why the file was not used."""
    queries, stored = Modelled(relay), AnswerFile(file, ABOUT)
    found = learn(queries, known, stored=stored)
    stored.write(queries.answers, found)
    return found, queries.made, stored.unused


@settings(max_examples=30)
@given(machines(3), machines(3), machines(3))
def test_a_relay_that_has_changed_is_never_taken_for_the_one_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, known: Machine, before: Machine, after: Machine
) -> None:
    assume(len(after.states) <= len(before.states))
    file = tmp_path_factory.mktemp("answers") / "file"
    first, asked, _ = learned(before, known, file)
    again, asked_again, unused = learned(before, known, file)
    assert (first, again, unused) == (before, before, "")
    assert asked_again < asked / 2
    assert AnswerFile(file, ABOUT).runs == 2
    changed, _, unused = learned(after, known, file)
    assert changed == after
    assert bool(distinctions(before, after)) is unused.startswith("the relay has changed: after [")


def test_a_file_of_another_relay_is_not_used_and_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    AnswerFile(file, ABOUT).write(AnswerTree(), None)
    assert AnswerFile(file, ABOUT).runs == 1
    other = AnswerFile(file, ABOUT | {"relay": "127.0.0.1:2"})
    assert (other.runs, other.unused) == (0, 'its relay: "127.0.0.1:1"; now: "127.0.0.1:2"')
    data = json.loads(file.read_text())
    file.write_text(json.dumps(data | {"format": "cbspec-answers-0"}))
    assert "cbspec-answers-0" in AnswerFile(file, ABOUT).unused
    for text in ("", "[]", "{}", '{"format": "cbspec-machine-1"}', json.dumps(data | {"words": [[9, 9]]})):
        file.write_text(text)
        with pytest.raises(CommandError, match=r"answers\.json is no file of cbspec learn --cache"):
            AnswerFile(file, ABOUT)
