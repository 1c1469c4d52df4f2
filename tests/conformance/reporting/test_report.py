"""The report on the terminal, and the fingerprint of a relay."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec.profile.profile import Endpoint, Profile, TargetSettings
from cbspec_conformance.judging.verdicts import TIME_UP, Finding, Outcome, judge_run
from cbspec_conformance.record.cost import Cost
from cbspec_conformance.reporting.fingerprint import (
    UnusableFingerprint,
    compare,
    fingerprint_of,
    other_kit,
    read_fingerprint,
    write_fingerprint,
)
from cbspec_conformance.reporting.report import WIDTH, RunResult, counts, pasted, write_report
from cbspec_conformance.reporting.subject import judged_relay
from cbspec_conformance.target.facts import Facts

PROFILE = Profile(target=TargetSettings(address=Endpoint("127.0.0.1", 8080)))


def run(*findings: Finding, **switches: bool) -> RunResult:
    """Return a run with some findings."""
    named = {finding.requirement for finding in findings}
    return RunResult(judge_run(REQUIREMENTS, findings, named), judged_relay(PROFILE, Facts(websocket=True)), **switches)  # type: ignore[arg-type] # the switches are all booleans


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
    exchange='> 0.100 #1 -> {"type":"hello"}\n> 0.200 #1 <- {"type":"hello_response"}\n  before: #2 heartbeat x40\n'
    "  0.000 #1 -- connected to 127.0.0.1:8080",
    change="version: 1",
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
    assert counts(done).startswith(f"{len(levels) - observed} passed, 0 failed, 0 warned, 0 inconclusive, 0 not exerc")


def test_a_failure_shows_a_line_then_the_demand_and_the_decisive_messages() -> None:
    done = run(*everything_passed(), FAILURE)
    text = written(done)
    assert not done.green
    lines = text.splitlines()
    assert [lines[1].split()[:3], lines[2].split()[:3]] == [["CB-HEL", "Hello", "7"], ["19", "other", "chapters"]]
    assert lines[lines.index("") + 2] == "CB-HEL-002 a version that is a string  version is a number [version: 1]"
    assert REQUIREMENTS["CB-HEL-002"].demand in " ".join(text.split())
    assert '  > #1 <- {"type":"hello_response"}\n    before: #2 heartbeat x40' in text
    assert "connected" not in text
    assert FAILURE.case not in text
    assert "did not pass: CB-HEL-002" in text
    whole = written(replace(done, exchanges=2))
    assert FAILURE.case in " ".join(whole.split())
    assert "connected" in whole


def test_seventeen_failures_take_120_lines_of_80_columns() -> None:
    rows = [row for row in REQUIREMENTS.values() if row.level is Level.MUST and not row.untestable]
    texts: dict[str, Any] = {
        "expected": "an error with code invalid_tunnel_info",
        "seen": 'a tunnel_response with status "ok" (broken, too: missing, null, an object of some length, a number)',
        "exchange": "\n".join(f"> 0.00{n} #1 -> {'x' * 200}" for n in range(2)) + "\n  before: #1 hello" + "\n  x" * 24,
        "change": "local_port: missing",
    }
    findings = [Finding(row.id, Outcome.FAILED, f"case {n}", **texts) for row in rows[:17] for n in range(5)]
    findings += [Finding(row.id, Outcome.INCONCLUSIVE, reason=f"because of {row.id}") for row in rows[17:50]]
    lines = written(
        replace(run(*findings), command="cbspec verify x:1", costs={"case": Cost()}, plan="20 examples")
    ).splitlines()
    failed = lines[lines.index("") + 2 :][:17]
    assert [line.split()[0] for line in failed] == [row.id for row in rows[:17]]
    assert all('error invalid_tunnel_info  tunnel_response "ok" [local_port: missing]' in line for line in failed)
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) <= 117  # and three of progress on a terminal


@pytest.mark.parametrize("folder", ["/srv/" + "long/" * 20, "a", "/srv/some one's"])
def test_a_command_works_as_pasted(folder: str) -> None:
    command = shlex.join(["cbspec", "replay", folder, *["--target", "127.0.0.1:8080"] * 4])
    shell = "set -- " + "\n".join(pasted(command)).strip() + '; printf "%s\\n" "$@"'
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == shlex.split(command)


def test_a_broken_basic_takes_one_line() -> None:
    reason = "hello is never served on this relay"
    rows = [row for row in REQUIREMENTS.values() if not row.untestable]
    lines = written(run(*[Finding(row.id, Outcome.INCONCLUSIVE, reason=reason) for row in rows])).splitlines()
    assert f"  CB-HEL-001 and {len(rows) - 1} more: {reason}" in lines


COSTS = {
    "relay/a.py::a": Cost(connections=2, round_trips=4, waiting=1.0, elapsed=1.0),
    "relay/a.py::b": Cost(1, 2000, waiting=6.5, idle=1.0, processor=0.5, elapsed=9.0),
}


def test_a_remark_is_shown_whatever_the_verdict_is_and_the_costs_are_added() -> None:
    cut = replace(FAILURE, outcome=Outcome.PASSED, reason="only 3 of 20 examples were tried")
    for findings in ([cut], [cut, FAILURE]):
        text = written(replace(run(*findings), costs=COSTS, expensive=1))
        assert "CB-HEL-002: only 3 of 20 examples were tried" in text
        assert "Cost: 2,004 round trips on 3 connections; 7.5 s waiting," in text
        assert text.count("::") == 1  # the dearest
        assert re.search(r"  9\.00 +6\.50 +1\.00 +0\.50 +1\.00 +2000 +1  relay/a\.py::b\n", text)
    stopped = written(run(Finding("CB-HEL-002", Outcome.NOT_EXERCISED, reason=TIME_UP)))
    assert "The run was cut off by --max-time: 1 requirements are unfinished." in stopped


def test_a_reason_is_given_once_and_names_all_its_requirements() -> None:
    reason = ("a word " * 60).strip()
    lines = written(run(*[Finding(f"CB-LIM-00{n}", Outcome.NOT_EXERCISED, reason=reason) for n in (1, 2, 3)]))
    assert f"CB-LIM-001, CB-LIM-002, CB-LIM-003: {reason}" in " ".join(lines.split())
    assert max(map(len, lines.splitlines())) <= WIDTH


def test_equal_failures_are_shown_once_and_the_number_is_limited() -> None:
    assert written(run(*[FAILURE] * 5)).count("#1 <- ") == 1
    kinds = [Finding("CB-HEL-002", Outcome.FAILED, f"case {n}", seen=f"kind {n}", expected="x") for n in "abcdefghi"]
    text = written(replace(run(*kinds), exchanges=3))
    assert "kind c" in text
    assert "kind d" not in text
    assert "and 6 more ways: --exchanges 9" in text


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
    assert words in " ".join(written(done).split())


def test_an_empty_run_or_an_error_of_the_kit_is_no_pass() -> None:
    assert not run().green
    assert "nothing was judged" in written(run())
    done = replace(run(*everything_passed()), kit_errors=["case\nKitError: oops"])
    assert not done.green
    assert "KitError: oops" in written(done)


OBSERVED = [
    Finding("CB-HEL-101", Outcome.OBSERVED, seen="accepted", aspect="after hello"),
    Finding("CB-HEL-101", Outcome.OBSERVED, seen="closed", aspect="after auth"),
    Finding("CB-HEL-105", Outcome.OBSERVED, seen="tls"),
]
WARNED = Finding("CB-TUN-004", Outcome.WARNED, seen="an error with code 'tenant_not_found'")


def changed(before: RunResult, after: RunResult) -> list[tuple[str, str, str]]:
    return [(c.what, c.before, c.after) for c in compare(fingerprint_of(before), fingerprint_of(after))]


def test_rows_are_the_requirements_below_must_with_their_texts_or_outcome(tmp_path: Path) -> None:
    found = fingerprint_of(run(*everything_passed())).rows
    open_ = {row.id for row in REQUIREMENTS.values() if row.level is not Level.MUST and not row.untestable}
    assert set(found) == open_
    assert list(found) == sorted(found)
    some = fingerprint_of(run(*OBSERVED, WARNED))
    assert some.rows["CB-HEL-101"].seen == {"after auth": "closed", "after hello": "accepted"}
    assert some.rows["CB-HEL-105"].seen == {"": "tls"}
    assert (some.rows["CB-TUN-004"].outcome, some.rows["CB-TUN-004"].seen) == ("warned", {"": WARNED.seen})
    write_fingerprint(run(*OBSERVED, WARNED), tmp_path / "relay.json")
    assert read_fingerprint(tmp_path / "relay.json") == some


def test_only_texts_that_vary_between_runs_are_left_out() -> None:
    for one, two in (
        ("no answer within 0.5 s; the relay ignored it", "no answer within 1.2 s; the relay ignored it"),
        ("tunnel_id 'cbspec-00c0ffee-7'", "tunnel_id 'cbspec-12345678-31'"),
        ("7 bytes: b'\\x15\\x03'", '9 bytes: b"\\x15\'"'),
        ("refused by 127.0.0.1:8080", "refused by 127.0.0.1:40001"),
    ):
        assert changed(run(replace(WARNED, seen=one)), run(replace(WARNED, seen=two))) == []
    assert changed(run(replace(WARNED, seen="version '1.1'")), run(replace(WARNED, seen="version '2.0'")))


def test_every_difference_is_named_once() -> None:
    other = [replace(OBSERVED[0], seen="refused: invalid_token"), *OBSERVED[1:]]
    assert changed(run(*OBSERVED), run(*other)) == [("CB-HEL-101", "accepted", "refused: invalid_token")]
    passed = Finding("CB-TUN-004", Outcome.PASSED)
    assert changed(run(passed), run(WARNED)) == [("CB-TUN-004", "passed", f"warned: {WARNED.seen}")]
    lacking = Finding("CB-HEL-101", Outcome.NOT_EXERCISED, reason="give x")
    assert changed(run(*OBSERVED), run(lacking, OBSERVED[2])) == [
        ("CB-HEL-101", "after auth: closed; after hello: accepted", "not exercised")
    ]
    assert changed(run(*OBSERVED), run(*OBSERVED[:2])) == [("CB-HEL-105", "tls", "not observed")]


def test_facts_are_compared_too_and_another_kit_is_no_change_of_the_relay() -> None:
    plain = run(*OBSERVED)
    assert changed(
        plain, replace(plain, subject=judged_relay(PROFILE, Facts("websocket", websocket=True, features=("tls",))))
    ) == [
        ("transport", "tcp", "websocket"),
        ("features", "", "tls"),
    ]
    found = fingerprint_of(plain)
    other = msgspec.structs.replace(found, kit="9.9")
    assert compare(found, other) == []
    assert other_kit(found, other) == [f"kit: {found.kit} -> 9.9"]


def test_an_invalid_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "relay.json"
    for text, fault in (
        ("{", "not JSON"),
        ("\udcff", "not JSON"),
        ('{"green": true}', "not a fingerprint"),
        ('{"fingerprint": 99, "rows": {}}', "format 99"),
        ('{"fingerprint": 1}', "damaged"),
    ):
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        with pytest.raises(UnusableFingerprint, match=fault) as caught:
            read_fingerprint(file)
        assert str(file) in str(caught.value)
