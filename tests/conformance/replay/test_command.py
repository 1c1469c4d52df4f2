"""`cbspec replay`: output and exit codes, and the case of a failure run again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec_conformance.failures.failure import Failure, write_all
from cbspec_conformance.replay.command import exit_code
from cbspec_conformance.replay.replay import ReplayOutcome, ReplayVerdict, rerun
from tests.conformance.commands import run, simulator, verify

GONE = Failure("CB-TUN-007", "relay/gone.py::test_gone", "127.0.0.1:1", "tcp", "an error", "a tunnel")


def test_a_folder_of_failures_is_replayed(tmp_path: Path) -> None:
    found = tmp_path / "found"
    (tmp_path / "clean").mkdir()
    with simulator(tmp_path, "--deviation", "local-port-fraction-accepted") as profile:
        narrow = ("-k", "invalid_member_is_refused and TUN-007", "--effort", "quick")
        assert verify("--target-profile", str(profile), *narrow, "--failures", str(found)).code == 1
        assert [path.name for path in found.iterdir()] == ["CB-TUN-007-1.json"]
        script = ("--export", str(tmp_path / "script.py"))
        wrong = run("-m", "cbspec", "replay", str(found), "--target-profile", str(profile), *script)
    assert (wrong.code, "still failing: expected an error with code" in wrong.text) == (1, True), wrong.text
    assert '"local_port":3389.5' in wrong.text
    assert "script.py: shows the failure: python3 " in wrong.text
    assert "CB-TUN-007 (MUST)" in (tmp_path / "script.py").read_text()
    write_all({"CB-TUN-007-2.json": GONE}, tmp_path / "gone")
    with simulator(tmp_path / "clean") as profile:
        clean = run("-m", "cbspec", "replay", str(found), str(tmp_path / "gone"), "--target-profile", str(profile))
    assert clean.code == 3, clean.text
    assert "fixed: its case passes" in clean.text
    assert "can't tell: its case cannot run again: this kit has no such case" in clean.text


def test_without_a_relay_there_is_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all({"CB-TUN-007-1.json": GONE}, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert main(["replay", str(tmp_path), "--target", f"127.0.0.1:{port}"]) == 3
    assert "can't tell: nothing to judge: no connection to" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("none.json",), "none.json: No such file"),
        (("empty",), "holds no failure file"),
        (("CB-1.json", "--target", "here"), "--target: "),
        (("CB-1.json", "--target-profile", "none.toml"), "none.toml"),
        (("CB-1.json",), "no relay is named"),
        (("CB-1.json", "--target", "127.0.0.1:9", "--export", "CB-1.json"), "--export: CB-1.json exists"),
        ((".", "--target", "127.0.0.1:9", "--export", "x.py"), "name one file"),
    ],
)
def test_wrong_usage_is_reported_in_a_line(
    arguments: tuple[str, ...],
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_all({"CB-1.json": GONE, "CB-2.json": GONE}, tmp_path)
    assert main(["replay", *arguments]) == 4
    assert text in capsys.readouterr().err


def test_a_remaining_failure_decides_the_exit_code() -> None:
    fixed, failing, unclear = (
        ReplayOutcome(verdict, "") for verdict in (ReplayVerdict.FIXED, ReplayVerdict.FAILING, ReplayVerdict.UNCLEAR)
    )
    assert exit_code([fixed, fixed]) == 0
    assert exit_code([fixed, unclear]) == 3
    assert exit_code([unclear, failing, fixed]) == 1


def failure(requirement: str, case: str, *options: str) -> Failure:
    return Failure(requirement, case, "127.0.0.1:1", "tcp", "an error", "none", options=options)


def test_each_failure_gets_the_verdict_of_its_case(tmp_path: Path) -> None:
    file = "relay/message_types/test_3_tunnel_management.py"
    with simulator(tmp_path) as profile:
        fixed, preflight, elsewhere, gone = rerun(
            [
                failure("CB-TUN-012", f"{file}::test_invalid_member_is_refused[CB-TUN-012]"),
                failure("CB-HEL-002", "preflight"),
                failure("CB-MSG-004", f"{file}::test_invalid_member_is_refused[CB-TUN-012]"),
                failure("CB-TUN-012", f"{file}::test_gone", "--seed=1"),
            ],
            ["--target-profile", str(profile)],
        )
    assert [outcome.verdict for outcome in (fixed, preflight, elsewhere)] == [ReplayVerdict.FIXED] * 3
    assert (gone.verdict, "no such case" in gone.reason) == (ReplayVerdict.UNCLEAR, True), gone.reason
