"""The report for people, a line at a time."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import CHAPTERS, REQUIREMENTS, Level
from cbspec.profile.profile import Endpoint, Profile, TargetSettings
from cbspec_conformance.judging.findings import Finding, Outcome
from cbspec_conformance.judging.verdicts import TIME_UP, judge_run
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
    assert all("\n" not in line for line in lines)
    return "\n".join(lines)


def everything_passed() -> list[Finding]:
    return [
        Finding(row.id, Outcome.OBSERVED if row.level is Level.INFO else Outcome.PASSED, seen="accepted")
        for row in REQUIREMENTS.values()
        if not row.untestable
    ]


FAILURE = Finding(
    "CB-HEL-002",
    Outcome.FAILED,
    "relay/message_types/test_1_hello.py::test_version",
    expected="a version that is a string",
    seen="version is a number",
    exchange='  0.1 #1 -> {"type":"hello"}\n  0.2 #1 <- {"type":"hello_response"}',
)


def test_a_green_run_says_so_and_counts_every_chapter() -> None:
    done = run(*everything_passed())
    text = written(done)
    assert done.green
    assert "127.0.0.1:8080 (tcp, WebSocket too) passed" in text
    assert "partial" not in text
    for chapter, title in CHAPTERS.items():
        assert f"CB-{chapter}  {title}"[:42] in text
    levels = [row.level for row in REQUIREMENTS.values() if not row.untestable]
    observed = levels.count(Level.INFO)
    totals = ["all", str(len(levels) - observed), "·", "·", "·", "·", str(observed)]
    assert totals in [line.split() for line in text.splitlines()]
    assert f"{observed} behaviours observed" in text
    for row in REQUIREMENTS.values():
        assert not row.untestable or row.id in text


def test_a_failure_shows_what_was_asked_expected_and_seen_and_the_exchange() -> None:
    done = run(*everything_passed(), FAILURE)
    text = written(done)
    assert not done.green
    for part in (REQUIREMENTS["CB-HEL-002"].demand, FAILURE.case, FAILURE.expected, FAILURE.seen):
        assert part in text
    for line in FAILURE.exchange.splitlines():
        assert line in text
    assert "did not pass: CB-HEL-002" in text
    assert text.index("Failed") < text.index("Requirements by chapter")


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.WARNED, Outcome.INCONCLUSIVE, Outcome.NOT_EXERCISED])
def test_every_id_that_did_not_pass_is_named(outcome: Outcome) -> None:
    findings = [
        Finding(row.id, outcome, "case", f"reason {row.id}") for row in REQUIREMENTS.values() if not row.untestable
    ]
    text = written(run(*findings))
    assert all(finding.requirement in text for finding in findings)


def test_reasons_are_told_once_with_all_that_they_concern() -> None:
    reason = "give tenants.tunnel_limit"
    findings = [Finding(f"CB-LIM-00{n}", Outcome.NOT_EXERCISED, reason=reason) for n in (1, 2, 3)]
    text = written(run(*findings))
    assert text.count(reason) == 1
    assert f"CB-LIM-001, CB-LIM-002, CB-LIM-003: {reason}" in text


def test_failures_alike_are_shown_once_and_many_are_cut() -> None:
    text = written(run(*[FAILURE] * 5))
    assert text.count("    seen ") == 1
    kinds = [Finding("CB-HEL-002", Outcome.FAILED, f"case {n}", seen=f"kind {n}", expected="x") for n in range(9)]
    text = written(run(*kinds))
    assert "kind 2" in text
    assert "kind 3" not in text
    assert "and 6 more" in text


def test_a_warning_is_no_failure_unless_it_is_asked_for() -> None:
    findings = [*everything_passed(), Finding("CB-HEL-004", Outcome.WARNED, "case", expected="a", seen="b")]
    assert run(*findings).green
    strict = run(*findings, fail_on_should=True)
    assert not strict.green
    assert "did not pass: CB-HEL-004" in written(strict)


def test_what_was_not_exercised_fails_only_where_all_is_required() -> None:
    findings = [f for f in everything_passed() if f.requirement != "CB-LIM-001"]
    missing = Finding("CB-LIM-001", Outcome.NOT_EXERCISED, reason="give tenants.tunnel_limit")
    assert run(*findings, missing).green
    assert not run(*findings, missing, require_all=True).green


def test_time_up_is_no_pass() -> None:
    findings = [f for f in everything_passed() if f.requirement != "CB-HEL-001"]
    done = run(*findings, Finding("CB-HEL-001", Outcome.NOT_EXERCISED, reason=TIME_UP))
    assert not done.green
    assert TIME_UP in written(done)


def test_a_partial_run_says_that_it_is_one() -> None:
    text = written(run(Finding("CB-HEL-001", Outcome.PASSED)))
    assert "A partial run" in text


def test_nothing_judged_is_no_pass() -> None:
    done = run()
    assert not done.green
    assert "nothing was judged" in written(done)


def test_a_mistake_of_the_kit_is_shown_and_spoils_the_run() -> None:
    lines: list[str] = []
    done = RunResult(run(*everything_passed()).verdicts, PROFILE, Facts(), kit_errors=["case\nKitError: oops"])
    write_report(done, lambda text, **markup: lines.append(text))
    assert not done.green
    assert "KitError: oops" in "\n".join(lines)


def test_long_sentences_are_wrapped() -> None:
    reason = "a word " * 60
    text = written(run(Finding("CB-HEL-001", Outcome.INCONCLUSIVE, reason=reason.strip())))
    assert max(len(line) for line in text.splitlines()) <= 130


def test_few_observations_are_told_in_full() -> None:
    done = run(
        Finding("CB-HEL-101", Outcome.OBSERVED, seen="accepted", aspect="after hello"),
        Finding("CB-HEL-101", Outcome.OBSERVED, seen="closed", aspect="after auth"),
        Finding("CB-HEL-105", Outcome.OBSERVED, seen="tls"),
    )
    text = written(done)
    assert done.green
    assert "after hello: accepted" in text
    assert "after auth: closed" in text
    assert "    tls" in text.splitlines()
