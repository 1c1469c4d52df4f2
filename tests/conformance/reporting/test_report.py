"""The report on the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec.profile.profile import Endpoint, Profile, TargetSettings
from cbspec_conformance.judging.verdicts import Finding, Outcome, judge_run
from cbspec_conformance.reporting.report import RunResult, write_report
from cbspec_conformance.target.facts import Facts

PROFILE = Profile(target=TargetSettings(address=Endpoint("127.0.0.1", 8080)))


def run(*findings: Finding, **switches: bool) -> RunResult:
    """Return a run with some findings."""
    named = {finding.requirement for finding in findings}
    return RunResult(judge_run(REQUIREMENTS, findings, named), PROFILE, Facts(websocket=True), **switches)  # type: ignore[arg-type] # the switches are all booleans


def written(of: RunResult) -> str:
    """Return the report's text."""
    lines: list[str] = []
    write_report(of, lambda text, **markup: lines.append(text))
    return "\n".join(lines)


def everything_passed(but: str = "") -> list[Finding]:
    """Return a passing finding for each requirement except one."""
    return [
        Finding(row.id, Outcome.OBSERVED if row.level is Level.INFO else Outcome.PASSED, seen="accepted")
        for row in REQUIREMENTS.values()
        if not row.untestable and row.id != but
    ]


FAILURE = Finding(
    "CB-HEL-002",
    Outcome.FAILED,
    "relay/message_types/test_1_hello.py::test_version",
    expected="a version that is a string",
    seen="version is a number",
    exchange='  0.1 #1 -> {"type":"hello"}\n  0.2 #1 <- {"type":"hello_response"}',
)


def test_a_green_run_counts_every_chapter() -> None:
    done = run(*everything_passed())
    text = written(done)
    assert done.green
    assert "127.0.0.1:8080 (tcp, WebSocket too) passed" in text
    assert "partial" not in text
    levels = [row.level for row in REQUIREMENTS.values() if not row.untestable]
    observed = levels.count(Level.INFO)
    totals = ["all", str(len(levels) - observed), "·", "·", "·", "·", str(observed)]
    assert totals in [line.split() for line in text.splitlines()]
    assert f"{observed} behaviours observed" in text


def test_a_failure_shows_demand_case_expectation_and_exchange() -> None:
    done = run(*everything_passed(), FAILURE)
    text = written(done)
    assert not done.green
    for part in (
        REQUIREMENTS["CB-HEL-002"].demand,
        FAILURE.case,
        FAILURE.expected,
        FAILURE.seen,
        *FAILURE.exchange.splitlines(),
    ):
        assert part in text
    assert "did not pass: CB-HEL-002" in text
    assert text.index("Failed") < text.index("Requirements by chapter")


def test_a_reason_is_given_once_and_names_all_its_requirements() -> None:
    reason = ("a word " * 60).strip()
    lines = written(run(*[Finding(f"CB-LIM-00{n}", Outcome.NOT_EXERCISED, reason=reason) for n in (1, 2, 3)]))
    assert f"CB-LIM-001, CB-LIM-002, CB-LIM-003: {reason}" in " ".join(lines.split())
    assert max(map(len, lines.splitlines())) <= 130


def test_equal_failures_are_shown_once_and_the_number_is_limited() -> None:
    assert written(run(*[FAILURE] * 5)).count("    seen ") == 1
    kinds = [Finding("CB-HEL-002", Outcome.FAILED, f"case {n}", seen=f"kind {n}", expected="x") for n in range(9)]
    text = written(run(*kinds))
    assert "kind 2" in text
    assert "kind 3" not in text
    assert "and 6 more" in text


@pytest.mark.parametrize(
    ("finding", "switches", "words"),
    [
        (Finding("CB-HEL-004", Outcome.WARNED, "case"), {}, ""),
        (Finding("CB-HEL-004", Outcome.WARNED, "case"), {"fail_on_should": True}, "did not pass: CB-HEL-004"),
        (Finding("CB-LIM-001", Outcome.NOT_EXERCISED, reason="give x"), {"require_all": True}, "CB-LIM-001"),
        (FAILURE, {"interrupted": True}, "the run was interrupted"),
    ],
)
def test_a_finding_fails_the_run_by_its_level_and_the_options(
    finding: Finding, switches: dict[str, bool], words: str
) -> None:
    done = run(*everything_passed(but=finding.requirement), finding, **switches)
    assert done.green is not bool(words)
    assert words in written(done)


def test_an_empty_run_or_an_error_of_the_kit_is_no_pass() -> None:
    assert not run().green
    assert "nothing was judged" in written(run())
    done = replace(run(*everything_passed()), kit_errors=["case\nKitError: oops"])
    assert not done.green
    assert "KitError: oops" in written(done)
