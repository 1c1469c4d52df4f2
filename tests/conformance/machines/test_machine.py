"""Machines as data: their canonical form, what tells two apart, files, and pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.catalogue.requirements import Level
from cbspec.errors import CommandError
from cbspec_conformance.learning.learner import separating
from cbspec_conformance.machines.drawing import as_svg
from cbspec_conformance.machines.machine import (
    Difference,
    Machine,
    Word,
    distinctions,
    dump_machine,
    load_machine,
    machine_of,
)
from cbspec_conformance.machines.sketch import as_dot, as_mermaid

INPUTS = ("a", "b", "c")


@st.composite
def machines(draw: st.DrawFn, most: int = 6) -> Machine:
    """Draw a machine of up to `most` states."""
    count = draw(st.integers(1, most))
    step = st.tuples(st.sampled_from("xyz"), st.integers(0, count - 1))
    edges = {(state, letter): draw(step) for state in range(count) for letter in INPUTS}
    return machine_of(INPUTS, 0, lambda state, letter: edges[state, letter])


WORDS = st.lists(st.sampled_from(INPUTS), max_size=12).map(tuple)


@given(machines(), machines(), WORDS)
def test_machines_are_equal_if_and_only_if_no_word_tells_them_apart(one: Machine, other: Machine, word: Word) -> None:
    found = distinctions(one, other)
    assert (one == other) is (not found)
    for each in found:
        assert (each.outputs, each.others) == (one.run(each.word), other.run(each.word))
        assert each.outputs[:-1] == each.others[:-1]
        assert each.outputs[-1] != each.others[-1]
    if one.run(word) != other.run(word):
        assert min(len(each.word) for each in found) <= len(word)


@given(machines(), WORDS)
def test_the_smallest_machine_reaches_each_state_by_a_shortest_word(machine: Machine, word: Word) -> None:
    again = machine_of(INPUTS, 0, lambda state, letter: machine.edges[state, letter])
    assert again == machine
    state = 0
    for letter in word:
        state = machine.edges[state, letter][1]
    assert len(machine.access[state]) <= len(word)
    for letter in separating(machine):
        assert all(machine.edges[state, letter][1] == state for state in machine.states)


@given(machines(), st.data())
def test_a_picture_shows_every_state_and_marks_the_differences(machine: Machine, data: st.DataObject) -> None:
    word = tuple(data.draw(st.lists(st.sampled_from(INPUTS), min_size=1, max_size=4)))
    level = data.draw(st.sampled_from(Level))
    difference = Difference(word, machine.run(word), "w", "CB-TUN-003", level)
    svg = ET.fromstring(as_svg(machine, [difference]))  # noqa: S314 - our own
    texts = list(svg.iter("{http://www.w3.org/2000/svg}text"))
    titles = [each.text for each in texts if each.get("class") == "title"]
    assert titles == list(machine.names)
    marked = [each for each in texts if each.get("class") == level.value.lower()]
    assert any(str(each.text).startswith(f"{level}: ") for each in marked)
    mermaid, dot = as_mermaid(machine, [difference]), as_dot(machine, [difference])
    assert f"{level}! " in mermaid
    assert all(f"s{state}" in text for state in machine.states for text in (mermaid, dot))


def test_a_file_gives_the_same_machine_and_another_file_is_refused(tmp_path: Path) -> None:
    machine = machine_of(INPUTS, 0, lambda state, letter: (f"{state}{letter}", (state + 1) % 3), "a relay")
    file = tmp_path / "machine.json"
    file.write_text(dump_machine(machine))
    loaded = load_machine(file)
    assert (loaded, loaded.names, loaded.origin) == (machine, machine.names, "a relay")
    for text in ("", "[]", "{}", '{"format": "cbspec-machine-2"}', '{"format": "cbspec-machine-1", "inputs": []}'):
        file.write_text(text)
        with pytest.raises(CommandError, match=r"machine\.json"):
            load_machine(file)
