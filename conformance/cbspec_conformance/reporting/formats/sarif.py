"""SARIF 2.1.0: each failed requirement is a rule, and each way in which it fails a result with its exchange.

A relay's source is not known, so a result is located in the file that names the relay: the profile, or the baseline.
If neither has a relative path, the location is a name for the requirement: GitHub shows such an alert without source.
Known failures are left out: GitHub would show them as new alerts, since it reads no suppressions.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from cbspec.catalogue.requirements import CHAPTERS, Requirement
from cbspec.exit_codes import MEANINGS, ExitCode
from cbspec_conformance.judging.verdicts import Finding, Outcome, Verdict, without_values
from cbspec_conformance.reporting.formats.cases import sentence
from cbspec_conformance.reporting.formats.texts import digest, json_bytes, subject_facts
from cbspec_conformance.reporting.report import distinct
from cbspec_conformance.reporting.stream import RecordedRun

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {Outcome.FAILED: "error", Outcome.WARNED: "warning"}
_ROOT: Final = "%SRCROOT%"


def render(run: RecordedRun) -> bytes:
    """Return the report."""
    broken = [verdict for verdict in run.verdicts if verdict.outcome in _LEVELS]
    role = run.started.subject.role
    results = [_result(run, index, verdict, each) for index, verdict in enumerate(broken) for each in distinct(verdict)]
    driver = {"name": "cbspec", "version": run.started.kit, "rules": [_rule(verdict) for verdict in broken]}
    return json_bytes(
        {
            "$schema": _SCHEMA,
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": driver},
                    "automationDetails": {"id": f"cbspec-{role}/"},
                    "columnKind": "unicodeCodePoints",
                    "originalUriBaseIds": {_ROOT: {"description": {"text": "the root of the repository"}}},
                    "invocations": [_invocation(run)],
                    "results": results,
                    "properties": dict(subject_facts(run)),
                }
            ],
        }
    )


def _rule(verdict: Verdict) -> dict[str, Any]:
    row = verdict.requirement
    chapter = CHAPTERS.get(row.chapter, row.chapter)
    condition = f" It applies {row.when}." if row.when else ""
    text = f"{row.demand}{condition} Why: {row.why} Source: {row.section}. cbspec explain {row.id} shows its cases."
    markdown = (
        f"**{row.level}** {_escaped(row.demand)}{_escaped(condition)}\n\n**Why:** {_escaped(row.why)}\n\n"
        f"**Source:** {_escaped(row.section)}\n\nIts cases: `cbspec explain {row.id}`\n"
    )
    return {
        "id": row.id,
        "name": row.id,
        "shortDescription": {"text": row.demand},
        "fullDescription": {"text": f"{row.demand} {row.why}"},
        "help": {"text": text, "markdown": markdown},
        "defaultConfiguration": {"level": _LEVELS[verdict.outcome or Outcome.FAILED]},
        "properties": {"tags": [chapter, str(row.level)], "precision": "very-high", "problem.severity": _severity(row)},
    }


def _severity(row: Requirement) -> str:
    return "error" if row.level == "MUST" else "warning"


def _result(run: RecordedRun, index: int, verdict: Verdict, finding: Finding) -> dict[str, Any]:
    way = _way(finding)
    count = sum(each.outcome is verdict.outcome and _way(each) == way for each in verdict.findings)
    failure = digest(finding.requirement, *way)
    told = f"{finding.requirement}: {verdict.requirement.demand}\n{sentence(finding)}"
    shown = {"case": finding.case, "change": finding.change, "exchange": finding.exchange}
    return {
        "ruleId": finding.requirement,
        "ruleIndex": index,
        "kind": "fail",
        "level": _LEVELS[finding.outcome],
        "message": {"text": "\n\n".join(filter(None, (told, finding.exchange)))},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _place(run, finding), "uriBaseId": _ROOT},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": finding.case or finding.requirement, "kind": "test"}],
            }
        ],
        "occurrenceCount": max(1, count),
        "partialFingerprints": {"primaryLocationLineHash": f"{failure}:1", "cbspecFailure/v1": failure},
        "properties": {name: value for name, value in shown.items() if value},
    }


def _way(finding: Finding) -> tuple[str, str]:
    return without_values(finding.expected), without_values(finding.seen)


def _place(run: RecordedRun, finding: Finding) -> str:
    options = run.started.options
    for file in (options.get("--profile", ""), options.get("--client-profile", ""), run.started.baseline_file):
        path = PurePath(file)
        if file and not path.is_absolute() and ".." not in path.parts:
            return quote(path.as_posix())
    return f"cbspec/{finding.requirement}"


def _invocation(run: RecordedRun) -> dict[str, Any]:
    started, ended = run.started, run.ended
    notes = list(_notifications(run))
    invocation: dict[str, Any] = {
        "executionSuccessful": ended is not None and not (ended.interrupted or ended.kit_errors or ended.reason),
        "startTimeUtc": _utc(started.began),
        "commandLine": started.command,
        "toolExecutionNotifications": notes,
    }
    if ended is not None:
        invocation |= {
            "endTimeUtc": _utc(started.began + datetime.timedelta(seconds=ended.seconds)),
            "exitCode": ended.exit_code,
            "exitCodeDescription": MEANINGS[ExitCode(ended.exit_code)],
        }
    return {name: value for name, value in invocation.items() if value not in ("", [])}


def _notifications(run: RecordedRun) -> Iterator[dict[str, Any]]:
    """Yield what kept the run from judging a requirement, or all of them."""
    if run.ended is None:
        yield _notification("error", "the run is going on, or was killed")
    elif run.ended.reason:
        yield _notification("error", run.ended.reason)
    for text in run.ended.kit_errors if run.ended is not None else ():
        yield _notification("error", f"an error of the kit: {text}")
    for id_ in run.result.stale:
        yield _notification("error", f"{id_} passes now: remove its entry from the baseline")
    for verdict in run.verdicts:
        if verdict.outcome is Outcome.INCONCLUSIVE:
            reason = f"{verdict.requirement.id} is inconclusive: {next(iter(verdict.reasons), '')}"
            yield _notification("error" if verdict.requirement.level == "MUST" else "warning", reason)


def _notification(level: str, text: str) -> dict[str, Any]:
    return {"level": level, "message": {"text": text}}


def _utc(time: datetime.datetime) -> str:
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _escaped(text: str) -> str:
    for letter in "\\`*_[]<>|":
        text = text.replace(letter, f"\\{letter}")
    return text
