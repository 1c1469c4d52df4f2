"""The stream of results: what is written, what a reader accepts, and what is left after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from cbspec.cli import main
from cbspec_conformance.judging.verdicts import CUT_SHORT, Finding, Outcome
from cbspec_conformance.record.decoding import Decoded
from cbspec_conformance.record.saved import transcript_of
from cbspec_conformance.record.transcript import Direction, Message
from cbspec_conformance.reporting.events import schema
from cbspec_conformance.reporting.stream import RecordedRun, StreamError
from tests.conformance.commands import simulator, verify
from tests.conformance.reporting.streams import write_stream

FOUND = [
    Finding("CB-HEL-001", Outcome.PASSED, "relay/a.py::test_a"),
    Finding("CB-HEL-002", Outcome.FAILED, "relay/a.py::test_b", "", "a", "b", ">  0.0 #1 -> c", decisive=(1,)),
]


def test_a_message_that_is_hard_to_write_as_json_is_read_back(tmp_path: Path) -> None:
    values: list[Any] = [{"a": 10**400}, {"a": 1e300}, {"a": float("inf")}, {"é\u2028": [None]}]
    records = [Message(0.0, 1, Direction.SENT, b"{}", Decoded(value)) for value in values]
    found = replace(FOUND[0], reason="a lone surrogate: \ud800")
    file = write_stream(tmp_path / "run.jsonl", [found], records)
    (tmp_path / "valid.txt").write_text("".join(map(_strict, file.read_text().split("\n")[:-1])))
    run = RecordedRun.load(file)
    read = [record.value for record in transcript_of(run.cases[0].records).records if isinstance(record, Message)]
    assert run.cases[0].findings[0].reason == found.reason
    assert read == [*values[:2], {"a": None}, values[3]]


def _strict(line: str) -> str:
    def refuse(name: str) -> None:
        raise ValueError(name)

    return str(json.loads(line, parse_constant=refuse))


@pytest.mark.parametrize("end", [1, 20, -1])
def test_an_incomplete_last_line_is_left_out(end: int, tmp_path: Path) -> None:
    lines = write_stream(tmp_path / "run.jsonl", FOUND).read_bytes().splitlines(keepends=True)
    (tmp_path / "run.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:end])
    run = RecordedRun.load(tmp_path / "run.jsonl")
    assert (run.ended, run.result.interrupted) == (None, True)
    assert {verdict.requirement.id: verdict.outcome for verdict in run.verdicts if verdict.outcome} == {
        "CB-HEL-001": Outcome.PASSED,
        "CB-HEL-002": Outcome.FAILED,
    }


@pytest.mark.parametrize(
    ("number", "line", "words"),
    [
        (1, "{}", "not a stream of results"),
        (1, '{"event": "run", "format": 99}', "format 99"),
        (1, '{"row": "tap"}', "not a stream of results"),
        (2, "{]", "line 2"),
        (3, '{"event": "case"}', "line 3"),
        (4, '{"event": "unheard-of"}', "line 4"),
        (2, '{"event": "exchange", "case": "a", "first": 0, "records": []}', "line 2 is out of place"),
    ],
)
def test_damage_is_reported_with_its_line(
    number: int, line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_stream(tmp_path / "run.jsonl", FOUND)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[: number - 1], line, *lines[number:], ""]))
    with pytest.raises(StreamError, match=words):
        RecordedRun.load(file)
    for command in ("report", "judge"):
        assert main([command, str(file)]) == 4
        assert str(file) in capsys.readouterr().err


def test_a_real_stream_is_valid_and_holds_the_exchanges_of_passed_cases(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    with simulator(tmp_path, "--deviation", "hello-version-missing") as profile:
        options = ("--profile", str(profile), "--effort", "quick", "-k", "test_1_hello")
        assert verify(*options, "--results", str(file)).code == 1
    check = jsonschema_rs.Draft202012Validator(schema(), validate_formats=True)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        check.validate(line)
    order = ["run", "requirement", "case", "exchange", "finding", "end"]
    assert list(Counter(line["event"] for line in lines)) == order
    run = RecordedRun.load(file)
    passed = [case for case in run.cases if case.event.outcome is Outcome.PASSED and case.event.requirement]
    assert len(passed) >= 10
    for case in passed:
        assert case.event.about.endswith(".")
        assert case.event.sources
        assert any(row["record"] == "Message" and row["direction"] == "received" for row in case.records)
    failed = next(each for case in run.cases for each in case.findings if each.requirement == "CB-HEL-002")
    of = next(case for case in run.cases if failed in case.findings)
    shown = [of.records[place].get("text", "") for place in failed.decisive]
    assert any("hello_response" in text for text in shown)
    secrets = profile.read_text().partition('secret = "')[2].partition('"')[0]
    assert not secrets or secrets not in file.read_text()


def test_nothing_that_was_decided_is_lost_when_a_run_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.jsonl"
    command = [sys.executable, "-m", "cbspec", "verify", "--effort", "quick", "--results", str(file)]
    run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)
    tail = ["tail", "-F", "-n", "+1", str(file)]
    seen: list[dict[str, Any]] = []
    with subprocess.Popen(tail, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as follow:
        for line in follow.stdout or ():
            seen.append(json.loads(line))
            if sum(each["event"] == "case" for each in seen) == 100:
                break
        assert main(["report", str(file)]) == 0  # while the run is going on
        os.killpg(run.pid, signal.SIGKILL)
        follow.kill()
    assert run.wait(10) == -signal.SIGKILL
    lines = [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert lines[: len(seen)] == seen
    recorded = RecordedRun.load(file)
    assert recorded.ended is None
    missing = Counter(recorded.started.selected) - Counter(case.event.requirement for case in recorded.cases)
    found: dict[str, set[str]] = {}
    for each in lines:
        if each["event"] == "finding":
            found.setdefault(each["requirement"], set()).add(each["outcome"])
    capsys.readouterr()
    assert main(["report", str(file)]) == 0
    assert "the run was interrupted" in capsys.readouterr().out
    for verdict in recorded.verdicts:
        outcomes = found.get(verdict.requirement.id, set())
        if verdict.requirement.id in missing:
            assert verdict.outcome in (Outcome.NOT_EXERCISED, *outcomes)
            assert CUT_SHORT in verdict.reasons
        elif outcomes:
            assert verdict.outcome in outcomes
    assert sum(verdict.outcome is Outcome.PASSED for verdict in recorded.verdicts) > 5
