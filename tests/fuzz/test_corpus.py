"""Every case of the corpus again, without the fuzzer: what was found once stays mended."""

from __future__ import annotations

import pytest

from tests.fuzz import corpus
from tests.fuzz.target import load
from tests.fuzz.targets import NAMES

CASES = [
    pytest.param(name, case, id=f"{name}-{number}")
    for name in NAMES
    for number, case in enumerate(corpus.read(name), 1)
]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_case_breaks_nothing(name: str, case: bytes) -> None:
    load(name).check(case)


@pytest.mark.parametrize("name", NAMES)
def test_every_target_has_cases_and_stands_nothing_and_its_own_words(name: str) -> None:
    target = load(name)
    assert corpus.read(name)
    for case in (b"", *target.words):
        for first in range(8):
            target.check(case)
            target.check(bytes((first, 3)) + case)


def test_cases_are_written_as_they_are_read(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    cases = [b"", b"\n", b"\\n", b"\xff\x00", b"a  ", '"ü"'.encode(), bytes(range(256))]
    corpus.write("any", [*cases, b"\n"])
    assert sorted(corpus.read("any")) == sorted(cases)


def test_every_file_belongs_to_a_target() -> None:
    assert {file.stem for file in corpus.FOLDER.iterdir()} == set(NAMES)
