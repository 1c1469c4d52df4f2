"""The committed sequences of deviations that break the order of messages."""

from __future__ import annotations

from cbspec.cli.explain import find_cases
from cbspec_conformance.relay.message_types.test_sequences import KNOWN
from tests.adequacy.runs import SUITE
from tests.adequacy.sequences import DEVIATIONS, FILE, written
from tests.repo.tree import text


def test_the_committed_file_holds_every_deviation() -> None:
    assert sorted(name for words in KNOWN.values() for name in words) == sorted(DEVIATIONS), (
        "run python -m tests.adequacy.sequences"
    )
    assert text(FILE) == written({each: {**words} for each, words in KNOWN.items()})


def test_the_sequences_of_every_requirement_are_played() -> None:
    case = next(each for each in find_cases(SUITE) if each.name == "test_known_sequences")
    assert {*case.requirements} == {*KNOWN}
