"""The corpus as regression tests, a short run of each target, and a planted failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.target import FOLDER, TARGETS, load, read_corpus

linux = pytest.mark.skipif(sys.platform != "linux", reason="atheris has wheels for Linux only")


@pytest.fixture(autouse=True)
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Save failing inputs outside the working directory."""
    monkeypatch.setattr(command, "FOUND", tmp_path / "found")
    return tmp_path / "found"


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_of_the_corpus_fails(name: str) -> None:
    check, corpus = load(name), read_corpus(name)
    assert corpus
    assert (FOLDER / "dictionaries" / f"{name}.txt").exists()
    for case in corpus:
        check(case)
        for first in range(4):
            check(bytes((first, 3)) + case)


@linux
def test_a_short_run_passes(found: Path) -> None:
    assert command.main(["--cases", "2000", "--seed", "1", "--target", "framing", "--target", "tokens"]) == 0
    assert list(found.iterdir()) == []


@linux
def test_a_failure_is_found_and_its_input_saved(
    found: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (found.parent / "planted").mkdir()
    module = "def check(data): assert data[:1] != b'n', 'planted failure'\n"
    (found.parent / "planted" / "target.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(found.parent))
    assert command.main(["--cases", "20000", "--seed", "1", "--target", "planted.target"]) == 1
    assert "planted failure" in capfd.readouterr().out
    (saved,) = found.iterdir()
    assert saved.read_bytes()[:1] == b"n"
