"""The fuzzer itself: a short run of every target finds nothing, and what is planted is found, saved and named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz import run as runs
from tests.fuzz.run import Outcome, run
from tests.fuzz.target import load
from tests.fuzz.targets import NAMES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="atheris has no wheels elsewhere")
CASES = 300


@pytest.fixture(autouse=True)
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is found out of the working directory."""
    monkeypatch.setattr(runs, "FOUND", tmp_path / "found")
    return tmp_path / "found"


def tell(_: Outcome) -> None:
    """Hear how far a run is."""


@pytest.mark.parametrize("name", NAMES)
def test_a_short_run_finds_nothing(name: str) -> None:
    # The same seed each time: what another one would find is for `make fuzz`.
    outcome = run(name, CASES * load(name).share, 1, tell)
    assert not outcome.wrong, outcome
    assert outcome.kept == []
    assert outcome.cases
    assert outcome.peak < runs.MEMORY_MIB


@pytest.mark.parametrize(("planted", "saved", "said"), [
    ("CRASH", "CRASH-crash-", "this is what was planted"),
    ("HANG", "HANG-timeout-", "libFuzzer: timeout"),
    ("HOARD", "HOARD-oom-", "libFuzzer: out-of-memory"),
    ("LEAK", "LEAK", "memory grew from "),
])  # fmt: skip
def test_what_is_planted_is_found_saved_and_named(
    planted: str, saved: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "CASE_SECONDS", 1)
    monkeypatch.setattr(runs, "MEMORY_MIB", 400)
    assert command.main(["--cases", "20000", "--seed", "1", "--target", f"tests.fuzz.planted:{planted}"]) == 1
    shown = capsys.readouterr().out
    assert said in shown
    assert saved in shown
    assert "1 of 1 targets broke" in shown


def test_a_saved_input_is_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"no")
    with pytest.raises(AssertionError, match="planted"):
        command.main(["--replay", "tests.fuzz.planted:CRASH", str(file)])
    file.write_bytes(b"yes")
    assert command.main(["--replay", "tests.fuzz.planted:CRASH", str(file)]) == 0
