"""Annotations and the job summary of GitHub Actions, read as its runner reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.reporting.github import annotate, annotate_failure, workflow_commands, write_summary
from cbspec_conformance.reporting.stream import RecordedRun
from tests.conformance.reporting.streams import write_stream
from tests.conformance.reporting.test_report import everything_passed, run

MUSTS = [row.id for row in REQUIREMENTS.values() if row.level is Level.MUST and not row.untestable]
ROW = REQUIREMENTS["CB-HEL-002"]


def parsed(command: str) -> tuple[str, dict[str, str], str]:
    """Return kind, properties and message of a workflow command. Source: ActionCommand.cs of GitHub's runner."""
    head, separator, message = command.removeprefix("::").partition("::")
    assert separator
    assert not set("\r\n") & set(command)  # a command is one line
    kind, _, listed = head.partition(" ")
    pairs = dict(each.split("=", 1) for each in listed.split(","))
    return kind, {name: unescaped(text) for name, text in pairs.items()}, unescaped(message)


def unescaped(text: str) -> str:
    for escape, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(escape, character)
    return text


def failed(id_: str, seen: str = "3") -> Finding:
    return Finding(id_, Outcome.FAILED, "case", expected="a string", seen=seen)


@given(st.text(st.sampled_from("%25:,\r\n0A3=é"), min_size=1))
def test_any_text_of_a_relay_stays_in_its_annotation(text: str) -> None:
    (command,) = workflow_commands(run(failed(ROW.id, text + "x")))
    kind, properties, message = parsed(command)
    assert (kind, properties) == ("error", {"title": f"{ROW.id} (MUST) failed"})
    assert message == f"{ROW.demand}\nExpected a string; seen: {text}x"


def test_the_last_of_many_annotations_counts_the_rest() -> None:
    commands = list(workflow_commands(run(*map(failed, MUSTS))))
    assert len(commands) == 10  # GitHub shows no more of a step
    assert parsed(commands[-1])[1]["title"] == f"{len(MUSTS) - 9} more"


def test_each_reason_for_a_red_run_is_an_annotation() -> None:
    unclear = Finding("CB-AUT-001", Outcome.INCONCLUSIVE, "case", reason="no token")
    warned = Finding("CB-HEL-004", Outcome.WARNED, "case", expected="1.0", seen="2.0")
    result = replace(
        run(unclear, warned, *everything_passed("CB-AUT-001")),
        stale=["CB-TUN-001"],
        baseline=Baseline(path=Path("known, too.toml")),
        kit_errors=["Traceback\nKeyError: 'x'"],
    )
    found = [parsed(each) for each in workflow_commands(result)]
    titles = ["CB-AUT-001 inconclusive", "CB-TUN-001 is stale in the baseline", "error of cbspec"]
    assert [(kind, each["title"]) for kind, each, _ in found] == [
        *(("error", title) for title in titles),
        ("warning", "CB-HEL-004 (SHOULD) warned"),
    ]
    assert found[1][1]["file"] == "known, too.toml"
    assert [kind for kind, *_ in map(parsed, workflow_commands(replace(result, fail_on_should=True)))] == ["error"] * 4


def test_annotations_and_summary_are_for_github_alone(tmp_path: Path) -> None:
    failures = [failed(id_) for id_ in MUSTS]
    stream = write_stream(tmp_path / "results.jsonl", failures)
    summary = tmp_path / "summary.md"
    lines: list[str] = []
    for elsewhere in ({}, {"GITHUB_ACTIONS": "false"}):
        annotate(run(*failures), lines.append, elsewhere)
        annotate_failure("no relay answers", lines.append, elsewhere)
        assert list(write_summary(stream, None, {**elsewhere, "GITHUB_STEP_SUMMARY": str(summary)})) == []
    assert (lines, summary.exists()) == ([], False)
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    annotate_failure("no relay answers", lines.append, github)
    assert list(map(parsed, lines)) == [("error", {"title": "cbspec judged nothing"}, "no relay answers")]
    summary.write_text("# Before\n")
    assert list(write_summary(stream, None, github)) == []
    text = summary.read_text()
    assert text.startswith("# Before\n")
    broken = [each for each in RecordedRun.load(stream).verdicts if each.outcome is Outcome.FAILED]
    assert len(broken) > 20  # more than the table has rows
    assert [each.requirement.id for each in broken if each.requirement.id not in text] == []
    (error,) = write_summary(stream, None, {**github, "GITHUB_STEP_SUMMARY": "/"})
    assert error.startswith("GITHUB_STEP_SUMMARY: /: ")
