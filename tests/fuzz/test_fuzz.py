"""The corpus as regression tests, a short run of each target, and a planted failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz import target
from tests.fuzz.target import FOLDER, load, read_corpus, write_corpus
from tests.fuzz.targets import LIMITS

linux = pytest.mark.skipif(sys.platform != "linux", reason="atheris has wheels for Linux only")


@pytest.fixture(autouse=True)
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Save failing inputs outside the working directory."""
    monkeypatch.setattr(command, "FOUND", tmp_path / "found")
    return tmp_path / "found"


@pytest.mark.parametrize("name", LIMITS)
def test_no_input_of_the_corpus_fails(name: str) -> None:
    check, corpus = load(name), read_corpus(name)
    assert corpus
    for case in corpus:
        check(case)
        for first in range(8):
            check(bytes((first, 3)) + case)


def test_each_corpus_and_dictionary_belongs_to_a_target() -> None:
    for folder in ("corpus", "dictionaries"):
        assert {file.stem for file in (FOLDER / folder).iterdir()} == set(LIMITS)


def test_a_corpus_is_read_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "FOLDER", tmp_path)
    (tmp_path / "corpus").mkdir()
    cases = [b"", b"\n", b"\\n", b"\xff\x00", b"a  ", '"ü"'.encode(), bytes(range(256))]
    write_corpus("any", [*cases, b"\n"])
    assert sorted(read_corpus("any")) == sorted(cases)


@linux
@pytest.mark.parametrize("name", LIMITS)
def test_a_short_run_passes(name: str, found: Path) -> None:
    share, longest = LIMITS[name]
    assert command.fuzz(name, 300 * share, 1, longest=longest)  # the same inputs each time
    assert list(found.iterdir()) == []


@linux
def test_a_planted_failure_is_found_and_its_input_saved(found: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--cases", "20000", "--seed", "1", "--target", "tests.fuzz.planted"]) == 1
    assert "planted failure" in capfd.readouterr().out
    (saved,) = found.iterdir()
    with pytest.raises(AssertionError, match="planted"):
        load("tests.fuzz.planted")(saved.read_bytes())
