"""The corpus as regression tests, and a short run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.target import FOLDER, TARGETS, load, read_corpus


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_of_the_corpus_fails(name: str) -> None:
    check, corpus = load(name), read_corpus(name)
    assert corpus
    assert (FOLDER / "dictionaries" / f"{name}.txt").exists()
    for case in corpus:
        check(case)
        for first in range(4):
            check(bytes((first, 3)) + case)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="atheris has wheels for Linux only")
def test_a_short_run_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "FOUND", tmp_path / "found")
    assert command.main(["--cases", "2000", "--seed", "1", "--target", "framing", "--target", "tokens"]) == 0
    assert list((tmp_path / "found").iterdir()) == []
