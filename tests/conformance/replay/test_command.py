"""`cbspec replay`: output and exit codes, and the case of a failure run again."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli import main
from cbspec.profile.profile import Profile
from cbspec_conformance.failures.failure import Failure, write_all
from cbspec_conformance.judging.verdicts import Finding, Outcome, Verdict, judge_run
from cbspec_conformance.replay import replay
from cbspec_conformance.replay.command import exit_code
from cbspec_conformance.replay.replay import ReplayOutcome, ReplayVerdict, rerun
from tests.conformance.commands import run, simulator, verify

GONE = Failure("CB-TUN-007", "relay/gone.py::test_gone", "127.0.0.1:1", "tcp", "an error", "a tunnel")


def test_a_folder_of_failures_is_replayed(tmp_path: Path) -> None:
    found = tmp_path / "found"
    (tmp_path / "clean").mkdir()
    with simulator(tmp_path, "--deviation", "local-port-fraction-accepted") as profile:
        narrow = ("-k", "invalid_member_is_refused and TUN-007", "--effort", "quick")
        assert verify("--profile", str(profile), *narrow, "--failures", str(found)).code == 1
        assert [path.name for path in found.iterdir()] == ["CB-TUN-007-1.json"]
        script = ("--export", str(tmp_path / "script.py"))
        wrong = run("-m", "cbspec", "replay", str(found), "--profile", str(profile), *script)
    assert (wrong.code, "still failing: as recorded, expected an error with code" in wrong.text) == (1, True), (
        wrong.text
    )
    assert '"local_port":3389.5' in wrong.text
    assert "script.py: shows the failure: python3 " in wrong.text
    assert "CB-TUN-007 (MUST)" in (tmp_path / "script.py").read_text()
    write_all({"CB-TUN-007-2.json": GONE}, tmp_path / "gone")
    with simulator(tmp_path / "clean") as profile:
        clean = run("-m", "cbspec", "replay", str(found), str(tmp_path / "gone"), "--profile", str(profile))
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
        (("CB-1.json", "--profile", "none.toml"), "none.toml"),
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


CASE = "relay/error_codes/test_tenant_limit_exceeded.py::test_whole_limit_is_served[CB-LIM-001]"


@pytest.mark.parametrize(
    ("earlier", "narrowed", "afterwards", "verdict", "words"),
    [
        (0, False, Outcome.FAILED, ReplayVerdict.FIXED, "its case passes"),
        (9, False, Outcome.PASSED, ReplayVerdict.FIXED, "alone and after the cases before it"),
        (9, False, Outcome.FAILED, ReplayVerdict.FAILING, "after the cases before it its case fails"),
        (9, False, Outcome.INCONCLUSIVE, ReplayVerdict.UNCLEAR, "9 cases ran before its own"),
        (9, True, Outcome.PASSED, ReplayVerdict.UNCLEAR, "with the same selectors"),
    ],
)
def test_a_failure_that_may_depend_on_earlier_cases_is_replayed_after_them(
    earlier: int,
    narrowed: bool,
    afterwards: Outcome,
    verdict: ReplayVerdict,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def results(arguments: Sequence[str]) -> list[Verdict]:
        outcome = Outcome.PASSED if arguments[-1].endswith(CASE) else afterwards
        found = Finding("CB-LIM-001", outcome, CASE, "why")
        return judge_run(REQUIREMENTS, [found], ["CB-LIM-001"])

    monkeypatch.setattr(replay, "_run", results)
    leak = Failure("CB-LIM-001", CASE, "127.0.0.1:1", "tcp", "a", "b", earlier=earlier, narrowed=narrowed)
    (outcome,) = replay.replay([leak], Profile(), [])
    assert (outcome.verdict, words in outcome.reason) == (verdict, True), outcome.reason


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (Outcome.FAILED, "its case fails: expected own; seen: own"),
        (
            Outcome.PASSED,
            "another case of its requirement, relay/x.py::test_x, fails: expected other; seen: other",
        ),
    ],
)
def test_the_reason_is_about_the_failures_own_case_if_it_fails(
    own: Outcome, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Finding("CB-LIM-001", Outcome.FAILED, "relay/x.py::test_x", "", "other", "other")
    found = [other, Finding("CB-LIM-001", own, CASE, "", "own", "own")]
    result = judge_run(REQUIREMENTS, found, ["CB-LIM-001"])
    monkeypatch.setattr(replay, "_run", lambda arguments: result)
    (outcome,) = replay.replay([failure("CB-LIM-001", CASE)], Profile(), [])
    assert (outcome.verdict, outcome.reason) == (ReplayVerdict.FAILING, words)


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
