"""The suite against the simulator, each a process of its own. `make adequacy` judges every variation of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec.cli import main
from cbspec_conformance.reporting.fingerprint import compare, read_fingerprint
from cbspec_simulator import DEVIATIONS, OPEN_POINTS
from tests.conformance.commands import Done, simulator, verdict, verify
from tests.conformance.reporting.test_judge_command import table

QUICK = ("--examples", "5")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the profile of a conforming relay."""
    with simulator(tmp_path_factory.mktemp("clean")) as profile:
        yield profile


def assert_green(done: Done) -> None:
    assert done.code == 0, done.text
    assert [verdict(done.text, column) for column in ("failed", "inconclusive", "warned")] == [0, 0, 0]
    assert "Mistakes of the kit" not in done.text


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
def test_a_whole_run_passes_and_its_transcript_gives_the_same_report(
    transport: str, clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := tmp_path / "empty").mkdir()
    target = ("--target-profile", str(clean), "-n", "2") if transport == "websocket" else ()
    options = ("--transport", transport, "--transcript", str(tmp_path / "run.jsonl"))
    done = verify(*target, *options, *QUICK, folder=folder)
    assert_green(done)
    assert f"({transport}" in done.text
    testable = sum(not row.untestable for row in REQUIREMENTS.values())
    assert sum(verdict(done.text, column) for column in ("passed", "not exercised", "observed")) == testable
    assert verdict(done.text, "passed") >= sum(row.level is Level.MUST for row in REQUIREMENTS.values())
    assert list(folder.iterdir()) == []
    assert main(["judge", str(tmp_path / "run.jsonl")]) == 0
    assert table(capsys.readouterr().out) == table(done.text)


@pytest.mark.parametrize("deviation", ["hello-version-missing", "error-quotes-token", "tls-1.2-accepted"])
def test_a_deviation_fails_by_its_own_requirement(deviation: str, tmp_path: Path) -> None:
    row = REQUIREMENTS[DEVIATIONS[deviation].requirement]
    with simulator(tmp_path, "--deviation", deviation) as profile:
        done = verify("--target-profile", str(profile), "--only", row.id, "--fail-on", "should", *QUICK)
    assert done.code == 1, done.text
    assert f"did not pass: {row.id}" in done.text
    assert verdict(done.text, "failed" if row.level is Level.MUST else "warned") == 1
    assert all(text in " ".join(done.text.split()) for text in (row.demand, "expected", "seen"))


POINT = "subject-not-required"
SHOWING = ("--only", f"CB-HEL-001,CB-AUT-001,CB-AUT-005,CB-TUN-001,{OPEN_POINTS[POINT].requirement}", *QUICK)


def test_an_open_point_changes_only_its_row_of_the_fingerprint(clean: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.json", "two.json", "point.json")]
    for file, options in ((files[0], ()), (files[1], ("-n", "2"))):
        assert_green(verify("--target-profile", str(clean), *SHOWING, "--fingerprint", str(file), *options))
    assert files[0].read_bytes() == files[1].read_bytes()
    with simulator(tmp_path, "--open-point", POINT) as profile:
        assert_green(verify("--target-profile", str(profile), *SHOWING, "--fingerprint", str(files[2])))
    changes = compare(read_fingerprint(files[0]), read_fingerprint(files[2]))
    assert {change.what for change in changes} == {OPEN_POINTS[POINT].requirement}


def test_no_refusal_passes_if_the_relay_accepts_none_of_the_tokens(clean: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    lines = clean.read_text().splitlines()
    known = [line for line in lines if line.startswith(("secret", "development"))]
    wrong = 'secret = "not-the-secret-of-this-relay-but-another"'
    other.write_text("\n".join(wrong if line == known[0] else line for line in lines if line not in known[1:]))
    done = verify("--target-profile", str(other), *QUICK, "-k", "authentication or tunnel_management")
    assert done.code == 1
    assert "the suite's tokens are not accepted" in done.text
    assert verdict(done.text, "passed") == 0
    assert verdict(done.text, "inconclusive") > 20
