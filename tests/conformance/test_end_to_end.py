"""The suite against the simulator, each a process of its own. `make adequacy` judges every variation of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec.cli import main
from cbspec_conformance.reporting.fingerprint import compare, read_fingerprint
from cbspec_simulator import OPEN_POINTS
from tests.conformance.commands import Done, simulator, verdict, verify
from tests.conformance.reporting.test_judge_command import table


def assert_green(done: Done) -> None:
    assert done.code == 0, done.text
    assert [verdict(done.text, column) for column in ("failed", "inconclusive", "warned")] == [0, 0, 0]
    assert "Mistakes of the kit" not in done.text


@pytest.mark.timeout(240)
def test_a_whole_run_passes_and_its_transcript_gives_the_same_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := tmp_path / "empty").mkdir()
    options = ("--transport", "websocket", "--transcript", str(tmp_path / "run.jsonl"), "--effort", "quick", "-n", "2")
    done = verify(*options, folder=folder, patience=200)
    assert_green(done)
    assert "(websocket" in done.text
    testable = sum(not row.untestable for row in REQUIREMENTS.values())
    assert sum(verdict(done.text, column) for column in ("passed", "not exercised", "observed")) == testable
    assert verdict(done.text, "passed") >= sum(row.level is Level.MUST for row in REQUIREMENTS.values())
    assert list(folder.iterdir()) == []
    assert main(["judge", str(tmp_path / "run.jsonl")]) == 0
    assert table(capsys.readouterr().out) == table(done.text)


POINT = "subject-not-required"


def test_an_open_point_changes_only_its_row_of_the_fingerprint(tmp_path: Path) -> None:
    """One run has two processes, the other one: their number changes nothing."""
    selected = ("--only", f"CB-HEL-001,CB-AUT-001,CB-TUN-001,{OPEN_POINTS[POINT].requirement}", "--effort", "quick")
    files = [tmp_path / name for name in ("clean.json", "point.json")]
    assert_green(verify(*selected, "-n", "2", "--fingerprint", str(files[0]), folder=tmp_path))
    with simulator(tmp_path, "--open-point", POINT) as profile:
        assert_green(verify("--target-profile", str(profile), *selected, "--fingerprint", str(files[1])))
    changes = compare(*map(read_fingerprint, files))
    assert {change.what for change in changes} == {OPEN_POINTS[POINT].requirement}


def test_no_refusal_passes_if_the_relay_accepts_none_of_the_tokens(tmp_path: Path) -> None:
    with simulator(tmp_path) as profile:
        lines = profile.read_text().splitlines()
        known = [line for line in lines if line.startswith(("secret", "development"))]
        wrong = 'secret = "not-the-secret-of-this-relay-but-another"'
        profile.write_text("\n".join(wrong if line == known[0] else line for line in lines if line not in known[1:]))
        only = "CB-AUT-005,CB-AUT-008,CB-TUN-003,CB-TUN-010"
        done = verify("--target-profile", str(profile), "--effort", "quick", "--only", only)
    assert done.code == 1
    assert "the suite's tokens are not accepted" in done.text
    assert (verdict(done.text, "passed"), verdict(done.text, "inconclusive")) == (0, only.count("CB"))
